"""What links the GPU nodes of a pool: kind and speed of the fabric, losslessness, GPUDirect, SR-IOV, with what says so.

Unknown stays unknown: a label that is absent, a counter that nobody collects, a switch that nobody can see.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gpuaudit.cluster.nodes import Interface, Node
from gpuaudit.cluster.platform import CustomObject
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.memory import once
from gpuaudit.knowledge import fabric, kubernetes, prices
from gpuaudit.knowledge.fabric import Kind


@dataclass(frozen=True, kw_only=True)
class NodeFabric:
    """A node's fabric. `gbps` is all of it in one direction; `devices` = RDMA devices; `exposed` = pods can ask."""

    kind: Kind
    gbps: float | None = None
    devices: int | None = None
    exposed: bool | None = None
    evidence: tuple[str, ...] = ()

    @property
    def rdma(self) -> bool | None:
        """Whether the node has RDMA or its like; None = not known."""
        return None if self.kind == "unknown" else self.kind != "ethernet"


@dataclass(frozen=True, kw_only=True)
class PoolFabric:
    """The fabric of a pool's GPU nodes; None = not known. `kind` is mixed when its nodes differ.

    `lossless`: True = PFC and ECN on for some priority of every RoCE port seen, False = off on some, None = not seen,
    or nothing to see (InfiniBand, EFA and TCPX need none: `lossless_matters` is False).
    """

    cluster: str
    pool: str  # "" = nodes without a pool
    nodes: int
    kind: str
    gbps_per_node: float | None = None
    lossless: bool | None = None
    lossless_matters: bool = False
    gpudirect: bool | None = None
    sriov: bool | None = None
    exposed: bool | None = None
    evidence: tuple[str, ...] = ()


@once
def fabric_of(snapshot: Snapshot) -> tuple[PoolFabric, ...]:
    """Return the fabric of every pool that has GPU nodes, by cluster and pool."""
    pools: dict[tuple[str, str], list[Node]] = {}
    for node in snapshot.gpu_nodes:
        pools.setdefault((node.cluster, node.pool or ""), []).append(node)
    return tuple(_pool(snapshot, cluster, pool, nodes) for (cluster, pool), nodes in sorted(pools.items()))


def _pool(snapshot: Snapshot, cluster: str, pool: str, nodes: Sequence[Node]) -> PoolFabric:
    told = [node_fabric(node) for node in nodes]
    kinds = {one.kind for one in told}
    speeds = {one.gbps for one in told}
    kind = next(iter(kinds)) if len(kinds) == 1 else "mixed"
    direct = gpudirect(snapshot, nodes)
    matters = kind in ("roce", "mixed") and any(one.kind == "roce" for one in told)
    texts = dict.fromkeys(text for one in told for text in one.evidence)
    loss = [lossless(node) for node in nodes]
    return PoolFabric(
        cluster=cluster,
        pool=pool,
        nodes=len(nodes),
        kind=kind,
        gbps_per_node=next(iter(speeds)) if len(speeds) == 1 else None,
        lossless=_every(loss) if matters else None,
        lossless_matters=matters,
        gpudirect=direct.on,
        sriov=_sriov(nodes),
        exposed=_every([one.exposed for one in told if one.rdma]),
        evidence=(*texts, *direct.evidence),
    )


def node_fabric(node: Node) -> NodeFabric:
    """Return a node's fabric: what its ports say, else its instance type, else the resources and labels it has."""
    resources = rdma_resources(node)
    exposed = bool(resources) if node.listed else None
    offer = prices.find(node.provider, node.instance_type) if node.instance_type else None
    words = offer.rdma if offer else None
    kind, evidence = _kind(node, words, resources)
    gbps, told = _speed(node, kind, offer)
    return NodeFabric(
        kind=kind,
        gbps=gbps,
        devices=_devices(node, kind, offer),
        exposed=exposed if kind not in ("ethernet", "unknown") else None,
        evidence=tuple(filter(None, (*evidence, told))),
    )


def rdma_resources(node: Node) -> Mapping[str, int]:
    """Return the resources by which a node offers RDMA to pods, with what is allocatable of each."""
    return {one.name: one.allocatable or 0 for one in node.resources if is_rdma(one.name) and one.allocatable}


def is_rdma(resource: str) -> bool:
    """Whether a resource's name is one of RDMA's, as far as free text can tell."""
    names = kubernetes.resources()
    return resource.startswith((*names.rdma_prefixes, *names.rdma_any))


def rdma_ports(node: Node) -> tuple[Interface, ...]:
    """Return the RDMA ports of a node as its host or metrics tell."""
    return tuple(port for port in node.interfaces if port.kind != "ethernet")


def fabric_ports(node: Node) -> tuple[Interface, ...]:
    """Return the ports that GPUs of several nodes talk over: RDMA ports of the usual kind and speed; else the fastest.

    A node's other RDMA ports carry storage, most likely.
    """
    if ports := rdma_ports(node):
        usual = Counter(port.kind for port in ports).most_common(1)[0][0]
        alike = [port for port in ports if port.kind == usual]
        common = Counter(port.speed_gbps for port in alike if port.speed_gbps).most_common(1)
        return tuple(port for port in alike if not common or port.speed_gbps in (None, common[0][0]))
    virtual = fabric.pattern(fabric.fabric().ports.virtual_interfaces)
    plain = [port for port in node.interfaces if not virtual.match(port.name) and port.up is not False]
    speeds = [port.speed_gbps for port in plain if port.speed_gbps]
    return tuple(port for port in plain if speeds and port.speed_gbps == max(speeds))


def lossless(node: Node) -> bool | None:
    """Whether PFC and ECN are on for some priority of every RoCE port of a node; None when no port tells both."""
    ports = [port for port in node.interfaces if port.kind == "roce"]
    told = [bool(port.pfc_priorities) and port.ecn for port in ports if port.pfc_priorities is not None]
    return _every(told)


@dataclass(frozen=True)
class GpuDirect:
    """Whether GPUDirect RDMA can work; `on` None = not known."""

    on: bool | None
    evidence: tuple[str, ...] = ()


def gpudirect(snapshot: Snapshot, nodes: Iterable[Node]) -> GpuDirect:
    """Return whether NICs reach GPU memory: nvidia_peermem or DMA-BUF, as hosts, labels or NCCL's log tell.

    A label that is not there says nothing: DMA-BUF needs no module.
    """
    listed = list(nodes)
    mark = fabric.fabric().node.peermem_label
    names = {node.key for node in listed}
    logged = {log.gpudirect for log in snapshot.nccl_logs if (log.cluster, log.node or "") in names}
    told: list[bool | None] = []
    evidence: list[str] = []
    for node in listed:
        if node.peermem or node.dma_buf or node.labels.get(mark) == "true":
            told.append(True)
            how = "nvidia_peermem" if node.peermem or node.labels.get(mark) == "true" else "DMA-BUF"
            evidence.append(f"{how} on its hosts")
        else:
            off = node.peermem is False and node.dma_buf is False
            told.append(False if off else None)
            evidence += ["neither nvidia_peermem nor DMA-BUF on some host"] if off else []
    if True in logged:
        return GpuDirect(True, ("NCCL's log: GPU Direct RDMA enabled",))
    return GpuDirect(_every(told), tuple(dict.fromkeys(evidence)))


def policies(snapshot: Snapshot, cluster: str, kind: str) -> Iterator[CustomObject]:
    """Yield the custom objects of a kind."""
    return (one for one in snapshot.custom_objects if one.kind == kind and one.cluster == cluster)


def value(item: CustomObject, path: str) -> object:
    """Return a field of a custom object as plain data; None when it is not there or was cut off."""
    try:
        return msgspec.json.decode(item.fields[path]) if path in item.fields else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _kind(node: Node, words: str | None, resources: Mapping[str, int]) -> tuple[Kind, list[str]]:
    """Return the kind and what says so: the first of ports, instance type, resources, devices and labels that tells."""
    ports = Counter(port.kind for port in rdma_ports(node) if port.kind != "other")
    if ports:
        kind = ports.most_common(1)[0][0]
        return kind, [f"{ports[kind]} {kind} {'port' if ports[kind] == 1 else 'ports'} on its host"]
    known = fabric.kind_of(words)
    if known not in ("unknown", "ethernet"):
        return known, [f"instance type {node.instance_type}: {words}"]
    if resources:
        return _kind_of_resources(resources), [f"offers {', '.join(sorted(resources))}"]
    if rdma_ports(node):
        return "rdma", [f"{len(rdma_ports(node))} RDMA devices on its host"]
    labels = (key for key in fabric.fabric().node.capable_labels if node.labels.get(key) == "true")
    if label := next(labels, None):
        return "rdma", [f"label {label}"]
    if known == "ethernet":
        return known, [f"instance type {node.instance_type} has no RDMA"]
    bare = node.probe_taken_at is not None and bool(node.interfaces)
    return ("ethernet", ["no RDMA device on its host"]) if bare else ("unknown", [])


def _kind_of_resources(names: Iterable[str]) -> Kind:
    listed = tuple(names)
    if kubernetes.resources().efa in listed:
        return "efa"
    patterns = [fabric.pattern(one) for one in fabric.fabric().node.infiniband_resources]
    return "infiniband" if any(one.search(name) for name in listed for one in patterns) else "rdma"


def _speed(node: Node, kind: Kind, offer: prices.Offer | None) -> tuple[float | None, str]:
    """Return Gbit/s of the whole fabric of a node; None when a port does not tell, or the source means another net."""
    ports = [port for port in fabric_ports(node) if port.up is not False and not port.disabled]
    speeds = [port.speed_gbps for port in ports]
    known = [speed for speed in speeds if speed]
    if known and len(known) == len(speeds):
        return sum(known), f"{len(known)} × {max(known):g} Gbit/s" if len(set(known)) == 1 else f"{sum(known):g} Gbit/s"
    if offer is None:
        return None, ""
    links = fabric.links_of(offer.rdma)
    if links:
        return links[0] * links[1], ""
    plain = kind == "ethernet" or kind in fabric.fabric().aggregate
    return (offer.network_gbps, "") if plain and offer.network_gbps else (None, "")


def _devices(node: Node, kind: Kind, offer: prices.Offer | None) -> int | None:
    """Return RDMA devices that a node has: as its host tells, else as it offers EFA, else of its instance type."""
    if ports := rdma_ports(node):
        return len(ports)
    offered = next((one.allocatable for one in node.resources if one.name == kubernetes.resources().efa), None)
    return max(offered or 0, (offer.rdma_devices if offer else None) or 0) or None if kind == "efa" else None


def _sriov(nodes: Sequence[Node]) -> bool | None:
    marks = fabric.fabric().node
    told: list[bool | None] = []
    for node in nodes:
        counts = [port.virtual_functions for port in node.interfaces if port.virtual_functions is not None]
        label = node.labels.get(marks.sriov_label)
        told.append(any(counts) if counts else True if label == "true" else None)
    return _every(told)


def _every(told: Iterable[bool | None]) -> bool | None:
    """Return False when one is False, True when all are True, else None."""
    found = list(told)
    if any(one is False for one in found):
        return False
    return True if found and all(found) else None
