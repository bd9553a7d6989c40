"""MIG geometry: which profiles a GPU can be cut into, where each may start, and the layouts that have a name."""

import re
from collections.abc import Mapping
from functools import cache

from gpuaudit.knowledge.gpus import GpuModel
from gpuaudit.knowledge.reading import Entry, read_toml

_NAME = re.compile(r"(?:(?P<c>\d)c\.)?(?P<body>\d{1,2}g\.\d{1,4}gb)(?P<rest>(?:[.+-][a-z]{1,8}){0,3})")


class MigProfile(Entry, frozen=True, kw_only=True):
    """A kind of GPU instance. Memory in MiB (±2 % by driver), SMs and engines None where not evidenced."""

    name: str  # as nvidia-smi prints it: 1g.10gb+me
    k8s: str  # suffix of the resource: mig-1g.10gb.me
    gi_profile_id: int
    nvml_profile: str
    g: int  # compute slices
    memory_mib: int | None = None
    sm: int | None = None
    max_instances: int
    starts: tuple[int, ...]  # legal first memory slots
    size: int  # memory slots
    ce: int | None = None
    dec: int | None = None
    enc: int | None = None
    jpeg: int | None = None
    ofa: int | None = None
    verified: tuple[str, ...]  # tags of `sources()` that print this row
    inferred: tuple[str, ...] = ()  # fields without direct evidence

    @property
    def media_extension(self) -> bool:
        """Whether it carries +me (or +me.all): at most one such instance exists on a GPU."""
        return "+me" in self.name


class MigGpu(Entry, frozen=True, kw_only=True):
    """The grid of one GPU: memory slots, compute slices and the profiles that fit on it."""

    key: str
    names: tuple[str, ...]
    pci_device_ids: tuple[str, ...]
    memory_slots: int
    compute_slices: int
    total_sm: int | None = None
    reliability: str
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()
    aliases: dict[str, str] = {}  # other drivers' names of profiles
    engine_budget: dict[str, int] = {}  # engines that the instances of one GPU share; empty = placements say it all
    profiles: tuple[MigProfile, ...]


class Stock(Entry, frozen=True):
    """A named configuration of mig-parted: instances per GPU on the GPUs that it fits."""

    name: str
    gpus: tuple[str, ...]
    devices: dict[str, int]


class Unplaced(Entry, frozen=True):
    """A MIG-capable GPU whose placements are not evidenced."""

    key: str
    profiles_v580: tuple[str, ...]
    max_instances_guide: int
    source: str
    notes: tuple[str, ...] = ()


class Programs(Entry, frozen=True):
    """What programs may make of several MIG devices, and by which flags and variables they ask for several."""

    several_devices_from_driver: int
    process_flags: tuple[str, ...]
    process_env: tuple[str, ...]
    tensor_env: tuple[str, ...]
    pipeline_env: tuple[str, ...]
    visible_env: tuple[str, ...]
    gang_env: tuple[str, ...]
    single_kinds: tuple[str, ...]
    sources: tuple[str, ...]


class Managed(Entry, frozen=True):
    """Labels of nodes whose GPUs are cut by a setting of their pool, when it is made."""

    pool_labels: tuple[str, ...]
    sources: tuple[str, ...]


class _File(Entry, frozen=True):
    compiled: str
    resource_prefix: str
    shared_suffix: str
    programs: Programs
    managed: Managed
    bare_layouts: dict[str, str]
    sources: dict[str, str]
    disagreements: dict[str, str]
    gpu: tuple[MigGpu, ...]
    stock: tuple[Stock, ...]
    without_placements: tuple[Unplaced, ...]


@cache
def _file() -> _File:
    return read_toml("mig", _File)


def all_geometries() -> tuple[MigGpu, ...]:
    """Return every GPU whose placements are known."""
    return _file().gpu


def geometry(mig_key: str) -> MigGpu:
    """Return the grid with this key (`GpuModel.mig`). KeyError for one that is not known."""
    return _by_key()[mig_key]


def for_model(model: GpuModel) -> MigGpu | None:
    """Return the grid of a model, None when it has no MIG or its placements are not known."""
    return None if model.mig is None else _by_key().get(model.mig)


def profile(gpu: MigGpu, name: str) -> MigProfile | None:
    """Return the profile that a name means on this GPU: nvidia-smi's, a resource's, or an older driver's spelling.

    None for a profile that the GPU does not have, and for a compute instance (`1c.3g.20gb`), which is a part of one.
    """
    wanted = canonical(name)
    if wanted is None:
        return None
    return _profiles(gpu.key).get(gpu.aliases.get(wanted, wanted))


def canonical(name: str) -> str | None:
    """Return a profile's name as nvidia-smi prints it (`1g.10gb+me`) from any spelling, None if it is no profile."""
    text = name.strip().casefold()[:80].removeprefix("mig ").removesuffix(_file().shared_suffix)
    text = text.removeprefix(_file().resource_prefix).removeprefix("mig-")
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    extension = match["rest"].lstrip(".+-")
    mark = "" if not extension else "-" if match["rest"].startswith("-") else "+"
    part = f"{match['c']}c." if match["c"] else ""
    return f"{part}{match['body']}{mark}{extension}"


def split_compute(name: str) -> tuple[int | None, str]:
    """Split a canonical name into the slices of its compute instance (None = all) and the profile it lies in."""
    match = _NAME.fullmatch(name.replace("+", "."))
    if match is None or not match["c"]:
        return (None, name)
    return (int(match["c"]), name.partition("c.")[2])


def parse_resource(resource: str) -> str | None:
    """Return the profile of an `nvidia.com/mig-*` resource (`.shared` stripped), None for any other resource."""
    return canonical(resource) if resource.startswith(_file().resource_prefix) else None


def slices_and_gigabytes(profile_name: str) -> tuple[int, int]:
    """Return the compute slices and the GB in a profile's name: (1, 10) of `1g.10gb`. (0, 0) if it is none."""
    match = _NAME.fullmatch(canonical(profile_name) or "")
    if match is None:
        return (0, 0)
    slices, _, memory = match["body"].partition("g.")
    return int(slices), int(memory.removesuffix("gb"))


def resource(row: MigProfile) -> str:
    """Return the extended resource that a pod requests for an instance of this profile."""
    return _file().resource_prefix + row.k8s.removeprefix("mig-")


def resource_name(profile: str) -> str:
    """Return the extended resource of a profile by its canonical name."""
    return _file().resource_prefix + profile.replace("+", ".")


def stock_layouts(gpu: MigGpu) -> Mapping[str, Mapping[str, int]]:
    """Return mig-parted's named configurations that fit this GPU: instances per GPU, by profile name."""
    return {row.name: row.devices for row in _file().stock if gpu.key in row.gpus}


def programs() -> Programs:
    """Return what programs may make of several MIG devices."""
    return _file().programs


def cut_by_pool(node_labels: Mapping[str, str]) -> bool:
    """Whether the GPUs of a node with these labels can be cut by a new node pool alone."""
    return any(label in node_labels for label in _file().managed.pool_labels)


def bare_layouts() -> Mapping[str, str]:
    """Return the named configurations without instances (`all-disabled`, `all-enabled`) and what they mean."""
    return _file().bare_layouts


def unplaced() -> tuple[Unplaced, ...]:
    """Return the MIG-capable GPUs whose placements are not known."""
    return _file().without_placements


def sources() -> Mapping[str, str]:
    """Return the text behind each source tag of this table."""
    return _file().sources


@cache
def _by_key() -> Mapping[str, MigGpu]:
    return {gpu.key: gpu for gpu in all_geometries()}


@cache
def _profiles(key: str) -> Mapping[str, MigProfile]:
    return {row.name: row for row in _by_key()[key].profiles}
