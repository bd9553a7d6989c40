"""Rule quota-blocked-workload."""

from collections.abc import Iterator

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.scheduling.blocking_quotas import Blocked, quota_blocked
from gpuaudit.demand.subjects import amount, duration
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule


@rule(Severity.LOW, needs={"pods"})
def quota_blocked_workload(snapshot: Snapshot, *, minutes: float = 15.0) -> Iterator[Finding]:
    """GPU work waits for a quota that is used up, or that can never let it in.

    A queue or ResourceQuota does its work when it makes a team wait for its share: that is only noted. But a quota of
    0, one below what a single job asks, a resource or flavor that the queue does not cover (a MIG profile is a resource
    of its own), or a queue that does not exist or is stopped holds the work back for ever, and nobody is told.

    Cover the resource, raise the quota, or let the queue borrow; or ask for what the queue has.
    """
    for blocked in quota_blocked(snapshot):
        if blocked.hours is not None and blocked.hours * 60 >= minutes:
            yield _finding(snapshot, blocked, blocked.hours)


def _finding(snapshot: Snapshot, blocked: Blocked, hours: float) -> Finding:
    waiting = blocked.waiting
    subject = workload_subject(snapshot, waiting.workload, gpus=waiting.gpus)
    asked = amount(waiting.gpus) if waiting.gpus is not None else f"{waiting.count:g} {waiting.resource}"
    return Finding(
        subject=subject,
        workload=waiting.workload,
        message=f"{subject.namespace}/{subject.name} waits for {asked} for {duration(hours)}: "
        f"{blocked.quota} {blocked.because}",
        evidence=tuple(_evidence(blocked, hours)),
        confidence="likely" if blocked.never else "investigate",
        severity=Severity.MEDIUM if blocked.never else None,
        act=Act(kind="configure", target=blocked.quota, to=f"{waiting.resource} {waiting.count:g}", unblocks=asked),
        fix=Fix(generate="scheduling", note=blocked.way_out),
        refutation="a quota that is meant to hold this work back",
    )


def _evidence(blocked: Blocked, hours: float) -> Iterator[Evidence]:
    waiting = blocked.waiting
    yield Evidence(name="waited", value=round(hours, 1), unit="hours", statistic="now", source="kubernetes")
    yield Evidence(name="asked", value=waiting.count, unit=waiting.resource, source="kubernetes")
    for name, value in blocked.numbers.items():
        yield Evidence(name=name, value=value, unit=waiting.resource, statistic="now", source="kubernetes")
    yield Evidence(name="quota", value=blocked.quota, source="kubernetes")
    if waiting.message:
        yield Evidence(name="message", value=waiting.message, source="kubernetes")
