"""Rule underused-gpu."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import DRAM_CEILING, UNDERUSED_MEAN, UNDERUSED_P95, Tenure, underused
from gpuaudit.demand.subjects import amount, duration
from gpuaudit.demand.usage.units import periodic, settled, units_by_owner, weakest, workload_subject
from gpuaudit.demand.work.notebooks import is_notebook, rests
from gpuaudit.demand.work.stalling import stall
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


@rule(Severity.LOW, needs={"utilization", "pod_attribution", "history"})
def underused_gpu(
    snapshot: Snapshot,
    *,
    mean_below: float = UNDERUSED_MEAN,
    p95_below: float = UNDERUSED_P95,
    hours: float = 168.0,
    settled_hours: float = 72.0,
    timezone: str = "UTC",
) -> Iterator[Finding]:
    """A workload uses its GPUs far below what they can do.

    A GPU that is busy for a fifth of its time at most, and for half of it in its busier hours, often does work that a
    slice, a smaller model or fewer replicas would do as well. What bounds the GPU counts: the larger of its metric
    and of DRAM activity over 0.8, because generating tokens waits for memory. Serving also needs room for its KV
    cache: where that is not known the finding asks for a look. What this is worth only a plan can say, and it may be
    nothing. A hung job is stalled-job's, a notebook that was left abandoned-notebook's.

    Look at memory and latency first; then try a MIG device, a smaller GPU, fewer replicas, or larger batches.
    """
    for owner, units in units_by_owner(snapshot).items():
        if not settled(snapshot, owner, settled_hours) or periodic(snapshot, owner):
            continue
        if is_notebook(snapshot, owner) and any(rests(snapshot, unit, timezone=timezone) for unit in units):
            continue
        found: list[Tenure] = []
        sureness: list[Confidence] = []
        for unit in units:
            sure = weakest(underused(t, mean_below=mean_below, p95_below=p95_below, hours=hours) for t in unit)
            if sure is not None and stall(snapshot, unit) is None:
                found.extend(unit)
                sureness.append(sure)
        confidence = weakest(sureness)
        if confidence is not None:
            yield _finding(snapshot, owner, found, confidence, mean_below=mean_below, p95_below=p95_below)


def _finding(
    snapshot: Snapshot,
    owner: str,
    found: Sequence[Tenure],
    confidence: Confidence,
    *,
    mean_below: float,
    p95_below: float,
) -> Finding:
    gpus = round(sum(tenure.share for tenure in found), 4)
    subject = workload_subject(snapshot, owner, devices=(t.device for t in found), gpus=gpus)
    mean = sum((t.active_mean or 0.0) * t.gpu_hours for t in found) / sum(t.gpu_hours for t in found)
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} used {mean:.0%} of {amount(gpus)} on average over "
        f"{duration(min(t.held_hours for t in found))}{_unless(found)}",
        evidence=tuple(_evidence(snapshot, found, mean, mean_below, p95_below)),
        confidence=confidence,
        act=Act(kind="resize", target=owner, from_=amount(gpus)),
        fix=Fix(note="compare its memory and latency needs with a MIG device, a smaller GPU or fewer replicas"),
        refutation="a latency objective that it meets only with this room, a KV cache that fills, or a peak that "
        "the window did not see",
    )


def _unless(tenures: Sequence[Tenure]) -> str:
    return ", its latency and KV cache not seen" if any(tenure.engine for tenure in tenures) else ""


def _evidence(
    snapshot: Snapshot, tenures: Sequence[Tenure], mean: float, mean_below: float, p95_below: float
) -> Iterator[Evidence]:
    window = snapshot.window_seconds
    source = tenures[0].source
    metrics = "+".join(sorted({tenure.metric for tenure in tenures}))
    util = max(tenure.util_mean or 0.0 for tenure in tenures)
    p95 = max(tenure.active_p95 or 0.0 for tenure in tenures)
    yield Evidence(
        name=metrics, value=round(util, 4), unit="ratio", statistic="mean", window_seconds=window, source=source
    )
    dram = [tenure.dram_mean for tenure in tenures if tenure.dram_mean is not None]
    if dram:
        yield Evidence(name="dram_active", value=round(max(dram), 4), unit="ratio", statistic="mean", source=source)
    yield Evidence(
        name=f"larger of {metrics} and dram_active/{DRAM_CEILING}",
        value=round(mean, 4),
        unit="ratio",
        statistic="mean",
        window_seconds=window,
        source=source,
    )
    yield Evidence(name="the same", value=round(p95, 4), unit="ratio", statistic="p95", source=source)
    yield Evidence(name="threshold of the mean", value=mean_below, unit="ratio", observed=False)
    yield Evidence(name="threshold of the p95", value=p95_below, unit="ratio", observed=False)
    shares = [tenure.memory_share for tenure in tenures if tenure.memory_share is not None]
    if shares:
        yield Evidence(name="memory used", value=round(max(shares), 4), unit="ratio", statistic="max", source=source)
    held = min(tenure.held_hours for tenure in tenures)
    yield Evidence(name="held", value=round(held, 1), unit="hours", statistic="min", source=source)
    if any(tenure.shared for tenure in tenures):
        yield Evidence(name="shared", value=True, source=source)
