"""What a pool keeps free on purpose: room for one node's failure and for one roll-out, per pool and zone."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Workload
from gpuaudit.demand.capacity.free import empty_nodes, held_by_hour, lost_gpus
from gpuaudit.demand.capacity.stranding import stranding
from gpuaudit.demand.memory import once

PoolZone = tuple[str, str | None, str | None]  # cluster, pool, zone
Loads = Mapping[str, Sequence[float]]  # GPUs of each piece of work by node name


@dataclass(frozen=True, kw_only=True)
class Reserve:
    """The reserve of one pool and zone. `covered` False = even all that is free could not take some node's work.

    `kept` are the empty nodes that it needs; `held_back` GPUs by node name, on empty and partly held nodes alike. What
    fits nowhere holds nothing back: three free GPUs are no reserve for a pod of eight.
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
    """Return the reserve by (cluster, pool, zone): for the work of now and of the window's busiest hour."""
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
    room = {node.name: float(node.gpus - lost_gpus(node)) for node in nodes if usable(snapshot, node)}
    now = {node.name: _load(snapshot, node) for node in nodes}
    empty = [node.name for node in _keeping_order(snapshot, nodes) if node.name in room and not now[node.name]]
    surge = _surge(snapshot, nodes)
    needed = max(_nodes_needed(loads, room, surge) for loads in (now, _peak(snapshot, nodes, now)))
    kept = empty[: max(0, needed - sum(map(bool, now.values())))]
    held_back = _held_back(now, _without(_free(now, room), [name for name in empty if name not in kept]), surge)
    fullest = max(now, key=lambda name: (sum(now[name]), name), default=None)
    failure = sum(now[fullest]) if fullest else 0.0
    return Reserve(
        gpus=sum(held_back.values()),
        nodes=len(kept),
        covered=_survives(now, _free(now, room), (), surge),
        fullest=fullest if failure else None,
        failure_gpus=failure,
        surge_gpus=sum(surge),
        kept=tuple(kept),
        held_back=held_back,
    )


def _load(snapshot: Snapshot, node: Node) -> list[float]:
    """GPUs of each pod on the node, the largest first; a holding of unknown size fills the node."""
    pods = snapshot.holders(node)
    if any(pod.gpus is None for pod in pods):
        return [float(node.gpus)]
    return sorted((pod.gpus or 0.0 for pod in pods), reverse=True)


def _peak(snapshot: Snapshot, nodes: Sequence[Node], now: Loads) -> Loads:
    """GPUs held on each node in the hour when most were held on all of them, each node's as one piece."""
    hours = held_by_hour(snapshot).by_hour.values()
    peak = max(hours, key=lambda held: sum(held.get(node.key, 0.0) for node in nodes), default={})
    return {
        node.name: now[node.name] if node.key not in peak else [peak[node.key]] if peak[node.key] > 0 else []
        for node in nodes
    }


def _nodes_needed(loads: Loads, room: Mapping[str, float], surge: Sequence[float]) -> int:
    """Return how many nodes the work and its reserve need; empty ones that could take nothing are not needed."""
    free = _free(loads, room)
    empty = sorted(name for name in room if not loads[name])
    count = _fewest(loads, free, empty, surge)
    if count is None:
        held_back = _held_back(loads, free, surge)
        count = sum(name in held_back for name in empty)
    return sum(map(bool, loads.values())) + count


def _free(loads: Loads, room: Mapping[str, float]) -> dict[str, float]:
    return {name: max(0.0, gpus - sum(loads[name])) for name, gpus in room.items()}


def _keeping_order(snapshot: Snapshot, nodes: Sequence[Node]) -> list[Node]:
    """Sort: keep declared spares first, then nodes that were used lately, then those whose release saves no cash."""
    all_window = {empty.node.key for empty in empty_nodes(snapshot) if empty.all_window}
    return sorted(
        nodes,
        key=lambda n: (n.role != "spare", n.key in all_window, n.purchase == "on_demand", n.name),
    )


def _fewest(loads: Loads, free: Mapping[str, float], empty: Sequence[str], surge: Sequence[float]) -> int | None:
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


def _survives(loads: Loads, free: Mapping[str, float], without: Sequence[str], surge: Sequence[float]) -> bool:
    """Whether every node that holds work may fail: its pods and the surge fit, each on one of the other nodes."""
    room = _without(free, without)
    return all(_packed([*loads.get(name, ()), *surge], _without(room, (name,)))[0] for name in _failing(loads, room))


def _held_back(loads: Loads, free: Mapping[str, float], surge: Sequence[float]) -> dict[str, float]:
    """GPUs that each node would give when another one fails; pieces that fit nowhere hold nothing back."""
    held: dict[str, float] = {}
    for name in _failing(loads, free):
        for other, gpus in _packed([*loads.get(name, ()), *surge], _without(free, (name,)))[1].items():
            held[other] = max(held.get(other, 0.0), gpus)
    if not held:
        held = _packed(surge, dict(free))[1]
    return dict(sorted(held.items()))


def _failing(loads: Loads, room: Mapping[str, float]) -> list[str]:
    """Of nodes with the same work, the one whose own room is missed most; no node at all where nothing is held."""
    worst: dict[tuple[float, ...], str] = {}
    for name in sorted(loads, key=lambda name: (room.get(name, 0.0), name)):
        if loads[name]:
            worst[tuple(loads[name])] = name
    return list(worst.values()) or [""]


def _without(room: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    gone = set(names)
    return {name: gpus for name, gpus in room.items() if name not in gone}


def _packed(pieces: Sequence[float], room: dict[str, float]) -> tuple[bool, dict[str, float]]:
    """Best fit, the largest piece first: whether all fit, and what each node gives."""
    given: dict[str, float] = {}
    fits = True
    for piece in sorted(pieces, reverse=True):
        fitting = [(left, name) for name, left in room.items() if left >= piece - 1e-6]
        if not fitting:
            fits = False
            continue
        left, name = min(fitting)
        room[name] = left - piece
        given[name] = given.get(name, 0.0) + piece
    return fits, given


def _surge(snapshot: Snapshot, nodes: Sequence[Node]) -> list[float]:
    """GPUs of the extra pods that the largest roll-out here starts: one roll-out at a time."""
    pods: dict[str, list[float]] = defaultdict(list)
    for node in nodes:
        for pod in snapshot.holders(node):
            pods[pod.workload].append(pod.gpus or 0.0)
    surges = [
        [max(sizes)] * extra
        for name, sizes in sorted(pods.items())
        if (extra := surge_pods(snapshot.workload_by_id.get(name), len(sizes)))
    ]
    return max(surges, key=sum, default=[])


def surge_pods(workload: Workload | None, pods: int) -> int:
    """Extra pods of one roll-out; Kubernetes' default of a Deployment is a quarter, rounded up."""
    if workload is None or workload.kind != "Deployment" or workload.strategy == "Recreate":
        return 0
    text = workload.max_surge or "25%"
    if text.endswith("%") and text[:-1].isdigit():
        return math.ceil(pods * int(text[:-1]) / 100)
    return min(int(text), pods) if text.isdigit() else 0
