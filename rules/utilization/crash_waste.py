"""Rule crash-waste."""

from collections import Counter
from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot, device_id
from gpuaudit.demand.subjects import amount, count, listed
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.demand.work.attempts import Attempt, failed_attempts
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule

WORDS = {"crash": "a crash", "preemption": "a preemption", "eviction": "an eviction", "spot": "a spot interruption"}
NOTES = {
    "crash": "read the log of the last attempt before it is tried again; save checkpoints often enough",
    "eviction": "request the memory and disk that it really uses; save checkpoints often enough",
    "preemption": "give it a priority or a queue that it keeps its place in; save checkpoints often enough",
}


@rule(Severity.MEDIUM, needs={"pods", "workloads"})
def crash_waste(snapshot: Snapshot, *, gpu_hours: float = 8.0) -> Iterator[Finding]:
    """A job spent GPU-hours in attempts that failed.

    A job that crashes after nine hours and starts again from nothing costs twice and shows full utilization all
    along. What is counted is the time that failed pods and restarted containers held their GPUs within the window: an
    upper bound, for a checkpoint may have kept a part. Pods that are no longer listed are not counted, so the truth
    may also be more. Machines of a spot market that are taken away are what was agreed, so they alone are no finding;
    nor is a restart of a server, which loses no work, nor a pod that cannot run at all (failing-pod-holds-gpu).

    Find out what ended the attempts before trying again: memory, the program, a faulty GPU, a preemption. Save
    checkpoints so often that the work between two of them is worth less than the writing.
    """
    for owner, attempts in failed_attempts(snapshot).items():
        wanted = [attempt for attempt in attempts if attempt.cause != "spot"]
        spent = sum(attempt.gpu_hours or 0.0 for attempt in wanted)
        if spent >= gpu_hours:
            yield _finding(snapshot, owner, attempts, spent)


def _finding(snapshot: Snapshot, owner: str, attempts: Sequence[Attempt], spent: float) -> Finding:
    wanted = [attempt for attempt in attempts if attempt.cause != "spot"]
    ends = sum(attempt.ends for attempt in wanted)
    causes: Counter[str] = Counter()
    for attempt in wanted:
        causes[attempt.cause] += attempt.ends
    cause = causes.most_common(1)[0][0]
    most = max((attempt.pod.gpus or 0.0 for attempt in wanted), default=0.0)
    subject = workload_subject(snapshot, owner, gpus=most or None)
    reasons = listed(sorted({attempt.reason for attempt in wanted}))
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} spent {spent:,.0f} GPU-hours in "
        f"{count(ends, 'attempt')} that ended in {WORDS[cause]} ({reasons}); what a checkpoint kept is not lost",
        evidence=tuple(_evidence(snapshot, attempts, spent)),
        confidence="likely" if causes["crash"] else "investigate",
        act=Act(kind="configure", risk="restart", target=owner),
        fix=Fix(note=NOTES[cause]),
        refutation="checkpoints from which each attempt went on, or an end that was meant",
    )


def _evidence(snapshot: Snapshot, attempts: Sequence[Attempt], spent: float) -> Iterator[Evidence]:
    seconds = snapshot.window_seconds
    yield Evidence(
        name="held in failed attempts (at most lost)",
        value=round(spent, 1),
        unit="GPU-hours",
        statistic="sum",
        window_seconds=seconds,
        source="kubernetes",
    )
    for cause, word in WORDS.items():
        ends = sum(attempt.ends for attempt in attempts if attempt.cause == cause)
        if ends:
            yield Evidence(name=f"ended in {word}", value=ends, unit="attempts", statistic="count", source="kubernetes")
    for attempt in sorted(attempts, key=lambda one: -(one.gpu_hours or 0.0))[:5]:
        held = f"{attempt.gpu_hours:.1f} GPU-hours" if attempt.gpu_hours is not None else "hours not known"
        gpus = amount(attempt.pod.gpus) if attempt.pod.gpus is not None else "GPUs"
        text = f"{attempt.reason}, {gpus}, {held}, on {attempt.pod.node or 'no node'}"
        yield Evidence(name=f"attempt {attempt.pod.name}", value=text, source="kubernetes")
    for name in sorted({attempt.pod.node for attempt in attempts if attempt.pod.node}):
        node = snapshot.node_by_key.get((attempts[0].pod.cluster, name))
        for card in node.cards if node else ():
            if node and card.faults:
                yield Evidence(
                    name=f"faults of {device_id(node, card)}", value=", ".join(card.faults), source="metrics"
                )
