"""Rule abandoned-notebook."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import IDLE_BELOW, Tenure
from gpuaudit.demand.subjects import amount, duration
from gpuaudit.demand.usage.units import units_by_owner, workload_subject
from gpuaudit.demand.work.notebooks import LEFT_HOURS, Rest, culled_after_hours, is_notebook, rest
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


@rule(Severity.MEDIUM, needs={"utilization", "pod_attribution", "history", "pods"})
def abandoned_notebook(
    snapshot: Snapshot,
    *,
    below: float = IDLE_BELOW,
    likely_hours: float = LEFT_HOURS,
    confirmed_hours: float = 72.0,
    timezone: str = "UTC",
) -> Iterator[Finding]:
    """A notebook holds a GPU that nobody has worked with for days.

    A notebook keeps its GPU while its owner is in meetings, on holiday, or on another project. What counts is the
    time since the GPU last worked; weekends do not count, so that a notebook used on Friday is left alone on Monday.
    A notebook that its culler would end anyway is silent; one that rests for twice the culler's time shows that the
    culler does not see it: a kernel that holds GPU memory is not idle to it. Of notebooks this rule speaks, idle-gpu
    is silent, and so is underused-gpu where this rule has something to say.

    Ask the owner, then stop it: files on its volume stay, variables do not. Let a culler end idle kernels and
    servers, and give interactive work a part of a GPU (time-slicing or MIG).
    """
    culled = culled_after_hours(snapshot)
    for owner, units in units_by_owner(snapshot).items():
        if not is_notebook(snapshot, owner):
            continue
        for unit in units:
            found = rest(snapshot, unit, timezone=timezone, below=below)
            if found is None or found.working_hours < likely_hours or (culled and found.hours <= 2 * culled):
                continue
            sure: Confidence = "confirmed" if found.working_hours >= confirmed_hours else "likely"
            if any(tenure.shared for tenure in unit):
                sure = "likely"
            yield _finding(snapshot, owner, unit, found, sure, culled=culled, below=below)


def _finding(
    snapshot: Snapshot,
    owner: str,
    unit: Sequence[Tenure],
    found: Rest,
    sure: Confidence,
    *,
    culled: float | None,
    below: float,
) -> Finding:
    gpus = round(sum(tenure.share for tenure in unit), 4)
    subject = workload_subject(snapshot, owner, devices=(t.device for t in unit), gpus=gpus)
    missed = f"; its culler ({duration(culled)}) does not end kernels that hold a GPU" if culled else ""
    return Finding(
        subject=subject,
        workload=owner,
        message=f"the notebook {subject.namespace}/{subject.name} holds {amount(gpus)} and has not used "
        f"{'it' if gpus <= 1 else 'them'} for {duration(found.hours)}{missed}",
        evidence=tuple(_evidence(snapshot, unit, found, culled, below)),
        confidence=sure,
        act=Act(kind="release_gpus", target=owner, from_=amount(gpus), to="0 GPUs"),
        fix=Fix(note="ask its owner, then stop it; files on its volume stay, variables do not"),
        refutation="an owner who works in it now without the GPU, or a cell that waits for data",
    )


def _evidence(
    snapshot: Snapshot, unit: Sequence[Tenure], found: Rest, culled: float | None, below: float
) -> Iterator[Evidence]:
    source, seconds = unit[0].source, found.hours * 3600
    last = found.last_worked.isoformat() if found.last_worked else "before the window"
    yield Evidence(name="last worked", value=last, window_seconds=snapshot.window_seconds, source=source)
    yield Evidence(name="not used", value=round(found.hours, 1), unit="hours", statistic="now", source=source)
    yield Evidence(
        name="of them not on a weekend",
        value=round(found.working_hours, 1),
        unit="hours",
        statistic="sum",
        source=source,
    )
    name = f"{unit[0].metric} below"
    yield Evidence(name=name, value=below, unit="ratio", statistic="max", window_seconds=seconds, source=source)
    memory = [tenure.memory_max_mib for tenure in unit if tenure.memory_max_mib is not None]
    if memory:
        yield Evidence(name="memory used", value=round(max(memory), 1), unit="MiB", statistic="max", source=source)
    if culled:
        yield Evidence(name="culler's idle time", value=round(culled, 2), unit="hours", source="kubernetes")
