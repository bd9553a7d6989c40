"""Rule unallocated-gpu."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import free_gpus, held_by_hour, lost_gpus, planned_maintenance, pool_zone, reserve, strandings
from gpuaudit.demand import whole_cards as hands_out_whole_cards
from gpuaudit.demand.scheduling.wanted import promised, waited_for
from gpuaudit.demand.subjects import amount, count, free_devices, listed, node_groups, node_subject, place
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


@rule(Severity.MEDIUM, needs={"nodes", "pods"})
def unallocated_gpu(
    snapshot: Snapshot,
    *,
    at_least_gpus: float = 1.0,
    settled_hours: float = 1.0,
    likely_hours: float = 72.0,
    confirmed_hours: float = 168.0,
) -> Iterator[Finding]:
    """GPUs are held by nobody, beyond what a node's failure and a roll-out need.

    A GPU that no pod holds costs as much as one that works. Counted is what stayed free at the busiest hour of the
    window, less the reserve of the pool and zone: room for the work of its fullest node and for the extra pods of one
    roll-out. GPUs on empty or stranded nodes are among them; money is counted once, by the plan. Where all of them are
    stranded, stranded-gpu says what to do.

    Let waiting or interruptible work have them, or lower what sets the number of nodes: the pool's minimum, its limit,
    or the requests that keep nodes from being consolidated. Declare spares with the annotation gpuaudit.io/role: spare.
    """
    for group in node_groups(node for node in snapshot.gpu_nodes if _counts(snapshot, node, settled_hours)):
        free = {node.name: free_gpus(snapshot, node) or 0.0 for node in group}
        beyond, kept = _beyond(snapshot, group, free)
        stuck, usable = _stuck(snapshot, group, free)
        if beyond < at_least_gpus:
            continue
        holders = [node for node in group if free[node.name] > 0]
        devices = [device for node in holders for device in free_devices(snapshot, node)]
        waiting = waited_for(snapshot, group)
        total = sum(node.gpus for node in group)
        yield Finding(
            subject=node_subject(holders, devices=devices, gpus=beyond),
            message=f"{beyond:g} of {amount(total)} in {place(group)} {'is' if beyond == 1 else 'are'} held by nobody, "
            f"{_beyond_what(kept)}: {listed([node.name for node in holders])}"
            f"{_but(stuck, sum(free.values()))}",
            evidence=tuple(_evidence(snapshot, holders, free, kept)),
            confidence=_confidence(snapshot, holders, likely_hours, confirmed_hours),
            act=Act(
                kind="configure",
                target=group[0].pool or holders[0].name,
                from_=count(len(group), "node"),
                unblocks=f"{amount(waiting)} that are waited for" if waiting else None,
            )
            if min(beyond, usable) >= at_least_gpus
            else None,
            fix=Fix(note="fill them with waiting or interruptible work, or lower the pool's number of nodes"),
            refutation="a reserve, a tenant's quota or a planned launch that the cluster does not show",
        )


def _counts(snapshot: Snapshot, node: Node, settled_hours: float) -> bool:
    """Whether free cards of the node could have been given out: whole ones, in service, and not of a minute ago."""
    if not node.listed or not hands_out_whole_cards(node) or planned_maintenance(node):
        return False
    return node.created is None or snapshot.taken_at - node.created >= timedelta(hours=settled_hours)


def _beyond(snapshot: Snapshot, group: Sequence[Node], free: dict[str, float]) -> tuple[float, float]:
    """GPUs free beyond the reserve, now and at the busiest hour, whichever is less; and the reserve."""
    reserves = reserve(snapshot)
    held_back = {node.name: reserves[pool_zone(node)].held_back.get(node.name, 0.0) for node in group}
    now = sum(max(0.0, free[name] - held_back[name]) for name in free)
    kept = sum(held_back.values())
    peak = held_by_hour(snapshot).peak(*(node.key for node in group))
    if peak is None:
        return now, kept
    offered = sum(node.gpus - lost_gpus(node) for node in group)
    return min(now, offered - peak - kept), kept


def _stuck(snapshot: Snapshot, group: Sequence[Node], free: dict[str, float]) -> tuple[float, float]:
    """Free GPUs of the group that cannot be given out, and those beyond the reserve that can."""
    found, reserves = strandings(snapshot), reserve(snapshot)
    stuck = {node.name: min(free[node.name], found[node.key].gpus) for node in group if node.key in found}
    usable = sum(
        max(0.0, free[node.name] - stuck.get(node.name, 0.0) - reserves[pool_zone(node)].held_back.get(node.name, 0.0))
        for node in group
    )
    return sum(stuck.values()), usable


def _but(stuck: float, free: float) -> str:
    return f"; of {free:g} free {stuck:g} cannot be given out (stranded-gpu)" if stuck else ""


def _beyond_what(kept: float) -> str:
    return (
        f"beyond {amount(kept)} kept for a node's failure and a roll-out" if kept else "none of them needed in reserve"
    )


def _confidence(snapshot: Snapshot, nodes: Sequence[Node], likely_hours: float, confirmed_hours: float) -> Confidence:
    """How long the metrics watched these nodes; the present alone needs a look."""
    seen = sum(all(node.key in held for node in nodes) for held in held_by_hour(snapshot).by_hour.values())
    return "confirmed" if seen >= confirmed_hours else "likely" if seen >= likely_hours else "investigate"


def _evidence(snapshot: Snapshot, nodes: Sequence[Node], free: dict[str, float], kept: float) -> Iterator[Evidence]:
    now = sum(free.values())
    yield Evidence(name="free", value=round(now, 3), unit="GPUs", statistic="now", source="kubernetes")
    yield Evidence(name="reserve", value=round(kept, 3), unit="GPUs", statistic="max", source="kubernetes")
    peak = held_by_hour(snapshot).peak(*(node.key for node in nodes))
    if peak is not None:
        yield Evidence(
            name="held on these nodes",
            value=round(peak, 3),
            unit="GPUs",
            statistic="max",
            window_seconds=snapshot.window_seconds,
            source="metrics",
        )
    owed = promised(snapshot, nodes)
    if owed:
        yield Evidence(name="promised by queues and not used", value=owed, unit="GPUs", source="kubernetes")
    stranded = strandings(snapshot)
    for node in nodes:
        why = f", stranded: {stranded[node.key].detail}" if node.key in stranded else ""
        yield Evidence(
            name=f"free on {node.name}{why}",
            value=round(free[node.name], 3),
            unit="GPUs",
            statistic="now",
            source="kubernetes",
        )
