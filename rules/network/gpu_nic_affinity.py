"""Rule gpu-nic-affinity."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network.fabric import rdma_ports
from gpuaudit.demand.subjects import count, listed, node_groups, node_subject, place
from gpuaudit.knowledge import fabric
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule

ORDER = ("PIX", "PXB", "PHB", "NODE", "SYS")  # the nearest first, as nvidia-smi topo prints them
LEAST_NODES = 3


@rule(Severity.LOW, needs={"node_facts", "node_network"})
def gpu_nic_affinity(snapshot: Snapshot) -> Iterator[Finding]:
    """GPUs of a node reach their network cards only across the processor's sockets.

    What a GPU sends then crosses the link between the sockets, which all of them share, and GPUDirect RDMA is slow or
    off on that path. Where most nodes of a pool have a near card for each GPU and one has not, a card is missing, in
    the wrong slot, or not passed through to the machine. Where all nodes of a pool have cards enough, one for every two
    GPUs, and leave the GPUs of a socket without one, it is how they were built, and only said as information. A single
    card, and virtual machines that hide where things are, are not judged.

    Put the card into the slot that the vendor's plan names; in a virtual machine, give it the host's topology. Let the
    kubelet's topology manager (single-numa-node) and the device plugins align GPU and card for pods with a part of a
    node.
    """
    far = {node.key: gpus for node in snapshot.gpu_nodes if (gpus := _far(node))}
    for group in node_groups(node for node in snapshot.gpu_nodes if node.key in far):
        odd = [node for node in group if _unlike(snapshot, node)]
        if odd or all(_has_enough(node) for node in group):
            yield _finding(odd or group, far, bool(odd))


def _paths(node: Node) -> Mapping[int, str]:
    """Return for each GPU the nearest path to an RDMA port; a GPU of which no path is known is left out."""
    ports = {port.name.partition("/")[0] for port in rdma_ports(node)}
    found = {}
    for card in node.cards:
        told = [link.path for link in card.links if link.peer in ports and link.path in ORDER]
        if told:
            found[card.index] = min(told, key=ORDER.index)
    return found


def _far(node: Node) -> tuple[int, ...]:
    """Return the GPUs without a near port, of a node where others have one."""
    paths = _paths(node)
    far = tuple(index for index, path in paths.items() if path in fabric.fabric().ports.far_paths)
    return far if far and len(far) < len(paths) and len(rdma_ports(node)) > 1 else ()


def _unlike(snapshot: Snapshot, node: Node) -> bool:
    """Whether most alike nodes of its pool have nearer ports for their GPUs."""
    alike = [
        _paths(other)
        for other in snapshot.gpu_nodes
        if (other.cluster, other.pool, other.gpus) == (node.cluster, node.pool, node.gpus) and _paths(other)
    ]
    near = Counter(not any(path in fabric.fabric().ports.far_paths for path in paths.values()) for paths in alike)
    return len(alike) >= LEAST_NODES and near[True] > near[False]


def _has_enough(node: Node) -> bool:
    return 2 * len(rdma_ports(node)) >= node.gpus


def _finding(group: Sequence[Node], far: Mapping[tuple[str, str], tuple[int, ...]], odd: bool) -> Finding:
    total = sum(len(far[node.key]) for node in group)
    named = [f"{node.name} (GPU {', '.join(map(str, far[node.key]))})" for node in group]
    why = "unlike the rest of the pool" if odd else "as these nodes are built"
    return Finding(
        subject=node_subject(group, gpus=float(total)),
        severity=None if odd else Severity.INFO,
        message=f"{count(total, 'GPU')} in {place(group)} reach a network card only across the sockets, {why}: "
        f"{listed(named)}",
        evidence=tuple(
            Evidence(
                name=f"nearest card of GPU {index} on {node.name}", value=path, statistic="now", source="node facts"
            )
            for node in group[:4]
            for index, path in _paths(node).items()
        ),
        confidence="likely" if odd else "investigate",
        act=Act(kind="configure", risk="reboot", target=group[0].pool or group[0].name),
        fix=Fix(note="the slot that the vendor's plan names; topology manager for pods with a part of a node"),
        refutation="a card that no job uses, or a topology that the virtual machine does not show as it is",
    )
