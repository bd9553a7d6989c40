"""Keys, values and patterns of Kubernetes objects: labels of nodes, purchase options, providers, resources, owners."""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

from gpuaudit.knowledge.kubernetes_tables import (
    Fractions,
    Gfd,
    GpuTaints,
    Hami,
    Keep,
    Kubernetes,
    Maintenance,
    NodeLabels,
    Notebooks,
    Own,
    Ownership,
    Priorities,
    Provider,
    Purchase,
    PurchaseLabel,
    Queues,
    Reservation,
    Resources,
    Spare,
    Tracking,
    VirtualGpus,
)
from gpuaudit.knowledge.reading import read_toml


class Paid(NamedTuple):
    """How a node is paid for, the label that said so (`key=value`), and its reservation."""

    purchase: Purchase
    evidence: str
    reservation: str | None = None


@cache
def _file() -> Kubernetes:
    return read_toml("kubernetes", Kubernetes)


def labels() -> NodeLabels:
    """Return the keys of a node's labels, in order of preference."""
    return _file().labels


def gfd() -> Gfd:
    """Return the labels of GPU feature discovery and its neighbours."""
    return _file().gfd


def virtual_gpus() -> VirtualGpus:
    """Return the marks of GPUs that are not the node's own to cut."""
    return _file().virtual_gpus


def purchase_labels() -> tuple[PurchaseLabel, ...]:
    """Return the labels that say how a node is paid for, the deciding ones first."""
    return _file().purchase


def reservation() -> Reservation:
    """Return the labels whose value is a reservation."""
    return _file().reservation


def providers() -> tuple[Provider, ...]:
    """Return who may run the machines."""
    return _file().provider


def resources() -> Resources:
    """Return the names of extended resources."""
    return _file().resources


def hami() -> Hami:
    """Return HAMi's annotations."""
    return _file().hami


def fractions() -> Fractions:
    """Return the marks of KAI's and Run:ai's fractions."""
    return _file().fractions


def queues() -> Queues:
    """Return how work names its queue and gang."""
    return _file().queues


def spare() -> Spare:
    """Return the marks of capacity held free on purpose."""
    return _file().spare


def maintenance() -> Maintenance:
    """Return the marks of a node out of use on purpose."""
    return _file().maintenance


def gpu_taints() -> GpuTaints:
    """Return the taints that keep ordinary pods off GPU nodes."""
    return _file().gpu_taints


def tracking() -> Mapping[str, Tracking]:
    """Return what helm, argocd and flux leave on their objects."""
    return {str(tool): marks for tool, marks in _file().tracking.items()}


def ownership() -> Ownership:
    """Return the default keys of ownership."""
    return _file().ownership


def notebooks() -> Notebooks:
    """Return the marks of interactive work."""
    return _file().notebooks


def priorities() -> Priorities:
    """Return Kubernetes' own priorities."""
    return _file().priorities


def own() -> Own:
    """Return the annotations that this product reads."""
    return _file().own


def keep() -> Keep:
    """Return what may be kept of a container."""
    return _file().keep


def sources() -> Mapping[str, str]:
    """Return the text behind each source tag of this table."""
    return _file().sources


def first(found: Mapping[str, str], keys: Iterable[str]) -> str | None:
    """Return the value of the first of `keys` that is there and not empty."""
    for key in keys:
        if value := found.get(key):
            return value
    return None


def paid(node_labels: Mapping[str, str]) -> Paid | None:
    """Return how a node is paid for, None when no label says it: that is unknown, not on demand."""
    key = next((key for key in reservation().labels if node_labels.get(key)), None)
    if key is not None:
        return Paid("reserved", f"{key}={node_labels[key]}", node_labels[key])
    for row in purchase_labels():
        value = node_labels.get(row.key, "")
        if value in row.values:
            return Paid(row.values[value], f"{row.key}={value}")
    return None


def provider(provider_id: str | None, node_labels: Iterable[str] = ()) -> Provider | None:
    """Return who runs a node, by `spec.providerID`, else by the keys of its labels; None = unknown."""
    for row in providers():
        if provider_id and provider_id.startswith(row.provider_id_prefixes):
            return row
    keys = tuple(node_labels)
    return next((row for row in providers() if any(key.startswith(row.label_prefixes) for key in keys)), None)


def managed_by(object_labels: Mapping[str, str], annotations: Mapping[str, str]) -> str | None:
    """Return the tool that manages an object: argocd, flux or helm in this order (one may wrap another), or None."""
    for tool in ("argocd", "flux", "helm"):
        marks = tracking()[tool]
        if any(key in object_labels for key in marks.label_keys) or any(
            key in annotations for key in marks.annotations
        ):
            return tool
        if any(object_labels.get(key) == value for key, value in marks.labels.items()):
            return tool
    return None


def keeps_env(name: str) -> bool:
    """Whether an environment variable's value may be kept. A name that speaks of a secret never may."""
    return any(fnmatch.fnmatchcase(name, p) for p in keep().env) and not matches(keep().secret_names, name.upper())


def is_endpoint_env(name: str) -> bool:
    """Whether a variable names a model endpoint: of its value only the class of the host may be kept."""
    return any(fnmatch.fnmatchcase(name, p) for p in keep().endpoint_env)


def keeps_flag(flag: str) -> bool:
    """Whether an argument of this name (before any `=`) may be kept with its value."""
    return flag in _flags()


def is_secret(value: str) -> bool:
    """Whether a value looks like a credential, whatever its name."""
    return matches(keep().secret_values, value)


def is_generated_node_name(name: str) -> bool:
    """Whether a machine made the node's name up, so that it will not live as long as the node's pool."""
    return matches(_file().node_names.generated, name)


def matches(patterns: Iterable[str], text: str) -> bool:
    """Whether one of the regular expressions is found in the text (its first 4096 characters)."""
    return any(_pattern(pattern).search(text[:4096]) for pattern in patterns)


@cache
def _flags() -> frozenset[str]:
    return frozenset(keep().flags)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)
