"""The bill: time-averaged nodes of the window x price x 730 h, in whole cents; what has no price is named."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.plan.pricebook import HOURS_PER_MONTH, PriceBook, Rate, Unpriced

LineKey = tuple[str, str, str, str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class NodeCost:
    """A node's part of the bill: `average` of a node over the window, exact cents a month (None = unpriced)."""

    node: Node
    average: float
    gpu_hours: float
    cents: Decimal | None
    rate: Rate | None
    why_unpriced: str = ""


@dataclass(frozen=True, kw_only=True)
class BillLine:
    """Nodes of one kind and price; `cents` is the rounded sum of its nodes."""

    cluster: str
    pool: str
    instance_type: str
    gpu: str
    purchase: str
    source: str
    date: str
    nodes: float
    gpus: float
    cents: int


@dataclass(frozen=True, kw_only=True)
class BillBook:
    """The bill of one snapshot. `cents` is None when no node could be priced (or no node list was read)."""

    costs: tuple[NodeCost, ...]
    lines: tuple[BillLine, ...]
    cents: int | None
    by_node: Mapping[tuple[str, str], NodeCost] = field(default_factory=dict)

    @property
    def unpriced(self) -> tuple[NodeCost, ...]:
        """Nodes without a price."""
        return tuple(cost for cost in self.costs if cost.cents is None)

    @property
    def average_nodes(self) -> float:
        """Time-averaged number of GPU nodes, priced or not."""
        return sum(cost.average for cost in self.costs)


def bill(snapshot: Snapshot, book: PriceBook) -> BillBook:
    """Return the bill of the GPU nodes of the clusters whose node list was read."""
    listed = {cluster.name for cluster in snapshot.clusters if cluster.listed}
    nodes = [node for node in snapshot.nodes if node.cards and node.cluster in listed]
    costs = tuple(node_cost(snapshot, node, book) for node in nodes)
    lines = lines_of(cost for cost in costs if cost.cents is not None)
    known = not costs or bool(lines)
    return BillBook(
        costs=costs,
        lines=lines,
        cents=sum(line.cents for line in lines) if listed and known else None,
        by_node={cost.node.key: cost for cost in costs},
    )


def node_cost(snapshot: Snapshot, node: Node, book: PriceBook) -> NodeCost:
    """Price one node for a month like the window."""
    seconds = snapshot.present_seconds(node)
    average = seconds / snapshot.window_seconds
    rate = book.rate(node)
    gpu_hours = node.gpus * seconds / 3600
    if isinstance(rate, Unpriced):
        return NodeCost(node=node, average=average, gpu_hours=gpu_hours, cents=None, rate=None, why_unpriced=rate.why)
    return NodeCost(node=node, average=average, gpu_hours=gpu_hours, cents=_cents(rate, average), rate=rate)


def round_cents(cents: Decimal) -> int:
    """Round to whole cents, halves up."""
    return int(cents.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def split_cents(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Divide cents by weight so that the parts add up to the total exactly (largest remainder, ties by name).

    Weights of 0 get 0 cents; when all are 0 the result is empty unless the total is 0.
    """
    whole = sum(weights.values())
    if whole <= 0:
        return {}
    exact = {name: total * weight / whole for name, weight in weights.items() if weight > 0}
    parts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (parts[name] - exact[name], name))
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


def dollars(cents: int) -> float:
    """Cents as dollars with two decimals."""
    return round(cents / 100, 2)


def _cents(rate: Rate, average: float) -> Decimal:
    return rate.usd_hour * HOURS_PER_MONTH * 100 * Decimal(repr(average))


def lines_of(costs: Iterable[NodeCost]) -> tuple[BillLine, ...]:
    """Group priced nodes into bill lines, sorted by key."""
    groups: dict[LineKey, list[NodeCost]] = defaultdict(list)
    for cost in costs:
        groups[_key(cost)].append(cost)
    return tuple(_line(key, group) for key, group in sorted(groups.items()))


def _key(cost: NodeCost) -> LineKey:
    node, rate = cost.node, cost.rate
    assert rate is not None
    gpus = sorted({card.model or card.name or "unknown" for card in node.cards})
    return (
        node.cluster,
        node.pool or "",
        node.instance_type or "",
        "+".join(gpus),
        node.purchase,
        rate.source,
        rate.date,
    )


def _line(key: LineKey, costs: list[NodeCost]) -> BillLine:
    cluster, pool, instance_type, gpu, purchase, source, date = key
    return BillLine(
        cluster=cluster,
        pool=pool,
        instance_type=instance_type,
        gpu=gpu,
        purchase=purchase,
        source=source,
        date=date,
        nodes=sum(cost.average for cost in costs),
        gpus=sum(cost.average * cost.node.gpus for cost in costs),
        cents=round_cents(sum((cost.cents for cost in costs if cost.cents is not None), Decimal(0))),
    )
