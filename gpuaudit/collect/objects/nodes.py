"""Nodes: what they are, where they stand, how they are paid for, how they fare."""

from collections.abc import Mapping
from datetime import datetime

from gpuaudit.cluster.nodes import Node as NodeRecord
from gpuaudit.cluster.nodes import Purchase, Resource, Taint
from gpuaudit.collect.kubernetes_types import Quantities
from gpuaudit.collect.kubernetes_types.nodes import Node
from gpuaudit.collect.objects.conditions import condition
from gpuaudit.collect.objects.quantities import amounts, quantity, whole
from gpuaudit.knowledge import kubernetes
from gpuaudit.knowledge.objects import kept_annotations, objects

_PLAIN = ("cpu", "memory", "pods", "ephemeral-storage")


def node_record(node: Node, *, cluster: str) -> NodeRecord:
    """Return the node without cards, sharing and tenants, which other objects tell as well."""
    labels = bounded(node.metadata.labels)
    keys = kubernetes.labels()
    provider = kubernetes.provider(node.spec.provider_id, labels)
    purchase, evidence, reservation = paid(labels)
    ready = condition(node.status.conditions, "Ready")
    annotations = node.metadata.annotations or {}
    return NodeRecord(
        cluster=cluster,
        name=node.metadata.name,
        uid=node.metadata.uid or None,
        pool=kubernetes.first(labels, keys.pool),
        instance_type=kubernetes.first(labels, keys.instance_type),
        provider=provider.name if provider else None,
        region=kubernetes.first(labels, keys.region),
        zone=kubernetes.first(labels, keys.zone),
        purchase=purchase,
        purchase_evidence=evidence,
        reservation=reservation,
        created=node.metadata.creation_timestamp,
        ready=None if ready is None else ready.status == "True",
        ready_since=ready.last_transition_time if ready else None,
        cordoned=bool(node.spec.unschedulable),
        cordoned_since=_cordoned_since(node),
        taints=_taints(node),
        addresses=tuple(sorted({item.address[:253] for item in (node.status.addresses or ())[:16] if item.address})),
        labels=labels,
        annotations=kept_annotations(annotations),
        role=annotations.get(kubernetes.own().role),
        cpu_cores=quantity((node.status.allocatable or {}).get("cpu", "")),
        memory_bytes=whole(node.status.allocatable, "memory"),
        pods_allocatable=whole(node.status.allocatable, "pods"),
        resources=resources(node.status.capacity, node.status.allocatable),
        mig_strategy=labels.get(kubernetes.gfd().mig_strategy),
        mig_config=labels.get(kubernetes.gfd().mig_config),
        mig_config_state=labels.get(kubernetes.gfd().mig_config_state),
        mig_state_since=_written(node, kubernetes.gfd().mig_config_state),
        driver_version=version(labels, kubernetes.gfd().driver_version, kubernetes.gfd().driver_version_parts),
        cuda_version=version(labels, kubernetes.gfd().cuda_version, kubernetes.gfd().cuda_version_parts),
        kernel_version=node.status.node_info.kernel_version,
        os_image=node.status.node_info.os_image,
        kubelet_version=node.status.node_info.kubelet_version,
        provider_id=node.spec.provider_id,
    )


def paid(labels: Mapping[str, str]) -> tuple[Purchase, str | None, str | None]:
    """Return the purchase option, the label that said it, and the reservation; unknown when nothing says it."""
    found = kubernetes.paid(labels)
    if found:
        return found.purchase, found.evidence, found.reservation
    for row in objects().purchase_unlabelled:
        if row.label in labels and not any(label in labels for label in row.spot_labels):
            return row.purchase, f"{row.label} without {row.spot_labels[0]}", None
    return "unknown", None, None


def resources(capacity: Quantities, allocatable: Quantities) -> tuple[Resource, ...]:
    """Return the extended resources of a node: all but CPU, memory, pods, storage and huge pages."""
    sizes, given = amounts(capacity), amounts(allocatable)
    names = {name for name in (*sizes, *given) if name not in _PLAIN and not name.startswith("hugepages-")}
    return tuple(
        Resource(name=name, capacity=_integer(sizes, name), allocatable=_integer(given, name)) for name in sorted(names)
    )


def version(labels: Mapping[str, str], full: tuple[str, ...], parts: tuple[str, ...]) -> str | None:
    """Return a version that one label tells whole, or several in parts."""
    return kubernetes.first(labels, full) or ".".join(labels[key] for key in parts if labels.get(key)) or None


def bounded(labels: Mapping[str, str] | None) -> dict[str, str]:
    """Return at most as many labels, and as long, as a snapshot keeps; the API server's own bounds are lower."""
    if not labels:
        return {}
    limits = objects().limits
    if len(labels) <= limits.labels and max(map(len, labels.values())) <= limits.label_value_chars:
        return dict(labels)
    pairs = list(labels.items())[: limits.labels]
    return {key: value[: limits.label_value_chars] for key, value in pairs}


def _written(node: Node, label: str) -> datetime | None:
    """Return when whoever owns the label last changed a field: the label has its value at least since then."""
    for writer in (node.metadata.managed_fields or ())[:100]:
        owned = writer.fields.metadata.labels if writer.fields and writer.fields.metadata else None
        if owned and f"f:{label}" in owned:
            return writer.time
    return None


def _integer(found: Mapping[str, float], name: str) -> int | None:
    return int(found[name]) if name in found else None


def _taints(node: Node) -> tuple[Taint, ...]:
    return tuple(
        Taint(key=taint.key, effect=taint.effect, value=taint.value or "", since=taint.time_added)
        for taint in node.spec.taints or ()
    )


def _cordoned_since(node: Node) -> datetime | None:
    """Return when the controller saw the cordon: the time of the taint it puts on the node."""
    if not node.spec.unschedulable:
        return None
    return next((t.time_added for t in node.spec.taints or () if t.key == "node.kubernetes.io/unschedulable"), None)
