"""GPU work that waits although GPUs that it could use stand free or are held idle: the reason, and what it missed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Shape
from gpuaudit.demand.capacity.free import free_gpus, held_by_hour, lost_gpus, tenures_by_node
from gpuaudit.demand.capacity.reserve import pool_zone, reserve
from gpuaudit.demand.memory import once
from gpuaudit.demand.scheduling.asks import Ask, asks, obstacles
from gpuaudit.demand.scheduling.placement import Obstacle, free_units, offered, room_for
from gpuaudit.demand.scheduling.promises import promised_elsewhere
from gpuaudit.demand.usage.judgement import idle
from gpuaudit.demand.usage.tenures import Tenure
from gpuaudit.knowledge import mig
from gpuaudit.knowledge.kubernetes import matches
from gpuaudit.knowledge.scheduling import scheduling, verdict

Why = Literal[
    "quota", "not offered", "fragmentation", "gang", "zone", "affinity", "selector", "taint",
    "cpu", "memory", "pods", "idle-held", "scheduler", "unknown",
]  # fmt: skip
HELD_BACK = ("QuotaExhausted", "Inadmissible", "Suspended", "SchedulingGated")  # a queue, not the scheduler


@dataclass(frozen=True, kw_only=True)
class Blame:
    """Why an ask waits although GPUs that it could use stand free. GPUs are physical."""

    ask: Ask
    why: Why
    detail: str
    free: float  # on nodes that it may use, now
    beyond: float  # of them, beyond what is kept for a node's failure and what is promised to others
    idle_held: float
    nodes: tuple[Node, ...]
    holders: tuple[str, ...] = ()  # workloads that hold GPUs idle
    lost_gpu_hours: float | None = None  # GPU-hours that stood free while it waited; None without a history


@once
def blames(snapshot: Snapshot) -> tuple[Blame, ...]:
    """Return the asks that wait although GPUs stand free or are held idle, with the reason; sorted as they wait."""
    return tuple(blame for ask in asks(snapshot) if ask.shapes and (blame := _blame(snapshot, ask)))


def free_now(snapshot: Snapshot, node: Node) -> float:
    """Return the free GPUs of a node; 0 where a holding's size is unknown, so that nothing is blamed on them."""
    return _room(snapshot)[node.key][0]


def beyond_reserve(snapshot: Snapshot, nodes: Sequence[Node]) -> float:
    """Return the free GPUs of the nodes beyond what each keeps for another one's failure and for a roll-out."""
    return sum(_room(snapshot)[node.key][1] for node in nodes)


@once
def _room(snapshot: Snapshot) -> Mapping[tuple[str, str], tuple[float, float]]:
    """Free GPUs of each GPU node, and those beyond its part of the reserve."""
    kept = reserve(snapshot)
    found = {}
    for node in snapshot.gpu_nodes:
        free = free_gpus(snapshot, node) or 0.0
        found[node.key] = free, max(0.0, free - kept[pool_zone(node)].held_back.get(node.name, 0.0))
    return found


@once
def _offered_anywhere(snapshot: Snapshot) -> frozenset[tuple[str, str]]:
    return frozenset((node.cluster, name) for node in snapshot.gpu_nodes for name in offered(node))


def broken_pieces(snapshot: Snapshot, ask: Ask, nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes with free devices, too few for the ask's largest pod, that would take it if they were empty."""
    name = ask.waiting.resource
    sizes = {
        node.key: max((one.capacity or 0 for one in node.resources if one.name == name), default=0) for node in nodes
    }
    return [node for node in nodes if sizes[node.key] >= ask.each > free_units(snapshot, node, name) > 0]


def _blame(snapshot: Snapshot, ask: Ask) -> Blame | None:
    by = obstacles(snapshot, ask)
    if (ask.waiting.cluster, ask.waiting.resource) not in _offered_anywhere(snapshot):
        return _not_offered(snapshot, ask)
    if ask.waiting.reason in HELD_BACK:
        return _held_back(snapshot, ask, by)
    return _unplaced(snapshot, ask, by) or _idle_held(snapshot, ask, by)


def _held_back(snapshot: Snapshot, ask: Ask, by: Mapping[Obstacle, tuple[Node, ...]]) -> Blame | None:
    """Blame a queue or gate only where one pod at least would fit beyond the reserve and others' promises."""
    why, detail = _held_by(ask)
    made = _made(snapshot, ask, why, detail, by.get("none", ()))
    return made if made.beyond + 1e-9 >= ask.each_gpus else None


def _held_by(ask: Ask) -> tuple[Why, str]:
    """Return what holds the work back as far as its queue tells; a gate or a turn in the queue is no quota."""
    waiting, texts = ask.waiting, scheduling().quota
    queue = f"queue {waiting.queue}" if waiting.queue else "its quota"
    if waiting.reason == "QuotaExhausted" or matches((*texts.queue_never, *texts.queue_full), waiting.message):
        return "quota", f"{queue} does not let it in"
    if waiting.reason == "SchedulingGated":
        return "unknown", "a scheduling gate holds its pods"
    return "unknown", f"{queue} has not let it in" if waiting.queue else "it was not let in"


def _unplaced(snapshot: Snapshot, ask: Ask, by: Mapping[Obstacle, tuple[Node, ...]]) -> Blame | None:
    fits, small = by.get("none", ()), by.get("room", ())
    least = min(1.0, ask.each_gpus)
    if fits:
        why, detail = _though_it_fits(snapshot, ask, fits)
        made = _made(snapshot, ask, why, detail, fits)
        return made if made.beyond + 1e-9 >= least else None
    for name in ("cpu", "memory", "pods"):
        found = by.get(name, ())
        if found:
            made = _made(snapshot, ask, name, f"no {_WORDS[name]} left beside the free GPUs", found)
            if made.beyond + 1e-9 >= least:
                return made
    pieces = broken_pieces(snapshot, ask, small)
    units = sum(free_units(snapshot, node, ask.waiting.resource) for node in pieces)
    if pieces and units + 1e-9 >= ask.each:
        largest = max(free_units(snapshot, node, ask.waiting.resource) for node in pieces)
        detail = f"no node has {ask.each:g} free, the largest piece is {largest:g}"
        made = _made(snapshot, ask, "fragmentation", detail, pieces)
        return made if made.beyond + 1e-9 >= least else None
    return _misplaced(snapshot, ask, by)


_WORDS = {"cpu": "CPU", "memory": "memory", "pods": "pod slot"}


def _misplaced(snapshot: Snapshot, ask: Ask, by: Mapping[Obstacle, tuple[Node, ...]]) -> Blame | None:
    """Blame a missing toleration, a zone or another place: only where the hardware would do and one pod would fit."""
    for why in ("taint", "zone", "selector"):
        nodes = [
            node for node in by.get(why, ()) if free_units(snapshot, node, ask.waiting.resource) + 1e-9 >= ask.each > 0
        ]
        if nodes:
            made = _made(snapshot, ask, why, _place_detail(ask, why, nodes), nodes)
            if made.beyond + 1e-9 >= ask.each_gpus:
                return made
    return None


def _place_detail(ask: Ask, why: str, nodes: Sequence[Node]) -> str:
    if why == "taint":
        keys = sorted({taint.key for node in nodes for taint in node.taints})
        return f"its pods do not tolerate {', '.join(keys)}"
    keys = sorted({key for shape in ask.shapes for key in (*shape.node_selector, *_affinity(shape))})
    return f"it asks for {', '.join(keys)}"


def _affinity(shape: Shape) -> list[str]:
    return [one[0] for term in shape.node_terms for one in term]


def _though_it_fits(snapshot: Snapshot, ask: Ask, fits: Sequence[Node]) -> tuple[Why, str]:
    """Return why work waits of which at least one pod would fit by all that is known."""
    places = sum(room_for(snapshot, node, ask.largest, ask.waiting.resource) for node in fits)
    said = verdict(ask.waiting.message)
    if said == "zone":
        return "zone", "its volume is in another zone"
    if said == "affinity":
        return "affinity", "its own spread or pod affinity forbids the free nodes"
    together = said == "gang" or (ask.scheduler or "") not in scheduling().gang.default_schedulers
    if together and places < ask.waiting.pods:
        return "gang", f"{ask.waiting.pods} pods start together, {places} would fit"
    if (ask.scheduler or "") not in scheduling().gang.default_schedulers and ask.waiting.reason == "Pending":
        return "scheduler", f"the scheduler {ask.scheduler} has said nothing: it may not run"
    return "unknown", f"{places} of {ask.waiting.pods} pods would fit by what can be seen"


def _idle_held(snapshot: Snapshot, ask: Ask, by: Mapping[Obstacle, tuple[Node, ...]]) -> Blame | None:
    """Blame GPUs that others hold and do not use, on nodes where the work would run."""
    full = by.get("room", ())
    held = {node.key: _idle_on(snapshot, node, ask) for node in full}
    enough = [
        node
        for node in full
        if held[node.key] and sum(one.gpus for one in held[node.key]) + free_now(snapshot, node) >= ask.each_gpus - 1e-9
    ]
    if not enough:
        return None
    owners = tuple(sorted({one.owner for node in enough for one in held[node.key]}))
    amount = sum(one.gpus for node in enough for one in held[node.key])
    return Blame(
        ask=ask, why="idle-held", detail="others hold the GPUs and do not use them", nodes=tuple(enough),
        free=0.0, beyond=0.0, idle_held=amount, holders=owners,
    )  # fmt: skip


def _idle_on(snapshot: Snapshot, node: Node, ask: Ask) -> list[Tenure]:
    return [
        one
        for one in tenures_by_node(snapshot).get(node.key, ())
        if one.held and one.current and not one.profile and not one.shared
        if one.owner != ask.waiting.workload and not _declared(snapshot, one.owner)
        if idle(one) in ("likely", "confirmed")
    ]  # fmt: skip


def _declared(snapshot: Snapshot, owner: str) -> bool:
    workload = snapshot.workload_by_id.get(owner)
    return bool(workload and (workload.role or workload.ignore))


def _not_offered(snapshot: Snapshot, ask: Ask) -> Blame | None:
    """Blame a MIG profile that no node has, where other devices at least as large stand free."""
    wanted = mig.parse_resource(ask.waiting.resource)
    if wanted is None:
        return None
    larger: dict[str, float] = {}
    nodes = []
    for node in snapshot.gpu_nodes:
        if node.cluster != ask.waiting.cluster or node.role:
            continue
        for name in offered(node):
            profile = mig.parse_resource(name)
            free = free_units(snapshot, node, name)
            if profile and free and _as_large(profile, wanted):
                larger[name] = larger.get(name, 0.0) + free
                nodes.append(node)
    if not larger:
        return None
    told = ", ".join(f"{count:g} {name.rpartition('/')[2]}" for name, count in sorted(larger.items()))
    detail = f"no node offers {ask.waiting.resource.rpartition('/')[2]}; free are {told}"
    return _made(snapshot, ask, "not offered", detail, list({node.key: node for node in nodes}.values()))


def _as_large(profile: str, wanted: str) -> bool:
    have, need = mig.slices_and_gigabytes(profile), mig.slices_and_gigabytes(wanted)
    return have[0] >= need[0] and have[1] >= need[1]


def _made(snapshot: Snapshot, ask: Ask, why: Why, detail: str, nodes: Sequence[Node]) -> Blame:
    free = sum(free_now(snapshot, node) for node in nodes)
    beyond = beyond_reserve(snapshot, nodes) - promised_elsewhere(snapshot, ask.waiting)
    return Blame(
        ask=ask, why=why, detail=detail, nodes=tuple(sorted(nodes, key=lambda n: n.name)), free=free,
        beyond=max(0.0, beyond), idle_held=0.0, lost_gpu_hours=_lost(snapshot, ask, nodes),
    )  # fmt: skip


def _lost(snapshot: Snapshot, ask: Ask, nodes: Sequence[Node]) -> float | None:
    """GPU-hours that stood free on the nodes while it waited, up to what it asked for and beyond the reserve."""
    by_hour = held_by_hour(snapshot).by_hour
    since, asked = ask.waiting.since, ask.waiting.gpus
    if not by_hour or since is None or asked is None:
        return None
    kept = reserve(snapshot)
    total, seen = 0.0, 0
    for hour, held in by_hour.items():
        if hour >= since and all(node.key in held for node in nodes):
            seen += 1
            free = sum(
                max(
                    0.0,
                    node.gpus - lost_gpus(node) - held[node.key] - kept[pool_zone(node)].held_back.get(node.name, 0.0),
                )
                for node in nodes
            )
            total += min(asked, free)
    return round(total, 1) if seen else None
