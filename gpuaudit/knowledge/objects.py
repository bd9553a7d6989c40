"""What is read from Kubernetes objects: label keys, resource names, allow-lists of environment, arguments, fields."""

from functools import cache

from gpuaudit.knowledge.reading import Entry, read_toml


class Resources(Entry, frozen=True):
    """Names of GPU resources; MIG's are in the table of MIG."""

    gpu: str
    shared_suffix: str
    hami_count: tuple[str, ...]
    hami_memory_mib: tuple[str, ...]
    hami_memory_percent: tuple[str, ...]
    hami_cores_percent: tuple[str, ...]
    plain: tuple[str, ...]  # not devices


class CardLabels(Entry, frozen=True):
    """Node labels that tell how many cards there are, which, and how they are shared."""

    count: str
    product: str
    memory_mib: str
    replicas: str
    sharing: str
    sharing_none: tuple[str, ...]
    mig_strategy: str
    mig_config: str
    mig_config_state: str
    mig_mixed: str  # pattern: resource, field
    mig_product: str  # pattern: profile at the end of a product
    node_counts: tuple[str, ...]
    products: tuple[str, ...]
    gke_partition: str
    gke_sharing: str
    gke_clients: str
    driver: tuple[str, ...]
    driver_parts: tuple[str, ...]
    cuda: tuple[str, ...]
    cuda_parts: tuple[str, ...]


class NodeLabels(Entry, frozen=True):
    """Node labels of place and pool, the preferred one first."""

    instance_type: tuple[str, ...]
    region: tuple[str, ...]
    zone: tuple[str, ...]
    pool: tuple[str, ...]
    reservation: tuple[str, ...]


class PurchaseLabel(Entry, frozen=True):
    """A label whose value tells how a node is bought; the value `*` is any."""

    label: str
    values: dict[str, str]


class Unlabelled(Entry, frozen=True):
    """A provider's pool label: without a purchase label its nodes are bought this way."""

    label: str
    purchase: str


class Annotations(Entry, frozen=True):
    """Which annotations are kept, and ours."""

    keep_prefixes: tuple[str, ...]
    keep: tuple[str, ...]
    drop_prefixes: tuple[str, ...]
    max_value_chars: int
    role: str
    ignore: str


class Fractions(Entry, frozen=True):
    """How Run:ai and KAI mark fractions of a GPU and the pods that reserve it."""

    fraction: str
    memory_mib: str
    devices: str
    group_label: str
    group_label_prefix: str
    reservation_namespaces: tuple[str, ...]
    reservation_labels: dict[str, tuple[str, ...]]
    reserved_device: str


class Hami(Entry, frozen=True):
    """Annotations of HAMi and of Volcano's vGPU."""

    node_register: tuple[str, ...]
    pod_devices: tuple[str, ...]


class Dra(Entry, frozen=True):
    """Drivers and device classes of GPUs."""

    drivers: tuple[str, ...]
    whole_classes: tuple[str, ...]
    mig_classes: tuple[str, ...]
    class_suffix: str
    not_gpu_classes: tuple[str, ...]


class RootLabel(Entry, frozen=True):
    """A pod label that names its root owner."""

    label: str
    group: str
    kind: str


class Owners(Entry, frozen=True):
    """How the root owner of a pod is found."""

    stop_kinds: tuple[str, ...]
    final_kinds: tuple[str, ...]
    template_hash: tuple[str, ...]
    max_depth: int
    root_label: tuple[RootLabel, ...]
    shown: tuple[dict[str, str], ...]


class ManagedBy(Entry, frozen=True):
    """Labels and annotations that say who would revert a change."""

    labels: dict[str, dict[str, str]]
    annotations: dict[str, str]


class QueueLabels(Entry, frozen=True):
    """Where a workload names its queue."""

    labels: tuple[str, ...]
    annotations: tuple[str, ...]


class Environment(Entry, frozen=True):
    """Variables that are kept; of those that match `hosts` only the class of host."""

    prefixes: tuple[str, ...]
    names: tuple[str, ...]
    hosts: str
    never: str
    max_value_chars: int


class Arguments(Entry, frozen=True):
    """Flags, words and addresses (scheme only) that are kept of a command line."""

    flags: tuple[str, ...]
    words: tuple[str, ...]
    address: str
    max_words: int
    max_value_chars: int


class Images(Entry, frozen=True):
    """Bound of the list of images."""

    max_distinct: int


class Events(Entry, frozen=True):
    """Bounds of events."""

    max_kept: int
    max_message_chars: int


class Limits(Entry, frozen=True):
    """Bounds of what one object may put into a snapshot."""

    custom_value_chars: int
    config_value_chars: int
    config_total_chars: int
    gpu_pods_ended: int


class ObjectFacts(Entry, frozen=True):
    """The whole table."""

    compiled: str
    resources: Resources
    card_labels: CardLabels
    node_labels: NodeLabels
    purchase: tuple[PurchaseLabel, ...]
    purchase_unlabelled: tuple[Unlabelled, ...]
    provider_ids: dict[str, str]  # prefix → provider
    annotations: Annotations
    fractions: Fractions
    hami: Hami
    dra: Dra
    owners: Owners
    managed_by: ManagedBy
    queue_labels: QueueLabels
    environment: Environment
    arguments: Arguments
    container_images: Images
    events: Events
    limits: Limits


@cache
def objects() -> ObjectFacts:
    """Return the table."""
    return read_toml("objects", ObjectFacts)


@cache
def shown_kind(group: str, kind: str) -> str:
    """Return the name under which a kind appears in workload ids: Volcano's Job is a VolcanoJob."""
    rows = (row for row in objects().owners.shown if (row["group"], row["kind"]) == (group, kind))
    return next((row["as"] for row in rows), kind)
