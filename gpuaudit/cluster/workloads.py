"""What runs: pods that hold or ask for GPUs, what they hold, their workloads, and the work that waits."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

from gpuaudit.cluster.record import Instant, Record

HostClass = Literal["gateway", "model", "provider", "in-cluster", "external"]
HoldingKind = Literal["whole", "mig", "shared", "mps", "dra", "hami", "fraction"]


Requirement = tuple[str, str, tuple[str, ...]]  # label key, operator (In, NotIn, Exists, DoesNotExist, Gt, Lt), values


class Container(Record, frozen=True, kw_only=True):
    """A container of a pod; arguments and environment are kept only from an allow-list."""

    name: str
    image: str = ""
    init: bool = False
    sidecar: bool = False  # init container with restartPolicy Always
    requests: dict[str, float] = {}  # cpu in cores, memory in bytes, extended resources in their units
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    ready: bool | None = None
    running_since: Instant | None = None
    restarts: int = 0
    waiting_reason: str | None = None
    last_exit_reason: str | None = None
    last_exit_code: int | None = None
    last_exit_at: Instant | None = None


class Holding(Record, frozen=True, kw_only=True):
    """What a pod holds or asks for. `gpus` are physical: 0.125 of a card for one of eight replicas, None = unknown."""

    kind: HoldingKind
    resource: str  # nvidia.com/gpu, nvidia.com/mig-1g.10gb, a device class, gpu-fraction ...
    count: float
    gpus: float | None = None
    profile: str | None = None  # of MIG
    memory_mib: float | None = None  # limit that the sharing enforces (HAMi, fractions)
    devices: tuple[str, ...] = ()  # UUIDs, where known
    group: str | None = None  # reservation pod or gpu-group that really holds the device


class Pod(Record, frozen=True, kw_only=True):
    """A pod that holds or asks for a GPU, or that a rule needs to see beside one."""

    cluster: str
    namespace: str
    name: str
    uid: str | None = None
    workload: str = ""  # id of its root owner
    node: str | None = None
    phase: str = "Unknown"
    reason: str | None = None  # status.reason, e.g. Evicted
    created: Instant | None = None
    scheduled: Instant | None = None
    started: Instant | None = None
    ready: bool | None = None
    ready_at: Instant | None = None
    containers_ready_at: Instant | None = None
    initialized_at: Instant | None = None
    deleted: Instant | None = None  # metadata.deletionTimestamp: when it should have been gone
    finalizers: tuple[str, ...] = ()
    unschedulable_reason: str | None = None
    unschedulable_since: Instant | None = None
    gates: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    node_selector: dict[str, str] = {}
    affinity_keys: tuple[str, ...] = ()
    node_terms: tuple[tuple[Requirement, ...], ...] = ()  # required node affinity: one term, all of its requirements
    tolerations: tuple[str, ...] = ()  # key[=value][:effect], * = every key
    priority: int | None = None
    priority_class: str | None = None
    scheduler: str | None = None
    host_network: bool = False
    privileged: bool = False
    shm_bytes: int | None = None  # memory-backed emptyDir, any mount; None = none
    host_shm: bool = False  # the node's shared memory: hostIPC, or its /dev/shm as a volume
    pod_group: str | None = None  # gang that it names, whichever scheduler reads it
    claims: tuple[str, ...] = ()  # PVC names
    resource_claims: tuple[str, ...] = ()
    requests: dict[str, float] = {}  # as the scheduler counts them
    containers: tuple[Container, ...] = ()
    holdings: tuple[Holding, ...] = ()
    grace_seconds: float | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Cluster, namespace and name."""
        return (self.cluster, self.namespace, self.name)

    @property
    def ended(self) -> bool:
        """Whether it has Succeeded or Failed: such a pod holds nothing."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def holds(self) -> bool:
        """Whether the scheduler counts its requests on a node (crashing and terminating pods included)."""
        return self.node is not None and not self.ended and bool(self.holdings)

    @property
    def gpus(self) -> float | None:
        """Physical GPUs of its holdings; None when one of them is not known."""
        amounts = [holding.gpus for holding in self.holdings]
        return None if any(amount is None for amount in amounts) else sum(a for a in amounts if a is not None)


class Workload(Record, frozen=True, kw_only=True):
    """The root owner of pods: `id` is `cluster/Kind/namespace/name`."""

    id: str
    cluster: str
    kind: str
    namespace: str
    name: str
    api_group: str = ""
    created: Instant | None = None
    changed: Instant | None = None  # newest revision
    replicas: int | None = None
    max_surge: str | None = None
    suspended: bool = False
    schedule: str | None = None
    completions: int | None = None
    parallelism: int | None = None
    retries: int | None = None  # attempts after the first one that failed; None = not said
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    queue: str | None = None
    managed_by: str | None = None  # helm, argocd, flux
    role: str | None = None
    ignore: tuple[str, ...] = ()  # annotation gpuaudit.io/ignore
    engine: str | None = None  # key of knowledge systems: vllm, triton ...
    model: str | None = None
    listed: bool = True  # False = known from its pods only
    strategy: str | None = None
    volume_claims: tuple[str, ...] = ()
    extra: dict[str, str] = {}  # allow-listed fields (dotted path → JSON text) that rules of one kind read
    owner: str | None = None  # whom [ownership] names beyond the plain namespace; filled in by the audit
    owner_by: str | None = None  # what named it: `label KEY`, `queue`, `map` …; "" = nothing, None = not looked for


class Shape(Record, frozen=True, kw_only=True):
    """What one of `pods` equal pods asks of a node; of work that has no pods yet."""

    pods: int = 1
    requests: dict[str, float] = {}
    node_selector: dict[str, str] = {}
    node_terms: tuple[tuple[Requirement, ...], ...] = ()
    tolerations: tuple[str, ...] = ()
    priority: int | None = None


def folded(shapes: Iterable[Shape]) -> tuple[Shape, ...]:
    """Return equal shapes as one, of all their pods: a workload may have thousands of equal ones."""
    counts: Counter[str] = Counter()
    firsts: dict[str, Shape] = {}
    for one in shapes:
        key = repr(msgspec.structs.replace(one, pods=0))
        counts[key] += one.pods
        firsts.setdefault(key, one)
    return tuple(msgspec.structs.replace(one, pods=counts[key]) for key, one in firsts.items())


class Waiting(Record, frozen=True, kw_only=True):
    """GPU work that waits: a Pending pod, or a queue's workload that was not admitted."""

    cluster: str
    namespace: str
    workload: str
    resource: str
    count: float
    gpus: float | None = None
    since: Instant | None = None
    reason: str = ""  # Unschedulable, SchedulingGated, QuotaExhausted, Suspended, Inadmissible
    message: str = ""
    queue: str | None = None
    pods: int = 1
    shapes: tuple[Shape, ...] = ()  # of work without pods, where its queue tells them

    @property
    def most_gpus(self) -> float:
        """Physical GPUs that it could fill: a device of unknown size may be a card, none is less than one."""
        return max(1.0, self.count) if self.gpus is None else self.gpus

    @property
    def is_offered(self) -> bool:
        """Whether nodes offer what it waits for by name; any GPU may serve a fraction or a device class."""
        return "/" in self.resource


class ModelClient(Record, frozen=True, kw_only=True):
    """A workload whose environment names the endpoint of a model: variable → class of the host, never the host.

    gateway = something that stands between applications and models · model = a Service in front of GPU pods ·
    provider = a public model API · in-cluster, external = what is behind it is not known.
    """

    cluster: str
    kind: str
    namespace: str
    name: str
    endpoints: dict[str, HostClass] = {}
