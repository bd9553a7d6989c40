"""The node probe's names in a cluster, and the bounds of what it tells there."""

from functools import cache

from gpuaudit.knowledge.reading import Entry, read_toml


class NodeLabel(Entry, frozen=True):
    """A label of GPU nodes; without values any value will do."""

    key: str
    values: tuple[str, ...] = ()


class Limits(Entry, frozen=True):
    """Bounds of the log, of ConfigMaps, and of what is read of them."""

    line_bytes: int
    document_bytes: int
    configmap_bytes: int
    log_bytes: int
    log_lines: int
    pods: int
    configmaps: int
    in_flight: int
    shortest_seconds: int  # between two readings


class Probe(Entry, frozen=True):
    """Names and bounds."""

    label: str
    name: str
    namespace: str
    container: str
    configmap_prefix: str
    configmap_key: str
    environment: tuple[str, ...]
    mps_server: str
    gpu_nodes: tuple[NodeLabel, ...]
    limits: Limits

    @property
    def selector(self) -> str:
        """The label selector that finds the probe's pods and ConfigMaps."""
        return f"{self.label}={self.name}"


@cache
def probe() -> Probe:
    """Return the names and bounds."""
    return read_toml("probe", Probe)
