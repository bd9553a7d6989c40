"""What a pool keeps free on purpose: room for one node's failure and for one roll-out, per pool and zone."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Workload
from gpuaudit.demand.free import empty_nodes, free_gpus, held_by_hour
from gpuaudit.demand.memory import once
from gpuaudit.demand.stranding import stranding

PoolZone = tuple[str, str | None, str | None]  # cluster, pool, zone


@dataclass(frozen=True, kw_only=True)
class Reserve:
    """The reserve of one pool and zone. `covered` False = even all that is free could not take the fullest node's work.

    `kept` are the empty nodes that it needs; `held_back` GPUs by node name, on empty and partly held nodes alike.
    """

    gpus: float = 0.0
    nodes: int = 0
    covered: bool = True
    fullest: str | None = None  # the node whose failure needs most
    failure_gpus: float = 0.0
    surge_gpus: float = 0.0
    kept: tuple[str, ...] = ()
    held_back: Mapping[str, float] = field(default_factory=dict)


@once
def reserve(snapshot: Snapshot) -> Mapping[PoolZone, Reserve]:
    """Return the reserve by (cluster, pool, zone), for the most that each node held in the window."""
    groups: dict[PoolZone, list[Node]] = defaultdict(list)
    for node in snapshot.gpu_nodes:
        groups[pool_zone(node)].append(node)
    return {
        key: _reserve(snapshot, sorted(nodes, key=lambda n: n.name)) for key, nodes in sorted(groups.items(), key=str)
    }


def pool_zone(node: Node) -> PoolZone:
    """Return the key of a node's reserve."""
    return (node.cluster, node.pool, node.zone)


def usable(snapshot: Snapshot, node: Node) -> bool:
    """Whether free GPUs of the node can take work: it is in service and nothing strands them."""
    return node.ready is not False and not node.cordoned and stranding(snapshot, node) is None


def _reserve(snapshot: Snapshot, nodes: Sequence[Node]) -> Reserve:
    loads = {node.name: _load(snapshot, node) for node in nodes}
    free = {node.name: free_gpus(snapshot, node) or 0.0 for node in nodes if usable(snapshot, node)}
    empty = [node.name for node in _keeping_order(snapshot, nodes) if node.name in free and not loads[node.name]]
    surge = _surge(snapshot, nodes)
    fullest = max(loads, key=lambda name: (sum(loads[name]), name), default=None)
    failure = sum(loads[fullest]) if fullest else 0.0
    count = _fewest(loads, free, empty, surge)
    kept = tuple(empty[: len(empty) if count is None else count])
    wanted = min(failure + sum(surge), sum(free.values()))
    return Reserve(
        gpus=wanted,
        nodes=len(kept),
        covered=count is not None,
        fullest=fullest if failure else None,
        failure_gpus=failure,
        surge_gpus=sum(surge),
        kept=kept,
        held_back=_held_back(free, kept, wanted),
    )


def _load(snapshot: Snapshot, node: Node) -> list[float]:
    """GPUs of each pod on the node, the largest first; what its peak held beyond them as one piece."""
    pods = snapshot.holders(node)
    if any(pod.gpus is None for pod in pods):
        return [float(node.gpus)]
    sizes = sorted((pod.gpus or 0.0 for pod in pods), reverse=True)
    peak = held_by_hour(snapshot).peak(node.key) or 0.0
    more = math.ceil(min(float(node.gpus), peak) - sum(sizes) - 0.05)  # an hour's mean is seldom a whole number
    return sorted([*sizes, float(more)], reverse=True) if more > 0 else sizes


def _keeping_order(snapshot: Snapshot, nodes: Sequence[Node]) -> list[Node]:
    """Sort: keep declared spares first, then nodes that were used lately, then those whose release saves no cash."""
    all_window = {empty.node.key for empty in empty_nodes(snapshot) if empty.all_window}
    return sorted(
        nodes,
        key=lambda n: (n.role != "spare", n.key in all_window, n.purchase == "on_demand", n.name),
    )


def _fewest(
    loads: Mapping[str, Sequence[float]], free: Mapping[str, float], empty: Sequence[str], surge: Sequence[float]
) -> int | None:
    """Return how many of the empty nodes, the first ones, the others need for any one to fail; None = all do not do."""
    if not _survives(loads, free, (), surge):
        return None
    low, high = 0, len(empty)
    while low < high:
        middle = (low + high) // 2
        if _survives(loads, free, empty[middle:], surge):
            high = middle
        else:
            low = middle + 1
    return low


def _survives(
    loads: Mapping[str, Sequence[float]], free: Mapping[str, float], without: Sequence[str], surge: Sequence[float]
) -> bool:
    """Whether every node that holds work may fail: its pods and the surge fit, each on one of the other nodes."""
    gone = set(without)
    room = {name: gpus for name, gpus in free.items() if name not in gone}
    worst: dict[tuple[float, ...], str] = {}  # of nodes with the same work, the one whose own room is missed most
    for name in sorted(loads, key=lambda name: room.get(name, 0.0)):
        if loads[name]:
            worst[tuple(loads[name])] = name
    failing = worst.values() or [""]
    return all(_fits([*loads.get(name, ()), *surge], {k: v for k, v in room.items() if k != name}) for name in failing)


def _fits(pieces: Sequence[float], room: dict[str, float]) -> bool:
    """Best fit, the largest piece first."""
    for piece in sorted(pieces, reverse=True):
        fitting = [(left, name) for name, left in room.items() if left >= piece - 1e-6]
        if not fitting:
            return False
        left, name = min(fitting)
        room[name] = left - piece
    return True


def _held_back(free: Mapping[str, float], kept: Sequence[str], wanted: float) -> dict[str, float]:
    held: dict[str, float] = {}
    for name in sorted(free, key=lambda name: (name not in kept, free[name], name)):
        part = min(free[name], wanted)
        if part > 0:
            held[name] = part
            wanted -= part
    return held


def _surge(snapshot: Snapshot, nodes: Sequence[Node]) -> list[float]:
    """GPUs of the extra pods that the largest roll-out here starts: one roll-out at a time."""
    pods: dict[str, list[float]] = defaultdict(list)
    for node in nodes:
        for pod in snapshot.holders(node):
            pods[pod.workload].append(pod.gpus or 0.0)
    surges = [
        [max(sizes)] * extra
        for name, sizes in sorted(pods.items())
        if (extra := _surge_pods(snapshot.workload_by_id.get(name), len(sizes)))
    ]
    return max(surges, key=sum, default=[])


def _surge_pods(workload: Workload | None, pods: int) -> int:
    """Extra pods of one roll-out; Kubernetes' default of a Deployment is a quarter, rounded up."""
    if workload is None or workload.kind != "Deployment" or workload.strategy == "Recreate":
        return 0
    text = workload.max_surge or "25%"
    if text.endswith("%") and text[:-1].isdigit():
        return math.ceil(pods * int(text[:-1]) / 100)
    return min(int(text), pods) if text.isdigit() else 0
