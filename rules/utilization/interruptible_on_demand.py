"""Rule interruptible-on-demand."""

from collections.abc import Iterator

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.subjects import amount, duration, listed
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.demand.work.interruptible import Batch, batches
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


@rule(Severity.LOW, needs={"nodes", "pods", "workloads", "utilization", "pod_attribution", "history"})
def interruptible_on_demand(snapshot: Snapshot, *, gpu_hours: float = 48.0) -> Iterator[Finding]:
    """Batch work runs on machines bought on demand that may be taken away for less.

    Spot machines cost a part of the price and are taken back at times. Work that writes checkpoints, is tried again
    when an attempt fails, and ends sooner than a spot machine usually lives here loses little by that. All three must
    be seen, on work that one machine runs, and a spot price of that machine must be known; what is missing makes it a
    question. What it would save depends on the spot price of the day and on the work that is lost, so the plan books
    nothing. Left alone are work on reserved or owned machines, which has been paid for, pods that forbid to disrupt
    them, work that is over, and runs longer than a spot machine lives that keep no checkpoint.

    Let it tolerate and prefer spot nodes, keep on-demand ones as a fallback, and write a checkpoint at the notice of
    an interruption. Start with the shortest jobs.
    """
    for batch in batches(snapshot):
        lifetime = batch.spot_lifetime_hours
        lost = lifetime is not None and batch.run_p95_hours >= lifetime and not batch.checkpoints
        if batch.gpu_hours >= gpu_hours and not lost:
            yield _finding(snapshot, batch)


def _doubts(batch: Batch) -> list[str]:
    """Return what speaks against, or is not known."""
    lifetime = batch.spot_lifetime_hours
    doubts = {
        "no checkpoint seen": not batch.checkpoints,
        "no retry seen": not batch.retries,
        "no spot lifetime measured here": lifetime is None,
        f"a run takes {duration(batch.run_p95_hours)}, longer than spot lives here": lifetime is not None
        and batch.run_p95_hours >= lifetime,
        f"one interruption stops all {batch.nodes_at_once} nodes": batch.together and batch.nodes_at_once > 1,
        "no spot price known": not batch.spot_priced,
    }
    return [doubt for doubt, holds in doubts.items() if holds]


def _finding(snapshot: Snapshot, batch: Batch) -> Finding:
    doubts = _doubts(batch)
    confidence: Confidence = "investigate" if doubts else "likely"
    gpus = round(batch.gpus_at_once, 4)
    current = [tenure.device for tenure in batch.tenures if tenure.current]
    subject = workload_subject(snapshot, batch.owner, devices=current, gpus=gpus)
    return Finding(
        subject=subject,
        workload=batch.owner,
        message=f"{subject.namespace}/{subject.name} ran {batch.gpu_hours:,.0f} GPU-hours on demand, up to "
        f"{amount(gpus)} at once, and {_because(batch, doubts)}",
        evidence=tuple(_evidence(snapshot, batch, doubts)),
        confidence=confidence,
        act=Act(
            kind="purchase",
            target=batch.owner,
            from_=f"on demand ({listed(batch.instance_types) or 'type not known'})",
            to="spot, with on demand as a fallback",
        ),
        fix=Fix(note="let it tolerate and prefer spot nodes, and try one run"),
        refutation="work that must be done by a time, state outside its checkpoints, or spot machines of this kind "
        "that are not to be had",
    )


def _because(batch: Batch, doubts: list[str]) -> str:
    if doubts:
        return f"may do for spot; open: {', '.join(doubts)}"
    lives = duration(batch.spot_lifetime_hours or 0.0)
    return (
        "could run on spot: it writes checkpoints, is tried again, and a run takes "
        f"{duration(batch.run_p95_hours)} where spot machines live {lives}"
    )


def _evidence(snapshot: Snapshot, batch: Batch, doubts: list[str]) -> Iterator[Evidence]:
    source, window = batch.tenures[0].source, snapshot.window_seconds
    yield Evidence(
        name="held on on-demand nodes",
        value=round(batch.gpu_hours, 1),
        unit="GPU-hours",
        statistic="sum",
        window_seconds=window,
        source=source,
    )
    yield Evidence(name="runs seen", value=len(batch.runs), statistic="count", source=source)
    hours = round(batch.run_p95_hours, 1)
    yield Evidence(name="length of a run, at least", value=hours, unit="hours", statistic="p95", source=source)
    shown = ", ".join(batch.checkpoints) or None
    yield Evidence(name="checkpoints shown by", value=shown, source="kubernetes")
    yield Evidence(name="retries", value=batch.retries, statistic="now", source="kubernetes")
    lifetime = None if batch.spot_lifetime_hours is None else round(batch.spot_lifetime_hours, 1)
    name = f"lifetime of {batch.lifetimes} spot nodes that went"
    yield Evidence(name=name, value=lifetime, unit="hours", statistic="p50", source="kubernetes")
    yield Evidence(name="nodes at once", value=batch.nodes_at_once, statistic="max", source=source)
    yield Evidence(name="spot price known", value=batch.spot_priced, observed=False, source="price catalogue")
    for doubt in doubts:
        yield Evidence(name="doubt", value=doubt)
