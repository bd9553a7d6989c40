"""Known systems and the signals that show them; the rows of the report's stack."""

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Literal

from gpuaudit.knowledge.reading import Entry, read_toml, shaped

Layer = Literal["compute", "serving", "network", "orchestration", "observability"]

STACK_ROWS: "tuple[StackRow, ...]"  # in the report's order; read when first asked for


class WorkloadSignal(Entry, frozen=True, kw_only=True):
    """A workload of the system itself: `name` is a regular expression; namespace and labels only hint.

    With `only_there` the name is too plain to say anything in another namespace.
    """

    kind: str
    name: str
    namespace: str | None = None
    only_there: bool = False
    labels: dict[str, str] = {}


class System(Entry, frozen=True, kw_only=True):
    """A system and its signals. Names of labels, resources, annotations and metrics are prefixes."""

    key: str
    layer: Layer
    name: str
    api_groups: tuple[str, ...] = ()
    crds: tuple[str, ...] = ()  # full names
    crd_regex: str | None = None
    crds_related: tuple[str, ...] = ()
    workloads: tuple[WorkloadSignal, ...] = ()
    images: tuple[str, ...] = ()  # regular expressions
    version_images: tuple[str, ...] = ()  # the only ones whose tags are its version; none = all of its images
    sidecar_images: tuple[str, ...] = ()
    scheduler_names: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    namespace_prefix: str | None = None
    node_labels: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_regex: str | None = None
    product_regex: str | None = None  # over the label nvidia.com/gpu.product
    device_classes: tuple[str, ...] = ()
    pod_labels: tuple[str, ...] = ()  # KEY=VALUE or a prefix
    pod_label_examples: tuple[str, ...] = ()
    object_labels: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()
    scheduling_gates: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()  # regular expressions over command and arguments joined by blanks
    containers: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    configmaps: tuple[str, ...] = ()
    configmap_labels: tuple[str, ...] = ()
    apiservices: tuple[str, ...] = ()
    hpa_name_prefix: str | None = None
    clusterpolicy_fields: tuple[str, ...] = ()
    read_for_generation: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    metric_labels: tuple[str, ...] = ()
    metric_regex: str | None = None
    log_regex: str | None = None
    kernel_modules: tuple[str, ...] = ()
    sysfs: tuple[str, ...] = ()
    provider_id_prefix: str | None = None
    ambiguous: tuple[str, ...] = ()  # signals that another system shares
    sources: tuple[str, ...]

    def matches_image(self, reference: str) -> bool:
        """Whether an image reference is one of the system's."""
        return any(_pattern(pattern).search(reference[:512]) for pattern in self.images)

    def tells_version(self, reference: str) -> bool:
        """Whether the tag of an image of the system is the system's version."""
        return not self.version_images or any(_pattern(one).search(reference[:512]) for one in self.version_images)

    def matches_command(self, words: str) -> bool:
        """Whether a command line (joined by blanks) starts the system."""
        return any(_pattern(pattern).search(words[:4096]) for pattern in self.commands)

    def matches_workload(self, *, kind: str, name: str, namespace: str = "") -> bool:
        """Whether a workload is one of the system's own."""
        return any(
            row.kind == kind
            and (not row.only_there or row.namespace == namespace)
            and _pattern(row.name).search(name[:253])
            for row in self.workloads
        )


class StackRow(Entry, frozen=True):
    """A row of the report's stack and the systems that evidence it; none = nothing shows it from outside."""

    system: str
    layer: Layer
    keys: tuple[str, ...]


class _File(Entry, frozen=True):
    compiled: str
    stack: tuple[StackRow, ...]
    system: dict[str, dict[str, object]]


@cache
def _file() -> _File:
    return read_toml("systems", _File)


def __getattr__(name: str) -> tuple[StackRow, ...]:
    if name == "STACK_ROWS":
        return _file().stack
    raise AttributeError(name)


def all_systems() -> tuple[System, ...]:
    """Return every system, in the order of the table."""
    return tuple(_by_key().values())


def by_key(key: str) -> System | None:
    """Return the system with exactly this key."""
    return _by_key().get(key)


def of_image(reference: str) -> tuple[str, ...]:
    """Return the keys of the systems that an image is of; most images are of none, which one look tells."""
    if not _every_image().search(reference[:512]):
        return ()
    return tuple(system.key for system in all_systems() if system.matches_image(reference))


def of_workload(*, kind: str, name: str, namespace: str = "") -> tuple[str, ...]:
    """Return the keys of the systems that a workload is the own one of; most are of none, which one look tells."""
    if not _every_workload(kind).search(name[:253]):
        return ()
    return tuple(
        system.key for system in all_systems() if system.matches_workload(kind=kind, name=name, namespace=namespace)
    )


@cache
def _every_image() -> re.Pattern[str]:
    return _any_of(pattern for system in all_systems() for pattern in system.images)


@lru_cache(maxsize=64)
def _every_workload(kind: str) -> re.Pattern[str]:
    return _any_of(row.name for system in all_systems() for row in system.workloads if row.kind == kind)


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that is found wherever one of the patterns is; nowhere if there are none."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in sorted(set(patterns))) or r"(?!)")


@cache
def _by_key() -> Mapping[str, System]:
    return {key: shaped({"key": key, **signals}, System) for key, signals in _file().system.items()}


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)
