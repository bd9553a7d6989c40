"""The plain node release: nodes empty for the whole window, beyond the reserve and the queue, bought on demand.

Stands in for a packing plan: it moves nothing, so it is `bounded`, not backtested, and knows no p50 or p95.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Waiting
from gpuaudit.plan.bill import BillBook, NodeCost, lines_of, round_cents, split_cents
from gpuaudit.plan.ledger import Entry, entry
from gpuaudit.plan.pricebook import HOURS_PER_MONTH, PriceBook
from gpuaudit.plan.queue_fit import could_run
from gpuaudit.plan.release_check import violations

NodeKey = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Release:
    """What the plan lets go and what that saves; cents a month. `refused` says why a proposed node stays."""

    cash: tuple[NodeCost, ...] = ()
    at_renewal: tuple[tuple[NodeCost, date | None], ...] = ()
    capacity: tuple[NodeCost, ...] = ()
    booked: int | None = None
    attributed: Mapping[str, int] = field(default_factory=dict)  # finding id → cents
    standalone: Mapping[str, int] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)  # finding id → its leading ledger
    refused: Mapping[NodeKey, str] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[NodeCost, ...]:
        """All nodes that the plan lets go, whatever the ledger."""
        return (*self.cash, *(cost for cost, _ in self.at_renewal), *self.capacity)


def plan_release(
    snapshot: Snapshot,
    bill: BillBook,
    book: PriceBook,
    *,
    proposed: Mapping[str, Sequence[Node]],
    scarce: Collection[str] = (),
) -> Release:
    """Return the release of the nodes that findings propose (finding id → nodes; each node counts once, first come).

    Every node is checked again by `release_check`, which shares no code with the rules that proposed it.
    """
    owner: dict[NodeKey, str] = {}
    for finding, nodes in proposed.items():
        for node in nodes:
            if node.key in bill.by_node:
                owner.setdefault(node.key, finding)
    candidates = [bill.by_node[key] for key in owner]
    refused = dict(violations(snapshot, [cost.node for cost in candidates]))
    refused |= _wanted_by_queue(snapshot, [cost for cost in candidates if cost.node.key not in refused])
    kept = [cost for cost in candidates if cost.node.key not in refused]
    return _booked(kept, owner, book, bill, scarce=scarce, refused=refused)


def _booked(
    costs: Sequence[NodeCost],
    owner: Mapping[NodeKey, str],
    book: PriceBook,
    bill: BillBook,
    *,
    scarce: Collection[str],
    refused: Mapping[NodeKey, str],
) -> Release:
    entries = _committed(costs, bill, book, {cost.node.key: entry(cost.node, book, scarce=scarce) for cost in costs})
    cash = tuple(cost for cost in costs if entries[cost.node.key].ledger == "cash" and cost.cents is not None)
    booked = _saved(cash, bill, book) if bill.cents is not None else None
    exact: dict[str, Decimal] = defaultdict(Decimal)
    for cost in cash:
        exact[owner[cost.node.key]] += cost.cents or Decimal(0)
    alone: dict[str, Decimal] = defaultdict(Decimal)
    for cost in costs:
        alone[owner[cost.node.key]] += cost.cents or Decimal(0)
    leading: dict[str, Entry] = {}
    for rank in ("cash", "at_renewal", "capacity"):
        for cost in costs:
            if entries[cost.node.key].ledger == rank:
                leading.setdefault(owner[cost.node.key], entries[cost.node.key])
    return Release(
        cash=cash,
        at_renewal=tuple(
            (cost, entries[cost.node.key].date) for cost in costs if entries[cost.node.key].ledger == "at_renewal"
        ),
        capacity=tuple(
            cost
            for cost in costs
            if entries[cost.node.key].ledger == "capacity" or (cost.cents is None and cost not in cash)
        ),
        booked=booked,
        attributed=split_cents(booked or 0, {finding: float(cents) for finding, cents in exact.items()}),
        standalone={finding: round_cents(cents) for finding, cents in alone.items()},
        entries=leading,
        refused=refused,
    )


def _saved(cash: Sequence[NodeCost], bill: BillBook, book: PriceBook) -> int:
    """Bill before less bill after, by the same rounding; floating commitments go on costing what they cost."""
    before = bill.cents or 0
    after = before - _line_difference(cash, bill)
    return max(0, before - after - _still_committed(cash, bill, book))


def _line_difference(cash: Sequence[NodeCost], bill: BillBook) -> int:
    gone = {cost.node.key for cost in cash}
    rest = lines_of(cost for cost in bill.costs if cost.cents is not None and cost.node.key not in gone)
    return (bill.cents or 0) - sum(line.cents for line in rest)


def _still_committed(cash: Sequence[NodeCost], bill: BillBook, book: PriceBook) -> int:
    """Cents a month of the released usage that a floating commitment has already paid for."""
    gone = {cost.node.key for cost in cash}
    owed = Decimal(0)
    for row in book.file.commitment:
        if row.usd_per_hour is None:
            continue
        covered = [cost for cost in bill.costs if cost.cents is not None and row in book.floating(cost.node)]
        usage = sum((cost.cents or Decimal(0) for cost in covered), Decimal(0))
        left = sum((cost.cents or Decimal(0) for cost in covered if cost.node.key not in gone), Decimal(0))
        paid = row.usd_per_hour * HOURS_PER_MONTH * 100
        owed += min(paid, usage) - min(paid, left)
    return round_cents(owed)


def _committed(
    costs: Sequence[NodeCost], bill: BillBook, book: PriceBook, entries: Mapping[NodeKey, Entry]
) -> dict[NodeKey, Entry]:
    """Where a commitment covers fewer nodes than there are, the rest of them is as its own label says."""
    result = dict(entries)
    for row in book.file.commitment:
        if row.nodes is None:
            continue
        fleet = [cost for cost in bill.costs if book.commitment(cost.node) == row]
        beyond = max(0, len(fleet) - row.nodes)
        labelled = [cost for cost in costs if book.commitment(cost.node) == row and cost.node.purchase == "on_demand"]
        for cost in labelled[:beyond]:
            result[cost.node.key] = Entry("cash", None, f"on demand, beyond the {row.nodes} committed nodes")
    return result


def _told(work: Waiting) -> str:
    return f"{work.count:g} of {work.resource}" if work.gpus is None else f"{work.gpus:g} GPUs"


def _wanted_by_queue(snapshot: Snapshot, costs: Sequence[NodeCost]) -> dict[NodeKey, str]:
    """Keep as many proposed nodes as the waiting GPU work that they could run could fill: queued demand is demand."""
    refused: dict[NodeKey, str] = {}
    for work in snapshot.waiting:
        left = work.most_gpus
        for cost in costs:
            if left <= 0:
                break
            if cost.node.key not in refused and could_run(snapshot, work, cost.node):
                refused[cost.node.key] = f"{work.workload} waits for {_told(work)} and could run on it"
                left -= cost.node.gpus
    return refused
