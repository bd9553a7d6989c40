"""The report's plan section from a plain node release: bounded, not backtested."""

import hashlib
from collections import defaultdict
from datetime import date, timedelta

from gpuaudit import schema
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.plan.bill import BillBook, dollars, round_cents
from gpuaudit.plan.release import Release

EXPIRES_AFTER = timedelta(days=30)  # sizing.md 2.4: a recommendation lasts as long as what it was tested on, at most


def plan_part(snapshot: Snapshot, bill: BillBook, release: Release, *, regained_gpus: float) -> schema.PlanPart:
    """Return the section; without a bill, or all pods, the status is none and every amount unknown."""
    removed = sum(cost.average for cost in release.cash)
    booked = release.booked
    listed = bool(snapshot.clusters) and all(cluster.listed for cluster in snapshot.clusters)
    judged = "pods" in snapshot.facts
    known = bill.cents is not None and booked is not None and judged
    freed = round(regained_gpus + sum(cost.node.gpus for cost in release.capacity), 4)
    before, after = bill.average_nodes, bill.average_nodes - removed
    return schema.PlanPart(
        status="bounded" if known else "none",
        gap=None,
        certificate=None,
        hash=_hash(snapshot, bill, release),
        expires=(snapshot.taken_at + EXPIRES_AFTER).isoformat().replace("+00:00", "Z") if known else None,
        before=schema.NodeBill(
            monthly=None if bill.cents is None else dollars(bill.cents), nodes=round(before, 4) if listed else None
        ),
        after=schema.NodeBill(
            monthly=dollars((bill.cents or 0) - (booked or 0)) if known else None,
            nodes=round(after, 4) if listed else None,
        ),
        savings_monthly=schema.SavingsRange(booked=dollars(booked or 0) if known else None, p50=None, p95=None),
        at_renewal=_at_renewal(release),
        capacity_gpus=freed if freed or (listed and judged) else None,
        moves=[],
        transitions=[],
        backtest=None,
    )


def _at_renewal(release: Release) -> list[schema.AtRenewal]:
    groups: dict[date | None, list[tuple[int, float]]] = defaultdict(list)
    for cost, day in release.at_renewal:
        if cost.cents is not None:
            groups[day].append((round_cents(cost.cents), cost.average))
    return [
        schema.AtRenewal(
            usd_monthly=dollars(sum(cents for cents, _ in rows)),
            nodes=round(sum(nodes for _, nodes in rows), 4),
            date=day.isoformat() if day else None,
        )
        for day, rows in sorted(groups.items(), key=lambda item: (item[0] is None, item[0] or date.max))
    ]


def _hash(snapshot: Snapshot, bill: BillBook, release: Release) -> str:
    """Name the plan by what it does and to which clusters; the same plan of the same snapshot has the same hash."""
    lines = [snapshot.taken_at.isoformat(), str(bill.cents), str(release.booked)]
    lines += sorted(f"{cluster.name} {cluster.uid}" for cluster in snapshot.clusters)
    lines += sorted(f"release {cost.node.cluster} {cost.node.name}" for cost in release.nodes)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
