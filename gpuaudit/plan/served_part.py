"""The report's serving section: what users got of each model, and what it cost.

Money is the workload's part of its nodes' bill, as in the chargeback, over the hours in which its engine was watched;
what has no price, and what several models of one workload share, is unknown.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpuaudit import schema
from gpuaudit.cluster.serving import Served
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import Tenure
from gpuaudit.knowledge import engines
from gpuaudit.plan.attribution import NodeShares
from gpuaudit.plan.bill import BillBook
from gpuaudit.plan.pricebook import HOURS_PER_MONTH

_KINDS = ("engine", "server", "gateway")


@dataclass
class _Cost:
    """GPU-hours of a workload in the window and their dollars; `whole` = every node has a price."""

    gpu_hours: float = 0.0
    usd: float = 0.0
    whole: bool = True


def served_part(
    snapshot: Snapshot, tenures: Sequence[Tenure], shares: Sequence[NodeShares], bill: BillBook
) -> list[schema.Serving]:
    """Return a row per model and workload, sorted by them; a workload whose engine told nothing has one too."""
    costs = _costs(shares, bill, snapshot.window_seconds / 3600)
    hours = _hours_held(tenures)
    rows = _told(snapshot)
    told = {row.workload for row in rows}
    by_workload: dict[str, int] = defaultdict(int)
    for row in rows:
        by_workload[row.workload] += 1
    found = [
        _row(snapshot, row, costs.get(row.workload) if by_workload[row.workload] == 1 else None, hours) for row in rows
    ]
    silent = [one for one in snapshot.workloads if one.engine and one.id in costs and one.id not in told]
    found += [_empty(model=one.model or None, workload=one.id, gpu_hours=costs[one.id].gpu_hours) for one in silent]
    return sorted(found, key=lambda row: (row.model or "", row.workload or ""))


def _costs(shares: Sequence[NodeShares], bill: BillBook, window_hours: float) -> Mapping[str, _Cost]:
    found: dict[str, _Cost] = defaultdict(_Cost)
    for share in shares:
        cost = bill.by_node.get(share.node.key)
        monthly = float(cost.cents) / 100 if cost and cost.cents is not None else None
        for workload, hours in share.held.items():
            row = found[workload]
            row.gpu_hours += hours
            if monthly is None or not share.gpu_hours:
                row.whole = False
            else:
                row.usd += monthly * window_hours / HOURS_PER_MONTH * hours / share.gpu_hours
    return found


def _hours_held(tenures: Sequence[Tenure]) -> Mapping[str, float]:
    """Return for how many hours a workload held any device, at least: the longest tenure."""
    found: dict[str, float] = defaultdict(float)
    for tenure in tenures:
        found[tenure.owner] = max(found[tenure.owner], tenure.held_hours)
    return found


def _told(snapshot: Snapshot) -> list[Served]:
    """Return one engine's rows of each workload: what runs the model before what is around it.

    A gateway counts where nothing else tells of the model: else its requests would stand twice.
    """
    ranks = {key: number for number, key in enumerate(engines.engines())}
    by_workload: dict[tuple[str, str], list[Served]] = defaultdict(list)
    for row in snapshot.served:
        place = row.workload or f"?{row.engine}"
        by_workload[row.cluster, place].append(row)
    chosen: list[Served] = []
    for rows in by_workload.values():
        best = min(rows, key=lambda row: (_KINDS.index(_kind(row)), row.requests is None, ranks.get(row.engine, 99)))
        chosen += [row for row in rows if row.engine == best.engine]
    models = {row.model for row in chosen if _kind(row) != "gateway"}
    return [row for row in chosen if _kind(row) != "gateway" or (row.model and row.model not in models)]


def _kind(row: Served) -> engines.Kind:
    engine = engines.engines().get(row.engine)
    return engine.kind if engine else "server"


def _row(snapshot: Snapshot, row: Served, cost: _Cost | None, hours: Mapping[str, float]) -> schema.Serving:
    workload = snapshot.workload_by_id.get(row.workload)
    both = row.prompt_tokens is not None and row.generated_tokens is not None
    tokens = (row.prompt_tokens or 0.0) + (row.generated_tokens or 0.0) if both else None
    usd = None
    if cost is not None and cost.whole and cost.usd > 0 and row.days is not None:
        usd = cost.usd * min(1.0, row.days * 24 / max(hours.get(row.workload, 0.0), 1e-9))
    return schema.Serving(
        model=row.model or (workload.model if workload else None) or None,
        workload=row.workload or None,
        requests=_rounded(row.requests, 0),
        error_ratio=_rounded(row.error_ratio, 6),
        ttft_p50_seconds=_rounded(row.ttft_p50_seconds, 4),
        ttft_p95_seconds=_rounded(row.ttft_p95_seconds, 4),
        queue_p95=_rounded(row.waiting_p95, 2),
        tokens=_rounded(tokens, 0),
        gpu_hours=_rounded(cost.gpu_hours, 2) if cost else None,
        usd_per_million_tokens=_rounded(usd / tokens * 1e6, 4) if usd is not None and tokens else None,
        usd_per_thousand_requests=_rounded(usd / row.requests * 1e3, 4) if usd is not None and row.requests else None,
    )


def _empty(*, model: str | None, workload: str, gpu_hours: float) -> schema.Serving:
    return schema.Serving(
        model=model,
        workload=workload,
        requests=None,
        error_ratio=None,
        ttft_p50_seconds=None,
        ttft_p95_seconds=None,
        queue_p95=None,
        tokens=None,
        gpu_hours=_rounded(gpu_hours, 2),
        usd_per_million_tokens=None,
        usd_per_thousand_requests=None,
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
