"""Rule unused-reservation."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.capacity.reservations import Committed, committed, term
from gpuaudit.demand.scheduling.wanted import promised, waited_for
from gpuaudit.demand.subjects import amount, duration, free_devices, node_subject, place
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, Subject, rule

WORDS = {"reserved": "reserved", "owned": "owned", "lease": "leased", "capacity_block": "reserved in a capacity block"}


@rule(Severity.MEDIUM, needs={"nodes", "pods", "utilization", "pod_attribution", "history"})
def unused_reservation(
    snapshot: Snapshot,
    *,
    unused_above: float = 0.25,
    at_least_gpus: float = 1.0,
    least_hours: float = 24.0,
    likely_hours: float = 72.0,
    confirmed_hours: float = 168.0,
    notice_days: float = 90.0,
) -> Iterator[Finding]:
    """Reserved or owned GPUs are held by nobody.

    A reservation, a capacity block or a machine of one's own costs the same whether a pod holds its GPUs or not, until
    the term ends. Letting a node go saves nothing before; using it costs nothing more. Counted are the GPU-hours that
    nobody held, hour by hour, less the reserve for a node's failure and a roll-out; nodes that are out of service or
    without metrics are not counted. A term that no label shows counts when [[commitment]] of the price file covers all
    nodes of its kind; a floating one (a savings plan) is of no node. What a tenant was promised may be meant to stand
    free.

    Fill it: let waiting, batch or interruptible work have it, at a priority that yields when its owner comes. Look at
    the date of its end, and renew no more than the base load.
    """
    for one in committed(snapshot):
        if one.hours >= least_hours and one.unused >= unused_above and one.unused_gpus >= at_least_gpus:
            yield _finding(snapshot, one, _confidence(snapshot, one, likely_hours, confirmed_hours), notice_days)


def _confidence(snapshot: Snapshot, one: Committed, likely_hours: float, confirmed_hours: float) -> Confidence:
    """Confirmed is what stood free at every hour of a week, and that no queue may have been promised all of."""
    if one.hours < likely_hours:
        return "investigate"
    owed = promised(snapshot, one.nodes) >= one.unused_gpus
    return "confirmed" if one.hours >= confirmed_hours and one.never_used >= 1 and not owed else "likely"


def _finding(snapshot: Snapshot, one: Committed, confidence: Confidence, notice_days: float) -> Finding:
    total = amount(sum(node.gpus for node in one.nodes))
    paid = WORDS.get(term(one.nodes[0]) or "", "committed")
    waiting = waited_for(snapshot, one.nodes)
    never = f", {one.never_used:g} of them at every hour" if one.never_used >= 1 else ""
    return Finding(
        subject=_subject(snapshot, one),
        message=f"{one.unused_gpus:.1f} of {total} {paid} in {_place(one.nodes)} are held by nobody on average over "
        f"{duration(one.hours)}{never}{_until(snapshot, one, notice_days)}",
        evidence=tuple(_evidence(snapshot, one, waiting)),
        confidence=confidence,
        act=Act(
            kind="configure",
            target=one.nodes[0].pool or one.nodes[0].name,
            from_=f"{one.unused:.0%} held by nobody",
            to="filled with waiting, batch or interruptible work",
            unblocks=f"{amount(waiting)} that are waited for" if waiting else None,
        ),
        fix=Fix(note="fill it, at a priority that yields to its owner; letting it go saves nothing before its end"),
        refutation="a tenant who was promised this room, a launch that it is kept for, or work that the metrics do not "
        "see",
    )


def _subject(snapshot: Snapshot, one: Committed) -> Subject:
    devices = [device for node in one.nodes for device in free_devices(snapshot, node)]
    subject = node_subject(one.nodes, devices=devices, gpus=round(one.unused_gpus, 1))
    if len(one.nodes) == 1 or one.nodes[0].provider:
        return subject
    name = f"{one.nodes[0].pool or ''}/{one.nodes[0].cards[0].model or ''}"
    return Subject(cluster=subject.cluster, kind="Node", name=name, devices=subject.devices, gpus=subject.gpus)


def _place(nodes: Sequence[Node]) -> str:
    return place(nodes) if nodes[0].pool or len(nodes) == 1 else f"{len(nodes)} nodes without a pool"


def _until(snapshot: Snapshot, one: Committed, notice_days: float) -> str:
    if one.end is None:
        return ""
    left = (one.end - snapshot.taken_at) / timedelta(days=1)
    day = one.end.date().isoformat()
    if left < 0:
        return f"; its term ended on {day}"
    return f"; it ends on {day}" + (f", in {left:.0f} days: decide what to renew" if left < notice_days else "")


def _evidence(snapshot: Snapshot, one: Committed, waiting: float) -> Iterator[Evidence]:
    seconds = one.hours * 3600
    for name, value, unit in (
        ("held by nobody", one.unused_gpu_hours, "GPU-hours"),
        ("paid for", one.gpu_hours, "GPU-hours"),
    ):
        yield Evidence(
            name=name, value=round(value, 1), unit=unit, statistic="sum", window_seconds=seconds, source="metrics"
        )
    yield Evidence(name="free at every hour", value=round(one.never_used, 2), unit="GPUs", statistic="min")
    yield Evidence(name="reserve, not counted", value=round(one.kept, 2), unit="GPUs", source="kubernetes")
    for evidence in sorted({node.purchase_evidence for node in one.nodes if node.purchase_evidence}):
        yield Evidence(name="committed by", value=evidence, source="kubernetes")
    for kind in sorted({node.commitment for node in one.nodes if node.commitment}):
        yield Evidence(name="committed by", value=f"price file, {kind}", source="price file")
    for name in sorted({node.reservation for node in one.nodes if node.reservation}):
        yield Evidence(name="reservation", value=name, source="kubernetes")
    end = one.end.date().isoformat() if one.end else None
    yield Evidence(name="ends", value=end, statistic="now", observed=end is not None)
    if waiting:
        yield Evidence(name="waited for", value=round(waiting, 2), unit="GPUs", statistic="now", source="kubernetes")
    owed = promised(snapshot, one.nodes)
    if owed:
        yield Evidence(name="promised by queues and not used", value=owed, unit="GPUs", source="kubernetes")
