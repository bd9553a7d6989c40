"""The report, `gpuaudit.report/v1` (design 6): every key always present, lists never null, None = unknown.

Money is USD with two decimals outside (`monthly`, `usd_*`); times RFC 3339 UTC; ratios 0-1. Records of sections that a
later audit fills are empty lists or None until then.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

SCHEMA = "gpuaudit.report/v1"

Shelf = Literal["protect", "this_week", "plan", "find_out"]
LedgerName = Literal["cash", "at_renewal", "capacity", "none"]
Effort = Literal["S", "M", "L"]
Utilization = Literal["sm_active", "gr_engine_active", "gpu_util", "mixed"]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the report."""


class WindowPart(Part, frozen=True, kw_only=True):
    """The time looked at."""

    start: datetime
    end: datetime
    seconds: float


class ClusterPart(Part, frozen=True, kw_only=True):
    """What a cluster is made of; `nodes` None when the node list could not be read.

    `read_namespaces` are those whose pods alone were read, of `namespaces` (None = not told): a tenant's view.
    """

    name: str
    nodes: int | None
    gpu_nodes: int
    gpus: int
    mig_devices: int
    workloads: int
    providers: list[str]
    namespaces: int | None = None
    read_namespaces: list[str] = []


class SourcePart(Part, frozen=True, kw_only=True):
    """A source and how reading it went."""

    name: str
    status: str
    detail: str


class NotEvaluated(Part, frozen=True, kw_only=True):
    """A rule that lacked facts: which, and how to get them."""

    rule: str
    missing: list[str]
    how: str


class Coverage(Part, frozen=True, kw_only=True):
    """What was seen and what was not."""

    sources: list[SourcePart]
    observed_gpu_hours_ratio: float | None
    join_ratio: float | None
    not_evaluated: list[NotEvaluated]


class UsageRow(Part, frozen=True, kw_only=True):
    """GPU-hours, share of the window's GPU-hours, mean over held and observed hours, and cost of one group."""

    name: str
    gpu_hours: float | None
    share: float | None
    mean: float | None
    usd_monthly: float | None


class Buckets(Part, frozen=True, kw_only=True):
    """Disjoint GPU-hours of the window; None = cannot be known."""

    unallocated: float | None
    idle: float | None
    underused: float | None
    busy: float | None
    unknown: float | None


class Demand(Part, frozen=True, kw_only=True):
    """GPU work that waits."""

    pending_gpus: float | None
    gpu_hours_waited: float | None
    p95_wait_seconds: float | None


class UtilizationPart(Part, frozen=True, kw_only=True):
    """Who holds the GPUs and what they do with them."""

    metric: Utilization | None
    mean: float | None
    p95: float | None
    by_pool: list[UsageRow]
    by_namespace: list[UsageRow]
    by_owner: list[UsageRow]
    buckets: Buckets
    demand: Demand


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


class Answer(Part, frozen=True, kw_only=True):
    """A question a team should be able to answer."""

    question: str
    answer: str | None
    because: str


class ActionPart(Part, frozen=True, kw_only=True):
    """Something a person can do."""

    id: str
    shelf: Shelf
    act: str
    pool: str
    owner: str
    text: str
    findings: list[str]
    booked_monthly: float
    risk: str
    effort: Effort


class SubjectPart(Part, frozen=True, kw_only=True):
    """What a finding is about."""

    cluster: str
    kind: str
    namespace: str | None
    name: str
    node: str | None
    devices: list[str]
    gpus: float | None


class EvidencePart(Part, frozen=True, kw_only=True):
    """One number or text that shows it."""

    name: str
    value: float | str | bool | None
    unit: str
    statistic: str
    window_seconds: float | None
    source: str
    query: str | None
    observed: bool


class ActPart(Part, frozen=True, kw_only=True):
    """The proposed act."""

    kind: str
    target: str
    from_: str | None = msgspec.field(name="from")
    to: str | None
    unblocks: str | None


class Amounts(Part, frozen=True, kw_only=True):
    """What the act saves a month within the booked plan, and alone."""

    attributed: float
    standalone: float | None


class Savings(Part, frozen=True, kw_only=True):
    """Which ledger, and how much."""

    ledger: LedgerName
    monthly: Amounts


class FixPart(Part, frozen=True, kw_only=True):
    """How to act."""

    generate: str | None
    note: str


class Ignored(Part, frozen=True, kw_only=True):
    """Who said that the finding is not to be acted on, and until when."""

    by: str
    reason: str
    expires: str | None


class FindingPart(Part, frozen=True, kw_only=True):
    """One finding, with its place in the books."""

    id: str
    rule: str
    area: str
    severity: str
    confidence: str
    subject: SubjectPart
    message: str
    evidence: list[EvidencePart]
    act: ActPart | None
    savings: Savings
    fix: FixPart
    ignored: Ignored | None


class NodeBill(Part, frozen=True, kw_only=True):
    """A bill and the nodes behind it."""

    monthly: float | None
    nodes: float


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
    capacity_gpus: float
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


class Decision(Part, frozen=True, kw_only=True):
    """One row of the closing table; attributed, so the rows add to the booked plan x 12."""

    decision: Literal["gpu_sizing", "model_loading", "networking", "observability", "scheduling"]
    today: str
    right: str
    annual_delta_usd: float | None
    enables: str


class StackRow(Part, frozen=True, kw_only=True):
    """A system of the stack."""

    layer: str
    system: str
    status: Literal["present", "provider_managed", "misconfigured", "absent", "unknown"]
    version: str | None
    evidence: list[str]


class MondayStep(Part, frozen=True, kw_only=True):
    """One of the five steps."""

    step: str
    done: bool | None
    next: str


class Report(Part, frozen=True, kw_only=True):
    """The whole report."""

    schema: str
    tool_version: str
    taken_at: datetime
    window: WindowPart
    cluster: ClusterPart
    clusters: list[ClusterPart]
    coverage: Coverage
    utilization: UtilizationPart
    bill: Bill
    serving: list[Serving]
    answers: list[Answer]
    actions: list[ActionPart]
    findings: list[FindingPart]
    plan: PlanPart
    tiers: list[Tier]
    decisions: list[Decision]
    stack: list[StackRow]
    monday: list[MondayStep]
    objects: list[dict[str, Any]]
