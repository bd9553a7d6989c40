"""Rule idle-gpu."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import IDLE_BELOW, Tenure, idle
from gpuaudit.demand.subjects import amount, duration
from gpuaudit.demand.usage.units import periodic, units_by_owner, weakest, workload_subject
from gpuaudit.demand.work.notebooks import is_notebook
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


@rule(Severity.MEDIUM, needs={"utilization", "pod_attribution", "history"})
def idle_gpu(
    snapshot: Snapshot,
    *,
    below: float = IDLE_BELOW,
    investigate_hours: float = 24.0,
    likely_hours: float = 72.0,
    confirmed_hours: float = 168.0,
    loaded_above_mib: float = 1024.0,
) -> Iterator[Finding]:
    """A workload holds GPUs that did nothing.

    Kubernetes lends a GPU whole: while one pod holds it nobody else can use it, and it is paid for all the same. The
    highest sample of the GPU's own activity counts, not the mean, so that one burst a week is enough to be in use;
    power draw may object; CPU, network and missing metrics say nothing. The pods of one job are judged together.
    Idle-held means that something is still loaded in GPU memory (a model that nobody asks); truly idle, that nothing
    is. Notebooks are abandoned-notebook's, a hung job is stalled-job's.

    Scale the workload down or end it; if it must answer at any time, let it share a GPU (MIG, or time-slicing for
    interactive work) or start on demand. If it is meant to be idle, say so: annotation gpuaudit.io/role, or [[exempt]].
    """
    for owner, units in units_by_owner(snapshot).items():
        if is_notebook(snapshot, owner):
            continue
        found: list[Tenure] = []
        sureness: list[Confidence] = []
        for unit in units:
            sure = weakest(_sure(tenure, below, (investigate_hours, likely_hours, confirmed_hours)) for tenure in unit)
            if sure is not None:
                found.extend(unit)
                sureness.append(sure)
        confidence = weakest(sureness)
        if confidence is not None:
            yield _finding(snapshot, owner, found, confidence, below=below, loaded_above_mib=loaded_above_mib)


def _sure(tenure: Tenure, below: float, hours: tuple[float, float, float]) -> Confidence | None:
    investigate, likely, confirmed = hours
    return idle(tenure, below=below, investigate_hours=investigate, likely_hours=likely, confirmed_hours=confirmed)


def _finding(
    snapshot: Snapshot,
    owner: str,
    found: Sequence[Tenure],
    confidence: Confidence,
    *,
    below: float,
    loaded_above_mib: float,
) -> Finding:
    timed = periodic(snapshot, owner)
    gpus = round(sum(tenure.share for tenure in found), 4)
    subject = workload_subject(snapshot, owner, devices=(t.device for t in found), gpus=gpus)
    hours = min(tenure.held_hours for tenure in found)
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} has held {amount(gpus)} for {duration(hours)} without using "
        f"{'it' if gpus <= 1 else 'them'}{_loaded(found, loaded_above_mib)}",
        evidence=tuple(_evidence(snapshot, found, below, loaded_above_mib)),
        confidence="investigate" if timed else confidence,
        act=Act(kind="schedule" if timed else "release_gpus", target=owner, from_=amount(gpus), to="0 GPUs"),
        fix=Fix(note="scale it down, end it, or let it share a GPU"),
        refutation=f"a sample at or above {below:.0%} of the same metric in the window, or work that it cannot see "
        "(video engines, another process outside the pod)",
    )


def _state(tenures: Sequence[Tenure], loaded_above_mib: float) -> str:
    used = [tenure.memory_max_mib for tenure in tenures]
    if any(mib is not None and mib > loaded_above_mib for mib in used):
        return "idle-held"
    return "unknown" if None in used else "truly idle"


def _loaded(tenures: Sequence[Tenure], loaded_above_mib: float) -> str:
    state = _state(tenures, loaded_above_mib)
    if state == "unknown":
        return ""
    if state == "truly idle":
        return ": nothing is loaded"
    most = max(tenure.memory_max_mib or 0.0 for tenure in tenures)
    return f": idle-held, {most / 1024:.1f} GiB stay loaded"


def _evidence(
    snapshot: Snapshot, tenures: Sequence[Tenure], below: float, loaded_above_mib: float
) -> Iterator[Evidence]:
    window = snapshot.window_seconds
    source = tenures[0].source
    metrics = "+".join(sorted({tenure.metric for tenure in tenures}))
    most = max(tenure.util_max or 0.0 for tenure in tenures)
    yield Evidence(
        name=metrics, value=round(most, 4), unit="ratio", statistic="max", window_seconds=window, source=source
    )
    yield Evidence(name="threshold", value=below, unit="ratio", observed=False, source="option below")
    held = min(tenure.held_hours for tenure in tenures)
    yield Evidence(name="held", value=round(held, 1), unit="hours", statistic="min", source=source)
    seen = min(tenure.observed_ratio for tenure in tenures)
    yield Evidence(name="held hours observed", value=round(seen, 3), unit="ratio", statistic="min", source=source)
    drawn = [tenure.power_p95_watts for tenure in tenures if tenure.power_p95_watts is not None]
    if drawn:
        yield Evidence(name="power", value=round(max(drawn), 1), unit="watts", statistic="p95", source=source)
    memory = [tenure.memory_max_mib for tenure in tenures if tenure.memory_max_mib is not None]
    if memory:
        yield Evidence(name="memory used", value=round(max(memory), 1), unit="MiB", statistic="max", source=source)
    yield Evidence(name="state", value=_state(tenures, loaded_above_mib), source=source)
    if any(tenure.shared for tenure in tenures):
        yield Evidence(name="shared", value=True, source=source)
