"""What surrounds the work: services, autoscalers, queues, quotas, budgets, claims, events, systems, sources."""

from typing import Literal

from gpuaudit.cluster.record import Instant, Record
from gpuaudit.cluster.workloads import Requirement

SourceStatus = Literal["ok", "partial", "failed", "absent"]


class Namespace(Record, frozen=True, kw_only=True):
    """A namespace with the labels and annotations that say whose it is."""

    cluster: str
    name: str
    uid: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    role: str | None = None
    ignore: tuple[str, ...] = ()


class Service(Record, frozen=True, kw_only=True):
    """A Service: what it selects and which ports it offers (name → port)."""

    cluster: str
    namespace: str
    name: str
    selector: dict[str, str] = {}
    ports: dict[str, int] = {}
    labels: dict[str, str] = {}
    type: str = "ClusterIP"
    external: str | None = None  # class of host only: in-cluster, external, gateway
    endpoints: int | None = None


class Autoscaler(Record, frozen=True, kw_only=True):
    """An HPA, ScaledObject, KPA or other autoscaler; `triggers` are (type, metric or query, target)."""

    cluster: str
    namespace: str
    name: str
    kind: str
    api_group: str = ""
    target: str = ""  # workload id
    min_replicas: int | None = None
    max_replicas: int | None = None
    current_replicas: int | None = None
    desired_replicas: int | None = None
    triggers: tuple[tuple[str, str, str], ...] = ()
    behavior: dict[str, str] = {}
    fallback: bool | None = None
    paused: bool = False
    healthy: bool | None = None
    conditions: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class FlavorQuota(Record, frozen=True, kw_only=True):
    """What a Kueue ClusterQueue may use of a resource in one flavor; limits None = not limited."""

    flavor: str
    resource: str
    nominal: float = 0.0
    borrowing_limit: float | None = None
    lending_limit: float | None = None
    used: float | None = None
    borrowed: float | None = None


class Queue(Record, frozen=True, kw_only=True):
    """A Kueue, Volcano, KAI or Run:ai queue; quotas per resource, None = unlimited or not said."""

    cluster: str
    name: str
    kind: str
    api_group: str
    namespace: str = ""
    cohort: str | None = None
    parent: str | None = None
    nominal: dict[str, float] = {}
    used: dict[str, float] = {}
    borrowing_limit: dict[str, float] = {}
    limit: dict[str, float] = {}  # hard caps (KAI's limit, Volcano's capability); a resource left out has none
    flavors: tuple[FlavorQuota, ...] = ()
    stopped: str | None = None  # Kueue's stopPolicy, unless it is None
    pending: int | None = None
    admitted: int | None = None
    active: bool | None = None
    labels: dict[str, str] = {}
    guaranteed: dict[str, float] = {}  # Volcano's guarantee: kept for the queue, whether it is used or not


class Quota(Record, frozen=True, kw_only=True):
    """A ResourceQuota's hard limits and use, in resource units."""

    cluster: str
    namespace: str
    name: str
    hard: dict[str, float] = {}
    used: dict[str, float] = {}
    scopes: tuple[str, ...] = ()  # only pods of these scopes count: `Terminating`, `PriorityClass In high`; () = all


class Budget(Record, frozen=True, kw_only=True):
    """A PodDisruptionBudget."""

    cluster: str
    namespace: str
    name: str
    selector: dict[str, str] = {}
    expressions: tuple[Requirement, ...] = ()  # of the selector, beside its labels
    min_available: str | None = None
    max_unavailable: str | None = None
    disruptions_allowed: int | None = None
    current_healthy: int | None = None
    desired_healthy: int | None = None
    expected_pods: int | None = None


class Claim(Record, frozen=True, kw_only=True):
    """A DRA ResourceClaim: which devices it holds and for whom. `admin` access holds nothing."""

    cluster: str
    namespace: str
    name: str
    device_classes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()  # driver/pool/device
    uuids: tuple[str, ...] = ()
    admin: bool = False
    reserved_for: tuple[str, ...] = ()  # pod names
    allocated: bool = False


class VolumeClaim(Record, frozen=True, kw_only=True):
    """A PersistentVolumeClaim with its class."""

    cluster: str
    namespace: str
    name: str
    storage_class: str | None = None
    bytes: int | None = None
    access_modes: tuple[str, ...] = ()
    provisioner: str | None = None


class Event(Record, frozen=True, kw_only=True):
    """An event about a pod, node or workload; messages are bounded."""

    cluster: str
    namespace: str
    kind: str
    name: str
    reason: str
    message: str = ""
    type: str = "Normal"
    count: int = 1
    first: Instant | None = None
    last: Instant | None = None
    component: str = ""
    api_group: str = ""  # of the object that it is about


class CustomObject(Record, frozen=True, kw_only=True):
    """The allow-listed fields of a custom resource of a known system (dotted path → JSON text of the value)."""

    cluster: str
    api_group: str
    kind: str
    name: str
    namespace: str = ""
    fields: dict[str, str] = {}
    conditions: tuple[tuple[str, str, str], ...] = ()  # type, status, reason
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


SystemSign = Literal["workload", "image", "scheduler", "resource", "custom", "crd", "label", "managed"]


class InstalledSystem(Record, frozen=True, kw_only=True):
    """Raw facts about a known system: which evidence was seen. The verdict is the stack's.

    `seen`, strongest first: its own workload, its image in users' pods, pods that name its scheduler, a resource on
    nodes, custom resources, its CRD or API group, labels of nodes, a provider that runs it. `pods_*` are of its own
    workloads, None = none was seen.
    """

    cluster: str
    system: str  # key of knowledge systems
    version: str | None = None
    ready: bool | None = None
    in_use: bool | None = None
    provider_managed: bool = False
    seen: tuple[SystemSign, ...] = ()
    pods_wanted: int | None = None
    pods_ready: int | None = None
    evidence: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()


class Metric(Record, frozen=True, kw_only=True):
    """A metric that exists in a source: how many series, how often, since when."""

    name: str
    source: str
    series: int
    interval_seconds: float | None = None
    first: Instant | None = None
    last: Instant | None = None
    hosts: int | None = None


class Source(Record, frozen=True, kw_only=True):
    """A system or file that was read, and how that went. `detail` is one line for a person."""

    name: str
    status: SourceStatus
    detail: str = ""
    provides: tuple[str, ...] = ()  # facts of knowledge.facts that it gave
    cluster: str | None = None
