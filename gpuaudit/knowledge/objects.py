"""How Kubernetes objects are turned into records, beside the keys of `kubernetes`: owners, allow-lists, bounds."""

from collections.abc import Mapping
from functools import cache
from typing import Literal

from gpuaudit.knowledge.reading import Entry, read_toml


class Cards(Entry, frozen=True):
    """What undoes the ways in which a node's devices are more than its cards."""

    mig_product: str  # pattern of a product label that names a slice; group 1 = profile
    mig_counted: str  # pattern of a label that counts devices of a profile; group 1 = profile
    mig_replicas: str
    gke_partition: str
    gke_sharing: str
    gke_clients: str
    max_per_node: int
    max_asked: int
    sources: tuple[str, ...]


class Unlabelled(Entry, frozen=True):
    """A provider's pool label: its nodes without one of `spot_labels` are paid this way."""

    label: str
    spot_labels: tuple[str, ...]
    purchase: Literal["on_demand"]
    source: str


class Dra(Entry, frozen=True):
    """Drivers and device classes of GPUs."""

    drivers: tuple[str, ...]
    whole_classes: tuple[str, ...]
    mig_classes: tuple[str, ...]
    other_classes: tuple[str, ...]  # of the same maker, but no GPU
    maker_suffix: str
    implicit_prefix: str
    sources: tuple[str, ...]


class Endings(Entry, frozen=True):
    """How custom resources say that their work has ended: conditions, phases, and times at dotted paths."""

    conditions: tuple[str, ...]
    phase_paths: tuple[str, ...]
    phases: tuple[str, ...]
    time_paths: tuple[str, ...]
    sources: tuple[str, ...]


class Annotations(Entry, frozen=True):
    """Which annotations are kept."""

    keep_prefixes: tuple[str, ...]
    keep: tuple[str, ...]
    max_value_chars: int
    sources: tuple[str, ...]


class Configs(Entry, frozen=True):
    """What gives a ConfigMap away whose name is free: each row's patterns must all be found in one of its texts."""

    marks: tuple[tuple[str, ...], ...]
    sources: tuple[str, ...]


class RootLabel(Entry, frozen=True):
    """A pod label whose value names the root owner."""

    label: str
    group: str
    kind: str


class Shown(Entry, frozen=True):
    """The name under which a kind is shown where its own is taken."""

    group: str
    kind: str
    shown: str


class Owners(Entry, frozen=True):
    """How the root owner of a pod is found."""

    stop_kinds: tuple[str, ...]
    final_kinds: tuple[str, ...]
    leaf_makers: tuple[str, ...]
    template_hash: tuple[str, ...]
    max_depth: int
    root_label: tuple[RootLabel, ...]
    shown: tuple[Shown, ...]
    sources: tuple[str, ...]


class Arguments(Entry, frozen=True):
    """What is kept of a command line, besides flags and programs."""

    tools: tuple[str, ...]
    address: str
    max_words: int
    max_value_chars: int
    sources: tuple[str, ...]


class Settings(Entry, frozen=True):
    """The configuration files of schedulers and queues, told by their `kind`, and what is kept of them."""

    scheduler_kind: str
    queue_kind: str
    queue_group: str
    queue_paths: tuple[str, ...]
    scoring_plugin: str
    gang_plugins: tuple[str, ...]
    sources: tuple[str, ...]


class Limits(Entry, frozen=True):
    """Bounds of what objects may put into a snapshot."""

    labels: int
    label_value_chars: int
    custom_value_chars: int
    config_value_chars: int
    config_total_chars: int
    images: int
    events: int
    message_chars: int
    gpu_pods_ended: int
    notes: int


class ObjectFacts(Entry, frozen=True):
    """The whole table."""

    compiled: str
    sources: dict[str, str]
    shared_memory: str  # path at which containers have it
    job_ends: tuple[str, ...]  # conditions after which a Job makes no more pods
    cards: Cards
    purchase_unlabelled: tuple[Unlabelled, ...]
    dra: Dra
    endings: Endings
    annotations: Annotations
    configs: Configs
    owners: Owners
    arguments: Arguments
    settings: Settings
    limits: Limits


@cache
def objects() -> ObjectFacts:
    """Return the table."""
    return read_toml("objects", ObjectFacts)


@cache
def shown_kind(group: str, kind: str) -> str:
    """Return the name under which a kind appears in workload ids: Volcano's Job is a VolcanoJob."""
    return next((row.shown for row in objects().owners.shown if (row.group, row.kind) == (group, kind)), kind)


def kept_annotations(annotations: Mapping[str, str] | None) -> dict[str, str]:
    """Return the annotations that may be kept, cut to a bounded length."""
    rule = objects().annotations
    return {
        key: value[: rule.max_value_chars]
        for key, value in (annotations or {}).items()
        if key in rule.keep or key.startswith(rule.keep_prefixes)
    }
