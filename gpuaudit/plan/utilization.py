"""The report's utilization section: mean, p95, buckets, and GPU-hours and cost by pool, namespace and owner."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from gpuaudit import schema
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.usage import NOBODY, UNKNOWN_OWNER
from gpuaudit.demand import Tenure
from gpuaudit.plan.attribution import SPARE, UNALLOCATED, UNOBSERVED, NodeShares
from gpuaudit.plan.bill import BillBook, dollars, split_cents
from gpuaudit.plan.owners import namespace_of

if TYPE_CHECKING:
    import pandas as pd

Bucket = Callable[[Tenure], str]
GroupOf = Callable[[str], str]  # workload id → namespace or owner


def utilization(
    snapshot: Snapshot,
    tenures: Sequence[Tenure],
    shares: Sequence[NodeShares],
    bill: BillBook,
    *,
    bucket: Bucket,
    owner_of: GroupOf,
) -> schema.UtilizationPart:
    """Return the section. `bucket` tells idle, underused, busy or unknown of a tenure at any age."""
    worked = [tenure for tenure in tenures if tenure.owner != NOBODY and tenure.util_mean is not None]
    return schema.UtilizationPart(
        metric=_metric(worked),
        mean=_mean(worked),
        p95=_p95(snapshot),
        by_pool=_by_pool(snapshot, worked, shares, bill),
        by_namespace=_by_group(worked, shares, bill, group_of=namespace_of),
        by_owner=_by_group(worked, shares, bill, group_of=owner_of),
        buckets=_buckets(tenures, shares, bucket),
        demand=_demand(snapshot),
    )


def observed_ratio(tenures: Sequence[Tenure], shares: Sequence[NodeShares]) -> float | None:
    """Return the share of the window's GPU-hours with a utilization sample; None without any GPU-hour."""
    total = sum(share.gpu_hours for share in shares)
    seen = sum(tenure.gpu_hours for tenure in tenures if tenure.util_mean is not None)
    return round(min(1.0, seen / total), 4) if total else None


def _metric(worked: Sequence[Tenure]) -> schema.Utilization | None:
    metrics = {tenure.metric for tenure in worked}
    if len(metrics) > 1:
        return "mixed"
    return metrics.pop() if metrics else None  # type: ignore[return-value]


def _mean(tenures: Sequence[Tenure]) -> float | None:
    """GPU-hour-weighted; samples of a single point in time, which stand for no hours, weigh alike."""
    weights = [tenure.gpu_hours for tenure in tenures]
    if not sum(weights):
        weights = [tenure.gpus for tenure in tenures]
    total = sum(weights)
    if not total:
        return None
    return round(sum(w * (t.util_mean or 0.0) for w, t in zip(weights, tenures, strict=True)) / total, 4)


def _p95(snapshot: Snapshot) -> float | None:
    """95th percentile of the hourly means, each hour weighing its GPU-hours; a point in time is no hour."""
    import numpy as np

    rows = _hourly_with_weights(snapshot)
    rows = rows[(rows["owner"] != NOBODY) & rows["util_mean"].notna() & (rows["weight"] > 0)]
    if rows.empty:
        return None
    rows = rows.sort_values("util_mean", kind="stable")
    reached = np.cumsum(rows["weight"].to_numpy("float64"))
    index = int(np.searchsorted(reached, 0.95 * reached[-1] * (1 - 1e-12)))
    return round(float(rows["util_mean"].iloc[index]), 4)


def _hourly_with_weights(snapshot: Snapshot) -> "pd.DataFrame":
    devices = snapshot.usage.devices[["cluster", "device", "owner", "gpus", "interval_seconds"]]
    rows = snapshot.usage.hourly.merge(devices, on=["cluster", "device", "owner"], how="left")
    return rows.assign(weight=rows["samples"] * rows["interval_seconds"] / 3600 * rows["gpus"])


def _buckets(tenures: Sequence[Tenure], shares: Sequence[NodeShares], bucket: Bucket) -> schema.Buckets:
    total = sum(share.gpu_hours for share in shares)
    sums: dict[str, float] = defaultdict(float)
    for tenure in tenures:
        sums[_bucket_of(tenure, bucket)] += tenure.gpu_hours
    known = sum(hours for name, hours in sums.items() if name != "unknown")
    attributed = any(tenure.owner != UNKNOWN_OWNER for tenure in tenures)
    measured = any(tenure.util_mean is not None for tenure in tenures)
    return schema.Buckets(
        unallocated=_hours(sums["unallocated"]) if attributed else None,
        idle=_hours(sums["idle"]) if measured else None,
        underused=_hours(sums["underused"]) if measured else None,
        busy=_hours(sums["busy"]) if measured else None,
        unknown=_hours(max(0.0, total - known)) if shares else None,
    )


def _bucket_of(tenure: Tenure, bucket: Bucket) -> str:
    if tenure.owner == NOBODY:
        return "unallocated"
    judged = bucket(tenure)
    # without a pod label nobody can tell an idle GPU from a free one
    return "unknown" if tenure.owner == UNKNOWN_OWNER and judged == "idle" else judged


def _by_pool(
    snapshot: Snapshot, worked: Sequence[Tenure], shares: Sequence[NodeShares], bill: BillBook
) -> list[schema.UsageRow]:
    many = len(snapshot.clusters) > 1
    names = {
        share.node.key: (f"{share.node.cluster}/" if many else "") + (share.node.pool or "(no pool)")
        for share in shares
    }
    hours: dict[str, float] = defaultdict(float)
    for share in shares:
        hours[names[share.node.key]] += share.gpu_hours
    means: dict[str, list[Tenure]] = defaultdict(list)
    for tenure in worked:
        means[names.get((tenure.cluster, tenure.node), "(no pool)")].append(tenure)
    cents: dict[str, int] = defaultdict(int)
    for line in bill.lines:
        cents[(f"{line.cluster}/" if many else "") + (line.pool or "(no pool)")] += line.cents
    return _rows(hours, means, cents if bill.cents is not None else {})


def _by_group(
    worked: Sequence[Tenure], shares: Sequence[NodeShares], bill: BillBook, *, group_of: GroupOf
) -> list[schema.UsageRow]:
    hours: dict[str, float] = defaultdict(float)
    weights: dict[str, float] = defaultdict(float)
    for share in shares:
        cost = bill.by_node.get(share.node.key)
        per_hour = float(cost.cents) / share.gpu_hours if cost and cost.cents is not None and share.gpu_hours else 0.0
        for name, part in _parts(share, group_of).items():
            hours[name] += part
            weights[name] += part * per_hour
    means: dict[str, list[Tenure]] = defaultdict(list)
    for tenure in worked:
        means[UNOBSERVED if tenure.owner == UNKNOWN_OWNER else group_of(tenure.owner)].append(tenure)
    cents = split_cents(bill.cents, weights) if bill.cents is not None else {}
    return _rows(hours, means, cents)


def _parts(share: NodeShares, group_of: GroupOf) -> dict[str, float]:
    parts: dict[str, float] = defaultdict(float)
    for workload, hours in share.held.items():
        parts[group_of(workload)] += hours
    for name, hours in ((SPARE, share.spare), (UNALLOCATED, share.unallocated), (UNOBSERVED, share.unobserved)):
        if hours > 0:
            parts[name] += hours
    return parts


def _rows(
    hours: Mapping[str, float], means: Mapping[str, Sequence[Tenure]], cents: Mapping[str, int]
) -> list[schema.UsageRow]:
    total = sum(hours.values())
    rows = [
        schema.UsageRow(
            name=name,
            gpu_hours=_hours(part),
            share=round(part / total, 4) if total else None,
            mean=_mean(means.get(name, ())),
            usd_monthly=dollars(cents[name]) if name in cents else None,
        )
        for name, part in hours.items()
    ]
    return sorted(rows, key=lambda row: (-(row.gpu_hours or 0.0), row.name))


def _demand(snapshot: Snapshot) -> schema.Demand:
    """Return what waits; work whose GPUs or start is not known is left out of a sum, which is null without the rest."""
    if "pods" not in snapshot.facts:
        return schema.Demand(pending_gpus=None, gpu_hours_waited=None, p95_wait_seconds=None)
    sizes = [work.gpus for work in snapshot.waiting if work.gpus is not None]
    waits = sorted(
        (max(0.0, (snapshot.taken_at - work.since) / timedelta(seconds=1)), work.gpus)
        for work in snapshot.waiting
        if work.since is not None and work.gpus is not None
    )
    some = bool(snapshot.waiting)
    return schema.Demand(
        pending_gpus=None if some and not sizes else round(sum(sizes), 4),
        gpu_hours_waited=None if some and not waits else _hours(sum(seconds * gpus / 3600 for seconds, gpus in waits)),
        p95_wait_seconds=_p95_wait(waits),
        pending_unsized_pods=sum(work.pods for work in snapshot.waiting if work.gpus is None),
    )


def _p95_wait(waits: Sequence[tuple[float, float]]) -> float | None:
    """95th percentile of the waits so far, sorted; each weighs its GPUs."""
    total, reached = sum(gpus for _, gpus in waits), 0.0
    for seconds, gpus in waits:
        reached += gpus
        if reached >= 0.95 * total - 1e-9:
            return seconds
    return None


def _hours(hours: float) -> float:
    return round(hours, 4)
