"""Rule quota-hoarding."""

import math
from collections.abc import Iterator

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.scheduling.quotas import Guarantee, guarantees
from gpuaudit.demand.subjects import listed
from gpuaudit.knowledge import kubernetes
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, Subject, rule


@rule(Severity.MEDIUM, needs={"pods", "quotas", "utilization", "pod_attribution", "history"})
def quota_hoarding(
    snapshot: Snapshot,
    *,
    used_below: float = 0.5,
    least_days: float = 7.0,
    likely_days: float = 14.0,
    confirmed_days: float = 28.0,
) -> Iterator[Finding]:
    """A team keeps GPU quota that it does not use, while others wait for the same GPUs.

    What is guaranteed to one owner and cannot be lent stands free when he does not use it, and work of others waits
    beside it. Counted is the 95th percentile of what the owner held, by the hour, against the part of the quota that
    nobody else may use: of a Kueue queue its nominal quota, in a cohort only what its lendingLimit keeps back (the
    rest is lent when it is not used, and so is no hoarding); of a Volcano queue its guarantee; of a namespace its
    ResourceQuota, where all quotas together fit the GPUs there are (while enough of those are promised to nobody, it is
    in nobody's way yet, and this asks for a look). Others must wait for a quota of the same resource and flavor, with
    GPUs of it free. Less than four weeks confirm nothing: a quarter's launch is not in them.

    Let it be lent instead of taking it away: put the queues into one cohort, raise lendingLimit, use Volcano's
    deserved instead of guarantee. A ResourceQuota cannot lend; lower it, never below the most that was used.
    """
    exempt = {(one.cluster, one.name) for one in snapshot.namespaces if one.role in kubernetes.own().roles}
    for one in guarantees(snapshot):
        tenants = bool(one.namespaces) and all((one.cluster, name) in exempt for name in one.namespaces)
        used = max(one.used_p95, one.used_now)
        if used >= used_below * one.amount or one.unused < 1 or one.hours < 24 * least_days:
            continue
        if one.namespace is None and tenants:
            continue  # promised to tenants: theirs to decide; a namespace's own role is seen to by the engine
        yield _finding(one, _confidence(one, likely_days, confirmed_days))


def _confidence(one: Guarantee, likely_days: float, confirmed_days: float) -> Confidence:
    if one.hours < 24 * likely_days or not one.places_known or not one.in_the_way:
        return "investigate"
    return "confirmed" if one.hours >= 24 * confirmed_days and not one.partial else "likely"


def _finding(one: Guarantee, confidence: Confidence) -> Finding:
    where = f"{one.namespace}/{one.name}" if one.namespace else one.name
    whole = one.resource in kubernetes.resources().whole_gpus
    return Finding(
        subject=Subject(
            cluster=one.cluster,
            kind=one.kind,
            namespace=one.namespace,
            name=one.name,
            gpus=one.unused if whole else None,
        ),
        message=f"{one.kind} {where} keeps {one.amount:g} {one.resource} to itself and used {one.used_p95:g} of them "
        f"at p95, {one.used_max:g} at most, over {one.hours / 24:.0f} d, while {listed(one.waiting, most=3)} "
        f"{'wait' if len(one.waiting) > 1 else 'waits'} and {one.free:g} stand free"
        f"{'' if one.in_the_way else f', {one.unpromised:g} promised by no quota'}",
        evidence=tuple(_evidence(one)),
        confidence=confidence,
        severity=None if one.in_the_way else Severity.LOW,
        act=Act(
            kind="configure",
            target=where,
            from_=f"{one.amount:g} {one.resource} guaranteed",
            to=_to(one, math.ceil(max(one.used_max, one.used_now))),
            unblocks=f"{one.waited_for:g} {one.resource} that are waited for" if one.waited_for else None,
        ),
        fix=Fix(note=_note(one)),
        refutation="a launch or a deadline that the quota is kept for, or work of its owner that waits for another "
        "reason",
    )


def _to(one: Guarantee, least: int) -> str:
    if one.kind == "ResourceQuota":
        return f"{least}" if least else "what its owner can name a use for"
    return f"{least} guaranteed, the rest lent"


def _note(one: Guarantee) -> str:
    if one.kind == "ResourceQuota" and not one.in_the_way:
        return "raise the quota of those who wait first: no quota promises all GPUs; lower this one with its owner"
    if one.kind == "ResourceQuota":
        return "lower it to what was used at most, with its owner, and raise the quota of those who wait"
    if one.kind == "ClusterQueue":
        return "raise lendingLimit" if one.in_cohort else "put it into a cohort with those who wait, with reclaim"
    return "use deserved, which others may use meanwhile, instead of guarantee"


def _evidence(one: Guarantee) -> Iterator[Evidence]:
    seconds, unit = one.hours * 3600, one.resource
    yield Evidence(name="kept for its owner alone", value=one.amount, unit=unit, statistic="now", source="kubernetes")
    yield Evidence(name="used", value=one.used_now, unit=unit, statistic="now", source="kubernetes")
    for statistic, value in (("p95", one.used_p95), ("max", one.used_max)):
        yield Evidence(
            name="held", value=value, unit=unit, statistic=statistic, window_seconds=seconds, source="metrics"
        )
    yield Evidence(name="free", value=one.free, unit=unit, statistic="now", source="kubernetes")
    if one.waited_for is not None:
        yield Evidence(name="waited for", value=one.waited_for, unit=unit, statistic="now", source="kubernetes")
    if one.unpromised is not None:
        yield Evidence(name="promised by no quota", value=one.unpromised, unit=unit, source="kubernetes")
    for name in one.waiting[:5]:
        yield Evidence(name="waits", value=name, source="kubernetes")
    if not one.places_known:
        yield Evidence(name="on which nodes the quota counts", value=None, source="kubernetes")
    if one.partial:
        yield Evidence(name="some devices have no holder in the metrics", value=True, source="metrics")
