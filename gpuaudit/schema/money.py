"""The bill, the plan and what it saves; models that are served and where their weights should wait."""

from typing import Any, Literal

from gpuaudit.schema.part import Part


class PoolBill(Part, frozen=True, kw_only=True):
    """One line of the bill: nodes of a kind, averaged over the window."""

    cluster: str
    pool: str
    instance_type: str
    gpu: str
    nodes: float
    gpus: float
    usd_monthly: float | None
    purchase: str
    price_source: str
    price_date: str


class UnpricedNode(Part, frozen=True, kw_only=True):
    """A node without a price: named, never $0."""

    cluster: str
    node: str
    instance_type: str
    gpus: int
    why: str


class Bill(Part, frozen=True, kw_only=True):
    """The time-averaged node bill of the window, for a month of 730 h."""

    currency: str
    monthly: float | None
    by_pool: list[PoolBill]
    unpriced_nodes: list[UnpricedNode]


class NodeBill(Part, frozen=True, kw_only=True):
    """A bill and the nodes behind it."""

    monthly: float | None
    nodes: float | None  # None without a list of nodes


class SavingsRange(Part, frozen=True, kw_only=True):
    """Booked saving a month; p50 and p95 include it and are possible, not booked."""

    booked: float | None
    p50: float | None
    p95: float | None


class AtRenewal(Part, frozen=True, kw_only=True):
    """What a commitment's end allows."""

    usd_monthly: float
    nodes: float
    date: str | None


class Backtest(Part, frozen=True, kw_only=True):
    """The plan replayed on hours it has not seen."""

    train: str
    test: str
    checked_workloads: int
    violations: dict[str, float]
    regret: float | None


class PlanPart(Part, frozen=True, kw_only=True):
    """The one joint plan. Without moves and backtest it is a plain node release, status bounded."""

    status: Literal["optimal", "bounded", "none"]
    gap: float | None
    certificate: dict[str, Any] | None
    hash: str
    expires: str | None
    before: NodeBill
    after: NodeBill
    savings_monthly: SavingsRange
    at_renewal: list[AtRenewal]
    capacity_gpus: float | None  # None where not all nodes and pods were read
    moves: list[dict[str, Any]]
    transitions: list[dict[str, Any]]
    backtest: Backtest | None


class Tier(Part, frozen=True, kw_only=True):
    """Where a model's weights should wait."""

    model: str
    workload: str
    size_bytes: int | None
    today: str
    proposed: str
    mechanism: str
    keep_alive_seconds: float | None
    cold_starts_per_day: float | None
    p95_penalty_seconds: float | None
    usd_monthly_delta: float | None


class Serving(Part, frozen=True, kw_only=True):
    """A served model: users and money. Model and workload are null where the metrics tell none."""

    model: str | None
    workload: str | None
    requests: float | None
    error_ratio: float | None
    ttft_p50_seconds: float | None
    ttft_p95_seconds: float | None
    queue_p95: float | None
    tokens: float | None
    gpu_hours: float | None
    usd_per_million_tokens: float | None
    usd_per_thousand_requests: float | None
