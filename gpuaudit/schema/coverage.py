"""What was looked at, what was seen of it, and what the GPUs did."""

from datetime import datetime
from typing import Literal

from gpuaudit.schema.part import Part

Utilization = Literal["sm_active", "gr_engine_active", "gpu_util", "mixed"]


class WindowPart(Part, frozen=True, kw_only=True):
    """The time looked at."""

    start: datetime
    end: datetime
    seconds: float


class ClusterPart(Part, frozen=True, kw_only=True):
    """What a cluster is made of; `nodes` None when the node list could not be read.

    Its GPUs are None where neither nodes nor pods tell of any; without the list of nodes there are at least these.

    `read_namespaces` are those whose pods alone were read, of `namespaces` (None = not told): a tenant's view.
    """

    name: str
    nodes: int | None
    gpu_nodes: int | None
    gpus: int | None
    mig_devices: int | None
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

    pending_gpus: float | None  # of the pods that tell how much of a card they get
    gpu_hours_waited: float | None
    p95_wait_seconds: float | None
    pending_unsized_pods: int | None = None  # pods that wait and do not tell it: in none of the sums


class UtilizationPart(Part, frozen=True, kw_only=True):
    """Who holds the GPUs and what they do with them."""

    metric: Utilization | None
    mean: float | None  # of GPU-hours; of points in time where nothing else was measured (no GPU-hours are observed)
    p95: float | None  # of hours
    by_pool: list[UsageRow]
    by_namespace: list[UsageRow]
    by_owner: list[UsageRow]
    buckets: Buckets
    demand: Demand
