"""Rule off-hours-idle."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import IDLE_BELOW, Tenure
from gpuaudit.demand.serving.served import serves
from gpuaudit.demand.subjects import amount, count
from gpuaudit.demand.usage.units import units_by_owner, workload_subject
from gpuaudit.demand.work.notebooks import is_notebook
from gpuaudit.demand.work.off_hours import OffHours, off_hours
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule

Found = Sequence[tuple[Sequence[Tenure], OffHours]]


@rule(Severity.LOW, needs={"utilization", "pod_attribution", "history"})
def off_hours_idle(
    snapshot: Snapshot, *, timezone: str = "UTC", below: float = IDLE_BELOW, hours_a_week: float = 40.0
) -> Iterator[Finding]:
    """A workload holds GPUs through hours in which it never works.

    Nights and weekends are two thirds of a week. Work that rests through them keeps its GPUs from others, and the
    node from being removed. The hours are found in the first half of the window and tested on the second: a rhythm
    counts when it foretells the rest, hour by hour of the local week, so sparse work without a rhythm is not meant,
    nor are teams around the globe that use it in turn. Less than two whole weeks show a rhythm of days at most, and
    only ask for a look. What never works is idle-gpu's, and a notebook, which loses its state when it ends,
    abandoned-notebook's. What this frees is a share of the hours, and money only if the pool shrinks for them.

    Run it by a schedule: a CronJob for work that has an end, a cron trigger (KEDA) down to few replicas for what
    answers requests, and let other work have the GPUs meanwhile.
    """
    for owner, units in units_by_owner(snapshot).items():
        if is_notebook(snapshot, owner):
            continue
        found = [
            (unit, rhythm)
            for unit in units
            if (rhythm := off_hours(snapshot, unit, timezone=timezone, below=below)) is not None
            and rhythm.hours_a_week >= hours_a_week
        ]
        if found:
            yield _finding(snapshot, owner, found, timezone)


def _finding(snapshot: Snapshot, owner: str, found: Found, timezone: str) -> Finding:
    tenures = [tenure for unit, _ in found for tenure in unit]
    gpus = round(sum(tenure.share for tenure in tenures), 4)
    least = min((rhythm for _, rhythm in found), key=lambda rhythm: rhythm.hours_a_week)
    lost = sum(rhythm.hours_a_week * tenure.share for unit, rhythm in found for tenure in unit)
    subject = workload_subject(snapshot, owner, devices=(t.device for t in tenures), gpus=gpus)
    serving = serves(snapshot, owner)
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} holds {amount(gpus)} through {least.hours_a_week:.0f} h of every "
        f"week in which it never works ({least.words}, {timezone}): {lost:,.0f} GPU-hours a week",
        evidence=tuple(_evidence(found, least, lost, timezone)),
        confidence=_confidence(snapshot, owner, found),
        act=Act(
            kind="schedule",
            target=owner,
            from_=f"{amount(gpus)} at all hours",
            to=f"{'few replicas' if serving else 'none'} at {least.words} ({timezone})",
        ),
        fix=Fix(
            note="scale it down to what may stay warm by a cron trigger; the last replica only if users may wait for a "
            "cold start"
            if serving
            else "start it by a CronJob or a scheduled scale-down, and let it end when it is done"
        ),
        refutation="work in those hours that the window did not see (a month's end, a launch), or an answer that must "
        "come at once at any hour",
    )


def _confidence(snapshot: Snapshot, owner: str, found: Found) -> Confidence:
    """Two weeks confirm what nothing broke; who serves, or may, could have to answer at any hour."""
    if any(rhythm.period == "day" for _, rhythm in found):
        return "investigate"
    shared = any(tenure.shared for unit, _ in found for tenure in unit)
    may_serve = serves(snapshot, owner) or "services" not in snapshot.facts
    return "likely" if may_serve or shared or any(rhythm.broken for _, rhythm in found) else "confirmed"


def _evidence(found: Found, least: OffHours, lost: float, timezone: str) -> Iterator[Evidence]:
    source = found[0][0][0].source
    yield Evidence(name="never works", value=f"{least.words} ({timezone})", source=source)
    yield Evidence(name="idle hours", value=round(least.hours_a_week, 1), unit="hours a week", source=source)
    yield Evidence(name="idle and held", value=round(lost, 1), unit="GPU-hours a week", statistic="sum", source=source)
    seen = count(least.periods, least.period)
    yield Evidence(name="seen", value=seen, source=source)
    tested = sum(rhythm.tested for _, rhythm in found)
    yield Evidence(name="hours foretold as idle and seen", value=tested, unit="hours", statistic="count", source=source)
    broken = sum(rhythm.broken for _, rhythm in found)
    yield Evidence(name="of them it ran in", value=broken, unit="hours", statistic="count", source=source)
    ran = sum(rhythm.ran for _, rhythm in found)
    yield Evidence(name="hours it ran meanwhile", value=ran, unit="hours", statistic="count", source=source)
    held = min(rhythm.observed for _, rhythm in found)
    yield Evidence(name="held hours observed", value=round(held, 3), unit="ratio", statistic="min", source=source)
