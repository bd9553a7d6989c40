"""What links GPU nodes: classes of fabric, how pods ask for it, NCCL's settings and log, limits of ports."""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal

from gpuaudit.knowledge.reading import Entry, read_toml

Kind = Literal["infiniband", "roce", "efa", "tcpx", "omnipath", "rdma", "ethernet", "unknown"]


class FabricClass(Entry, frozen=True):
    """What a provider's word for a network means."""

    pattern: str
    kind: Kind


class NodeMarks(Entry, frozen=True):
    """Labels and resources by which a node shows its fabric; `*_resources` are regular expressions."""

    capable_labels: tuple[str, ...]
    nic_labels: tuple[str, ...]
    sriov_label: str
    sriov_capable_label: str
    peermem_label: str
    clique_label: str
    infiniband_resources: tuple[str, ...]
    rail_resources: tuple[str, ...]


class PodMarks(Entry, frozen=True):
    """How a pod asks for a network without a resource."""

    network_annotations: tuple[str, ...]
    gke_annotations: tuple[str, ...]
    gke_env: tuple[str, ...]
    gke_containers: tuple[str, ...]
    computedomain_classes: tuple[str, ...]


class Collective(Entry, frozen=True):
    """What says that the pods of a workload talk to each other; `*env` are shell patterns."""

    kinds: tuple[str, ...]
    env: tuple[str, ...]
    not_env: tuple[str, ...]
    network_env: tuple[str, ...]
    node_count_flags: tuple[str, ...]
    node_count_env: tuple[str, ...]
    programs: tuple[str, ...]
    tensor_flags: tuple[str, ...]
    tensor_env: tuple[str, ...]
    pipeline_flags: tuple[str, ...]
    pipeline_env: tuple[str, ...]
    group_labels: tuple[str, ...]
    rank_free_roles: tuple[tuple[str, str], ...]
    traffic_gbps: float
    quiet_gbps: float


class Setting(Entry, frozen=True):
    """Values of a variable that mean something."""

    name: str
    values: tuple[str, ...]
    means: str


class Operator(Entry, frozen=True):
    """A kind of object that says how far its operator got; `details` is a field that says why not, "" = none."""

    kind: str
    state: str
    bad: tuple[str, ...]
    details: str
    does: str


class NcclEnv(Entry, frozen=True):
    """NCCL's settings that switch RDMA or GPUDirect off."""

    socket_env: tuple[Setting, ...]
    libfabric_env: tuple[str, ...]
    ib_only_env: tuple[str, ...]
    plugin_off_env: Setting
    gdr_off_env: tuple[Setting, ...]
    dmabuf_env: Setting


class NcclLines(Entry, frozen=True):
    """Regular expressions over lines of NCCL_DEBUG=INFO, and bounds of what is kept of a file."""

    mark: str
    head: str
    json_end: str
    kubectl_prefix: str
    network: str
    devices: str
    devices_line: str
    no_device: str
    socket_line: str
    interface: str
    plugin: str
    gdr: str
    dmabuf: str
    path: str
    gdr_mark: str
    nodes: str
    ranks: str
    version: str
    rdma_networks: tuple[str, ...]
    socket_networks: tuple[str, ...]
    max_hosts: int
    max_line_chars: int
    max_processes: int
    max_texts: int
    max_text_chars: int


class Weights(Entry, frozen=True):
    """How weights come to a node; `local_provisioners` are regular expressions."""

    local_provisioners: tuple[str, ...]
    dtype_flags: tuple[str, ...]
    usual_dtype: str
    together_minutes: float


class Mtu(Entry, frozen=True):
    """MTUs of fabric ports in bytes; of kinds in `fixed` they are by design."""

    jumbo_bytes: int
    usual_bytes: int
    fixed: tuple[Kind, ...]
    sriov_fabric_vendors: tuple[str, ...]


class Ports(Entry, frozen=True):
    """Counters and states of ports, and names of interfaces that are no port of a fabric."""

    errors: tuple[str, ...]
    flaps: tuple[str, ...]
    physical: tuple[str, ...]
    loss: tuple[str, ...]
    near_paths: tuple[str, ...]
    far_paths: tuple[str, ...]
    virtual_interfaces: str
    active_state_id: int
    enabled_physical_state_id: int
    disabled_physical_state_id: int
    state_sources: tuple[str, ...]


class PortMetrics(Entry, frozen=True):
    """node_exporter's names; `increases` by metric: the counter's name in sysfs."""

    rate: str
    state: str
    physical_state: str
    info: str
    speed: str
    up: str
    mtu: str
    device_label: str
    port_label: str
    device_kinds: tuple[FabricClass, ...]
    unknown_speed_below: float
    increases: dict[str, str]


class Fabric(Entry, frozen=True):
    """The whole table."""

    compiled: str
    sources: tuple[str, ...]
    fabric_class: tuple[FabricClass, ...]
    class_links: str
    aggregate: tuple[Kind, ...]
    lossy_by_design: tuple[Kind, ...]
    provider_made: tuple[str, ...]
    node: NodeMarks
    pod: PodMarks
    collective: Collective
    operator: tuple[Operator, ...]
    nccl: NcclEnv
    log: NcclLines
    weights: Weights
    mtu: Mtu
    ports: Ports
    metrics: PortMetrics


@cache
def fabric() -> Fabric:
    """Return the table."""
    return read_toml("fabric", Fabric)


def kind_of(words: str | None) -> Kind:
    """Return what a provider's word for a network (prices.Offer.rdma) means; unknown for none."""
    found = (row.kind for row in fabric().fabric_class if words and pattern(row.pattern).search(words))
    return next(found, "unknown")


def kind_of_device(name: str) -> Kind:
    """Return what an RDMA device's name tells of its link layer; unknown for most."""
    found = (row.kind for row in fabric().metrics.device_kinds if pattern(row.pattern).search(name))
    return next(found, "unknown")


@cache
def port_metrics() -> frozenset[str]:
    """Return the names of node_exporter's metrics about ports that are read."""
    known = fabric().metrics
    return frozenset(
        {known.rate, known.state, known.physical_state, known.speed, known.up, known.mtu, *known.increases}
    )


def links_of(words: str | None) -> tuple[int, float] | None:
    """Return links and Gbit/s of each where such a word says it (`NDR 8x400Gb`)."""
    match = pattern(fabric().class_links).search(words or "")
    return (int(match[1] or 1), float(match[2])) if match else None


def carries_rdma(network: str) -> bool | None:
    """Whether a network that NCCL names is RDMA or its like; False for sockets, None for one that is not known."""
    if any(pattern(one).search(network) for one in fabric().log.rdma_networks):
        return True
    return False if any(pattern(one).search(network) for one in fabric().log.socket_networks) else None


def settings(env: Mapping[str, str], wanted: Iterable[Setting]) -> tuple[Setting, ...]:
    """Return the settings that an environment has."""
    return tuple(one for one in wanted if env.get(one.name, "").strip() in one.values)


def named(names: Iterable[str], patterns: Iterable[str], *, but: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names that match one of the shell patterns and none of `but`, sorted."""
    kept, left = tuple(patterns), tuple(but)
    return tuple(sorted(name for name in set(names) if _matches(name, kept) and not _matches(name, left)))


@cache
def pattern(text: str) -> re.Pattern[str]:
    """Return a compiled expression of the table."""
    return re.compile(text)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, one) for one in patterns)
