"""The shapes of the tables in kubernetes.toml."""

from typing import Literal

from gpuaudit.knowledge.reading import Entry

Purchase = Literal["spot", "on_demand", "reserved"]


class NodeLabels(Entry, frozen=True):
    """Label keys of a node, in order of preference."""

    instance_type: tuple[str, ...]
    region: tuple[str, ...]
    zone: tuple[str, ...]
    pool: tuple[str, ...]
    hostname: tuple[str, ...]
    accelerator: tuple[str, ...]  # their values: gpus.identify_label
    gpu_count: tuple[str, ...]
    gpu_memory_mib: tuple[str, ...]
    gpu_present: tuple[str, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Gfd(Entry, frozen=True):
    """Labels of GPU feature discovery, the device plugin, the MIG manager and the driver upgrade."""

    product: str
    memory_mib: str
    count: str
    replicas: str
    sharing_strategy: str
    machine: str
    clique: str
    mode: str
    mig_capable: str
    mig_strategy: str
    mig_config: str
    mig_config_state: str
    mig_state_success: str
    mig_state_failed: str
    mig_state_passing: tuple[str, ...]
    mig_invalid_product: str
    mig_profile_prefix: str
    mps_capable: str
    slices_gi: str
    plugin_config: str
    driver_version: tuple[str, ...]
    driver_version_parts: tuple[str, ...]
    cuda_version: tuple[str, ...]
    cuda_version_parts: tuple[str, ...]
    shared_product_suffix: str
    deploy_prefix: str
    deploy_paused: str
    driver_upgrade_state: str
    driver_upgrade_done: tuple[str, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()


class VirtualGpus(Entry, frozen=True):
    """Labels of nodes whose GPUs are not theirs to cut: vGPU guests, confidential computing."""

    guest: str
    confidential: str
    confidential_on: tuple[str, ...]
    sources: tuple[str, ...]


class PurchaseLabel(Entry, frozen=True):
    """A label whose values say how a node is paid for."""

    key: str
    values: dict[str, Purchase]
    source: str


class Reservation(Entry, frozen=True):
    """Labels whose value is a reservation."""

    labels: tuple[str, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Provider(Entry, frozen=True, kw_only=True):
    """Who runs the machines, and what gives it away."""

    name: str
    provider_id_prefixes: tuple[str, ...]
    label_prefixes: tuple[str, ...]
    managed: str | None = None  # its Kubernetes service
    on_premises: bool = False
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Resources(Entry, frozen=True):
    """Names of extended resources."""

    gpu: str
    gpu_shared: str
    mig_prefix: str
    shared_suffix: str
    hami_memory_mib: str
    hami_memory_percent: str
    hami_cores_percent: str
    hami_priority: str
    other_gpus: tuple[str, ...]
    other_accelerators: tuple[str, ...]
    whole_gpus: tuple[str, ...]
    rdma_prefixes: tuple[str, ...]
    rdma_any: tuple[str, ...]
    efa: str
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Hami(Entry, frozen=True):
    """Annotations of HAMi and their formats."""

    node_register: str
    node_handshake: str
    pod_allocated: str
    pod_to_allocate: str
    pod_node: str
    pod_mode: str
    register_fields: tuple[str, ...]
    register_format: str
    allocated_format: str
    scheduler: str
    sources: tuple[str, ...]


class Fractions(Entry, frozen=True):
    """Annotations, labels and namespaces of KAI's and Run:ai's fractions."""

    fraction: str
    memory_mib: str
    devices: str
    most_memory_mib: int
    most_devices: int
    received: str
    group_labels: tuple[str, ...]
    group_label_prefixes: tuple[str, ...]
    reservation_namespaces: tuple[str, ...]
    reservation_index: str
    scaling_namespaces: tuple[str, ...]
    mps: str
    schedulers: tuple[str, ...]
    queue_labels: tuple[str, ...]
    node_pool_labels: tuple[str, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Queues(Entry, frozen=True):
    """How a pod or workload names its queue and its gang."""

    labels: tuple[str, ...]
    annotations: tuple[str, ...]
    pod_groups: tuple[str, ...]
    pod_sets: tuple[str, ...]
    scheduling_gates: tuple[str, ...]
    sources: tuple[str, ...]


class Spare(Entry, frozen=True):
    """Marks of capacity that is held free on purpose; a pod of a priority below `priority_below` is such a mark too."""

    images: tuple[str, ...]
    names: tuple[str, ...]
    priority_below: int
    buffer_kinds: tuple[str, ...]
    sources: tuple[str, ...]


class Maintenance(Entry, frozen=True):
    """Marks of a node that is out of use on purpose; `health_taints` are those of a cordoned or a sick one."""

    taints: tuple[str, ...]
    taint_patterns: tuple[str, ...]
    health_taints: tuple[str, ...]
    label_patterns: tuple[str, ...]
    annotations: tuple[str, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()


class GpuTaints(Entry, frozen=True):
    """Keys of taints that keep ordinary pods off GPU nodes."""

    keys: tuple[str, ...]
    sources: tuple[str, ...]


class Tracking(Entry, frozen=True):
    """What a deployment tool leaves on the objects it manages: any one of these."""

    labels: dict[str, str]
    label_keys: tuple[str, ...]
    annotations: tuple[str, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Ownership(Entry, frozen=True):
    """Label and annotation keys that say whose an object is, where the configuration does not."""

    labels: tuple[str, ...]
    annotations: tuple[str, ...]
    project_labels: tuple[str, ...]  # of Run:ai
    user_labels: tuple[str, ...]  # a person, not a team
    sources: tuple[str, ...]


class Notebooks(Entry, frozen=True):
    """Marks of notebooks and other interactive work, and of what culls them."""

    kinds: tuple[str, ...]  # Kind.group
    label_keys: tuple[str, ...]
    labels: dict[str, str]
    images: tuple[str, ...]
    commands: tuple[str, ...]
    idle_commands: tuple[str, ...]
    user_labels: tuple[str, ...]
    culler_env: tuple[str, ...]
    culler_commands: tuple[str, ...]
    sources: tuple[str, ...]


class Priorities(Entry, frozen=True):
    """Kubernetes' own priority classes and the highest value a user may give."""

    system: tuple[str, ...]
    user_maximum: int
    sources: tuple[str, ...]


class Own(Entry, frozen=True):
    """Annotations that this product reads."""

    role: str
    ignore: str
    roles: tuple[str, ...]


class Keep(Entry, frozen=True):
    """What may be kept of a container's environment and arguments; all else is dropped where it is read."""

    env: tuple[str, ...]  # shell patterns
    endpoint_env: tuple[str, ...]  # shell patterns: only the class of the host may be kept
    secret_names: tuple[str, ...]
    secret_values: tuple[str, ...]
    flags: tuple[str, ...]
    programs: tuple[str, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()


class NodeNames(Entry, frozen=True):
    """Patterns of node names that a machine made up."""

    generated: tuple[str, ...]
    sources: tuple[str, ...]


class Kubernetes(Entry, frozen=True):
    """The whole file."""

    compiled: str
    sources: dict[str, str]
    labels: NodeLabels
    gfd: Gfd
    virtual_gpus: VirtualGpus
    purchase: tuple[PurchaseLabel, ...]
    reservation: Reservation
    provider: tuple[Provider, ...]
    resources: Resources
    hami: Hami
    fractions: Fractions
    queues: Queues
    spare: Spare
    maintenance: Maintenance
    gpu_taints: GpuTaints
    tracking: dict[Literal["helm", "argocd", "flux"], Tracking]
    ownership: Ownership
    notebooks: Notebooks
    priorities: Priorities
    own: Own
    keep: Keep
    node_names: NodeNames
