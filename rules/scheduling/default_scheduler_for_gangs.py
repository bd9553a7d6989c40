"""Rule default-scheduler-for-gangs."""

from collections.abc import Iterator

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.scheduling.gangs import Gang, gangs_on_default_scheduler
from gpuaudit.demand.subjects import amount, duration
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.knowledge.scheduling import scheduling
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


@rule(Severity.LOW, needs={"pods", "workloads"})
def default_scheduler_for_gangs(snapshot: Snapshot, *, minutes: float = 15.0) -> Iterator[Finding]:
    """A job of several GPU pods is placed pod by pod: some may hold GPUs while the others find none.

    The ranks of a training job start together or not at all. The default scheduler knows pods only: when room is
    short it places some of them, which hold their GPUs and wait, and two such jobs can block each other for ever.
    Work of Kueue, Volcano, KAI, Run:ai, a PodGroup, LeaderWorkerSet or JobSet with a startup policy is let in as a
    whole; so is a job on one node. Jobs whose pods work each for itself need none of it.

    Queue it with Kueue, which lets a job in as a whole (waitForPodsReady or topology-aware scheduling), or name a gang
    scheduler that runs here.
    """
    for gang in gangs_on_default_scheduler(snapshot):
        yield _finding(snapshot, gang, minutes)


def _finding(snapshot: Snapshot, gang: Gang, minutes: float) -> Finding:
    subject = workload_subject(snapshot, gang.workload, gpus=gang.gpus)
    late = gang.waits_hours is not None and gang.waits_hours * 60 >= minutes
    sure: Confidence = "likely" if gang.evidence else "investigate"
    size = f"{gang.ranks} pods" + (f" with {amount(gang.gpus)}" if gang.gpus is not None else "")
    return Finding(
        subject=subject,
        workload=gang.workload,
        message=f"{subject.namespace}/{subject.name}, {size}, is a gang on the default scheduler: {_state(gang, late)}",
        evidence=tuple(_evidence(snapshot, gang)),
        confidence=sure,
        severity=_severity(gang, late),
        act=Act(
            kind="configure",
            risk="restart",
            target=gang.workload,
            from_="default-scheduler",
            to=_to(snapshot, subject.cluster),
        ),
        fix=Fix(generate="scheduling", note="let it in as a whole: Kueue, or a gang scheduler"),
        refutation="pods that work each for itself, or a job that can run with fewer of them",
    )


def _severity(gang: Gang, late: bool) -> Severity | None:
    if not late:
        return None
    if gang.placed:
        return Severity.HIGH if gang.evidence else Severity.MEDIUM
    return Severity.MEDIUM if gang.evidence else None


def _state(gang: Gang, late: bool) -> str:
    if not late or gang.waits_hours is None:
        return "nothing starts its pods together"
    if not gang.placed:
        return f"{gang.waiting} wait for {duration(gang.waits_hours)}, and nothing starts them together"
    return (
        f"{gang.placed} hold GPUs while {gang.waiting} {'has' if gang.waiting == 1 else 'have'} waited "
        f"for {duration(gang.waits_hours)}"
    )


def _to(snapshot: Snapshot, cluster: str) -> str | None:
    there = {one.system for one in snapshot.systems if one.cluster == cluster and one.ready}
    return next((key for key in scheduling().gang.gang_schedulers if key in there), None)


def _evidence(snapshot: Snapshot, gang: Gang) -> Iterator[Evidence]:
    for told in gang.evidence or ("every pod takes all GPUs of a node, and all run at one time",):
        yield Evidence(name="works as one", value=told, source="kubernetes", observed=bool(gang.evidence))
    yield Evidence(name="pods with a node", value=gang.placed, unit="pods", statistic="now", source="kubernetes")
    yield Evidence(name="pods without", value=gang.waiting, unit="pods", statistic="now", source="kubernetes")
    if gang.waits_hours is not None:
        yield Evidence(name="waited", value=round(gang.waits_hours, 1), unit="hours", source="kubernetes")
    found = _to(snapshot, gang.pods[0].cluster)
    yield Evidence(name="gang admission that runs here", value=found or "none seen", source="kubernetes")
