"""GPU models: what they are, and which one a name means as NVML, DCGM, GFD or a cloud's label prints it."""

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal

from gpuaudit.errors import UserError
from gpuaudit.knowledge.reading import Entry, read_toml


class GpuModel(Entry, frozen=True, kw_only=True):
    """One product. `low` names the fields that no source was read for; None = not found."""

    key: str
    names: tuple[str, ...]  # as NVML and DCGM print them
    gfd_products: tuple[str, ...]  # values of the label nvidia.com/gpu.product
    memory_mib: int  # of the whole GPU, as NVML reports it
    memory_gb_nominal: int
    sm: int | None = None
    memory_bw_gbps: float | None = None  # GB/s
    bf16_tflops: float | None = None  # dense; fp16 where the part has no bf16
    fp8_tflops: float | None = None  # dense
    tdp_w: float | None = None
    nvlink_gbps_total: float | None = None  # GB/s, both directions, all links; 0 = none
    pcie_gen: int | None = None
    mig_capable: bool | None = None
    mig: str | None = None  # key of its row in mig.toml
    compute_capability: str | None = None
    low: tuple[str, ...] = ()
    sources: tuple[str, ...]  # tags of `sources()`
    notes: tuple[str, ...] = ()


class Alias(Entry, frozen=True):
    """Another spelling of one or more models; with `label`, the value of that node label and only there."""

    name: str
    keys: tuple[str, ...]
    source: str
    label: str | None = None


class GfdLabels(Entry, frozen=True):
    """Node labels of GPU feature discovery and of the MIG manager."""

    always: tuple[str, ...]
    also: tuple[str, ...]  # older names, and sharing
    mig_single_extra: tuple[str, ...]
    mig_mixed_pattern: str
    mig_manager_labels: tuple[str, ...]
    memory_unit: Literal["MiB"]
    source: str


class Links(Entry, frozen=True):
    """Link speeds in GB/s, one direction."""

    source: str
    pcie3_x16: float
    pcie4_x16: float
    pcie5_x16: float
    pcie6_x16: float
    nvlink_v100: float
    nvlink_a100: float
    nvlink_h100: float
    nvlink_b200: float
    nvlink_c2c_grace: float


class Formats(Entry, frozen=True):
    """Number formats: the least compute capability for bf16, and patterns of words that betray a narrower one."""

    bf16_from: str
    low_precision: tuple[str, ...]
    source: str


class _File(Entry, frozen=True):
    compiled: str
    memory_tolerance: float
    product_suffixes: tuple[str, ...]
    product_suffix_source: str
    aliases: tuple[Alias, ...]
    sources: dict[str, str]
    disagreements: dict[str, str]
    gpu: tuple[GpuModel, ...]
    gfd_labels: GfdLabels
    formats: Formats
    links: Links
    nvml_gpu_instance_profile_enum: dict[str, int]


@cache
def _file() -> _File:
    return read_toml("gpus", _File)


def all_models() -> tuple[GpuModel, ...]:
    """Return every known model, in the order of the table."""
    return _file().gpu


def by_key(key: str) -> GpuModel | None:
    """Return the model with exactly this key."""
    return _by_key().get(key)


def identify(name: str, *, memory_mib: float | None = None) -> GpuModel | None:
    """Return the model that a printed name means, or None when it is unknown or means several.

    Case, blanks against dashes, a leading NVIDIA and the suffixes of sharing and MIG do not matter. `memory_mib`
    decides only between models that share the name.
    """
    return _one(_keys(name), memory_mib)


def identify_label(label: str, value: str, *, memory_mib: float | None = None) -> GpuModel | None:
    """Return the model that the value of a node label means: a cloud's short names count under their own label."""
    keys = _label_values().get((label, value.strip().casefold()), ())
    return _one(keys, memory_mib) or identify(value, memory_mib=memory_mib)


def resolve(text: str) -> GpuModel:
    """Return the model a person means by a key or a name. UserError, with candidates, if ambiguous or unknown."""
    wanted = _plain(text)
    keys = _keys(text)
    if len(keys) == 1:
        return _by_key()[keys[0]]
    candidates = keys or _starting_with(wanted)
    if candidates:
        raise UserError(f"GPU {text!r} could be any of: {', '.join(candidates)}", hint="name one of them")
    close = difflib.get_close_matches(wanted, _by_key(), n=4, cutoff=0.5)
    raise UserError(
        f"no GPU model is called {text!r}",
        hint=f"did you mean {', '.join(close)}?" if close else "gpuaudit prices lists the models that are known",
    )


def gfd_labels() -> GfdLabels:
    """Return the labels that GPU feature discovery and the MIG manager put on a node."""
    return _file().gfd_labels


def formats() -> Formats:
    """Return what tells whether a model computes with the number formats of another."""
    return _file().formats


def generation(model: GpuModel) -> tuple[int, ...] | None:
    """Return the compute capability as numbers, (9, 0); None for one that is not known, or of another maker."""
    parts = (model.compute_capability or "").split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else None


def links() -> Links:
    """Return the speeds of PCIe and NVLink."""
    return _file().links


def nvml_profile_enum() -> Mapping[str, int]:
    """Return the NVML enum of each GPU-instance profile (`1_SLICE` → 0); not the id that nvidia-smi prints."""
    return _file().nvml_gpu_instance_profile_enum


def sources() -> Mapping[str, str]:
    """Return the text behind each source tag of this table."""
    return _file().sources


@cache
def _by_key() -> Mapping[str, GpuModel]:
    return {model.key: model for model in all_models()}


def _keys(name: str) -> tuple[str, ...]:
    """Return the keys that a name can mean anywhere."""
    return _spellings().get(_plain(name)) or _accelerators().get(name.strip().casefold(), ())


@cache
def _spellings() -> Mapping[str, tuple[str, ...]]:
    pairs = [(name, m.key) for m in all_models() for name in (m.key, *m.names, *m.gfd_products)]
    pairs += [(alias.name, key) for alias in _file().aliases for key in alias.keys if alias.label is None]
    return _grouped((_plain(name), key) for name, key in pairs)


@cache
def _accelerators() -> Mapping[str, tuple[str, ...]]:
    """Map label values that say enough to be known without their label: not a bare `h100`, one model on one cloud."""
    named = (alias for alias in _file().aliases if alias.label and alias.name.startswith("nvidia-"))
    return _grouped((alias.name, key) for alias in named for key in alias.keys)


@cache
def _label_values() -> Mapping[tuple[str, str], tuple[str, ...]]:
    return {(alias.label, alias.name): alias.keys for alias in _file().aliases if alias.label}


def _grouped(pairs: Iterable[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    groups: dict[str, dict[str, None]] = {}
    for name, key in pairs:
        groups.setdefault(name, {})[key] = None
    return {name: tuple(keys) for name, keys in groups.items()}


def _one(keys: tuple[str, ...], memory_mib: float | None) -> GpuModel | None:
    models = [_by_key()[key] for key in keys]
    if len(models) > 1 and memory_mib is not None:
        slack = _file().memory_tolerance
        models = [m for m in models if abs(memory_mib - m.memory_mib) <= slack * m.memory_mib]
    return models[0] if len(models) == 1 else None


def _starting_with(wanted: str) -> tuple[str, ...]:
    return tuple(key for key in _by_key() if key.startswith(f"{wanted}-"))


@cache
def _suffixes() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in _file().product_suffixes)


def _plain(name: str) -> str:
    """Return a name in lower case with dashes for blanks, without maker and without what sharing or MIG append."""
    text = re.sub(r"[\s_]+", "-", name.strip()[:200])
    for suffix in _suffixes():
        text = suffix.sub("", text)
    return text.casefold().removeprefix("nvidia-")
