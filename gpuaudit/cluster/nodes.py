"""What the machines are: clusters, nodes, physical cards, MIG devices, replicas, network interfaces, node pools."""

from typing import Literal

from gpuaudit.cluster.record import Instant, Record

Purchase = Literal["on_demand", "spot", "reserved", "owned", "unknown"]
CardState = Literal["ok", "lost", "unknown"]
SharingStrategy = Literal["time-slicing", "mps", "hami", "kai", "dra"]
LinkKind = Literal["ethernet", "infiniband", "roce", "efa", "omnipath", "other"]


class Cluster(Record, frozen=True, kw_only=True):
    """One Kubernetes cluster, or a set of hosts known from metrics alone (`uid` None, `listed` False)."""

    name: str
    uid: str | None = None  # of the kube-system namespace
    server: str | None = None  # host of the API server, never a credential
    version: str | None = None  # Kubernetes git version
    providers: tuple[str, ...] = ()
    listed: bool = True  # the API server's node list was read
    read_namespaces: tuple[str, ...] = ()  # whose pods alone were read: a tenant's view; empty = all, or no pods


class Taint(Record, frozen=True, kw_only=True):
    """A node taint."""

    key: str
    effect: str
    value: str = ""
    since: Instant | None = None


class Resource(Record, frozen=True, kw_only=True):
    """An extended resource of a node, in the units its device plugin advertises (None = not said)."""

    name: str
    capacity: int | None = None
    allocatable: int | None = None


class MigDevice(Record, frozen=True, kw_only=True):
    """One MIG device of a card; `start` and `size` are memory slots, None when the placement was not seen."""

    profile: str
    uuid: str | None = None
    gpu_instance_id: int | None = None
    start: int | None = None
    size: int | None = None


class Link(Record, frozen=True, kw_only=True):
    """One path between two devices of a host (GPU-GPU or GPU-NIC), as NVML or sysfs tells it."""

    peer: str  # "3" for GPU 3, or an interface name
    path: str  # NV4, PIX, PXB, PHB, NODE, SYS
    active: bool | None = None


class Card(Record, frozen=True, kw_only=True):
    """One physical GPU. Without NVML or DCGM it is known by node and index only (`uuid` None)."""

    index: int
    uuid: str | None = None
    model: str | None = None  # key of knowledge gpus; None = not recognised
    name: str | None = None  # as NVML, DCGM or GFD print it
    memory_mib: float | None = None
    pci: str | None = None
    serial: str | None = None
    state: CardState = "unknown"
    mig_enabled: bool | None = None
    mig_pending: bool | None = None  # the mode after the next reset
    mig: tuple[MigDevice, ...] = ()
    numa: int | None = None
    power_limit_watts: float | None = None
    pcie_gen: int | None = None
    pcie_width: int | None = None
    pcie_max_gen: int | None = None
    pcie_max_width: int | None = None
    links: tuple[Link, ...] = ()
    faults: tuple[str, ...] = ()  # "xid 79", "row remap failure", as the source named them


class Sharing(Record, frozen=True, kw_only=True):
    """How the cards of a node are shared; `replicas` per card, None when it varies."""

    strategy: SharingStrategy
    replicas: int | None = None
    resource: str | None = None


class Interface(Record, frozen=True, kw_only=True):
    """A network interface or RDMA device of a node; speeds in Gbit/s; None = not seen.

    `ethernet` is a plain interface; `other` an RDMA device whose link layer is not known.
    """

    name: str
    kind: LinkKind = "other"
    speed_gbps: float | None = None
    max_speed_gbps: float | None = None
    up: bool | None = None
    mtu_bytes: int | None = None
    pci: str | None = None
    numa: int | None = None
    firmware: str | None = None
    pfc_priorities: tuple[int, ...] | None = None
    ecn: bool | None = None
    trust: str | None = None  # dscp or pcp
    virtual_functions: int | None = None
    virtual: bool = False  # is itself a virtual function
    master: str | None = None  # bond it belongs to
    driver: str | None = None
    pcie_gen: int | None = None
    pcie_width: int | None = None
    pcie_max_gen: int | None = None
    pcie_max_width: int | None = None
    disabled: bool | None = None  # switched off by somebody, not broken
    counters: dict[str, float] = {}  # since the driver was loaded, as the host tells
    increases: dict[str, float] = {}  # within the window, as metrics tell: only what grew


class Tenant(Record, frozen=True, kw_only=True):
    """Pods of one workload on a GPU node that hold no GPU: what they request there."""

    workload: str
    pods: int
    cpu_cores: float
    memory_bytes: int
    daemon: bool = False  # of a DaemonSet: cannot move away


class Span(Record, frozen=True, kw_only=True):
    """From `start` (in) to `end` (out)."""

    start: Instant
    end: Instant


class Node(Record, frozen=True, kw_only=True):
    """One machine. `created`, `present` and `gone` say when it was part of the cluster."""

    cluster: str
    name: str
    uid: str | None = None
    listed: bool = True  # in a node list; False = known from metrics or a probe alone
    pool: str | None = None
    instance_type: str | None = None
    provider: str | None = None
    region: str | None = None
    zone: str | None = None
    purchase: Purchase = "unknown"
    purchase_evidence: str | None = None  # the label that said it
    reservation: str | None = None  # capacity reservation, capacity block
    reservation_end: Instant | None = None  # where the cluster says it
    commitment: str | None = None  # kind of the commitment in the price file that covers it: reserved, lease ...
    commitment_end: Instant | None = None
    created: Instant | None = None
    gone: Instant | None = None
    present: tuple[Span, ...] = ()  # from metrics; empty = from `created` until `taken_at`
    ready: bool | None = None
    ready_since: Instant | None = None
    cordoned: bool = False
    cordoned_since: Instant | None = None
    taints: tuple[Taint, ...] = ()
    addresses: tuple[str, ...] = ()  # host names and IPs of its status
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}  # allow-listed
    role: str | None = None  # spare, dr, canary, debug, lab, tenant: annotation gpuaudit.io/role
    cpu_cores: float | None = None  # allocatable
    memory_bytes: int | None = None  # allocatable
    cpu_requested_cores: float | None = None  # by all pods bound to it; None = pods were not read
    memory_requested_bytes: int | None = None
    pods_allocatable: int | None = None
    pods_bound: int | None = None
    resources: tuple[Resource, ...] = ()  # extended resources (GPU, MIG, RDMA ...)
    cards: tuple[Card, ...] = ()
    cards_source: str | None = None  # what the number of cards was read from
    sharing: Sharing | None = None
    mig_strategy: str | None = None
    mig_config: str | None = None
    mig_config_state: str | None = None
    mig_state_since: Instant | None = None  # the state stands at least since then; None = not told
    driver_version: str | None = None
    cuda_version: str | None = None
    kernel_version: str | None = None
    os_image: str | None = None
    kubelet_version: str | None = None
    provider_id: str | None = None
    interfaces: tuple[Interface, ...] = ()
    peermem: bool | None = None  # the module nvidia_peermem is loaded
    dma_buf: bool | None = None  # DMA-BUF can carry GPUDirect RDMA: open kernel modules on a new enough kernel
    acs_bridges: tuple[str, ...] | None = None  # PCI bridges above a GPU or NIC that send peer traffic over the root
    tenants: tuple[Tenant, ...] = ()  # on GPU nodes only
    agents: dict[str, bool] = {}  # on GPU nodes only: system (key of knowledge systems) with a pod there → ready
    probe_taken_at: Instant | None = None  # node facts (NVML, sysfs) are of this time; None = none, or stale ones

    @property
    def key(self) -> tuple[str, str]:
        """Cluster and name: unique in a snapshot."""
        return (self.cluster, self.name)

    @property
    def gpus(self) -> int:
        """Physical cards."""
        return len(self.cards)


class NodePool(Record, frozen=True, kw_only=True):
    """A pool as its provisioner describes it (Karpenter NodePool, managed node group)."""

    cluster: str
    name: str
    kind: str
    api_group: str = ""
    limits: dict[str, str] = {}
    min_nodes: int | None = None
    max_nodes: int | None = None
    consolidation_policy: str | None = None
    consolidate_after_seconds: float | None = None
    expire_after_seconds: float | None = None
    budgets: tuple[str, ...] = ()
    taints: tuple[Taint, ...] = ()
    labels: dict[str, str] = {}
    instance_types: tuple[str, ...] = ()
    capacity_types: tuple[str, ...] = ()
    annotations: dict[str, str] = {}
