"""Take any object but a pod: make a record at once where that needs nothing else, keep the object where it does."""

from collections.abc import Callable

import msgspec

from gpuaudit.collect.broken import Kind
from gpuaudit.collect.gather.bounded import take_config, take_event
from gpuaudit.collect.gather.state import Gathered, KeptEndpoints, KeptQueued, KeptTemplate, KeptWorkload
from gpuaudit.collect.kubernetes_types import Meta, Object
from gpuaudit.collect.kubernetes_types.apps import Controller, CronJob, Job
from gpuaudit.collect.kubernetes_types.core import (
    Budget,
    ConfigMap,
    Custom,
    EndpointSlice,
    Event,
    Hpa,
    PriorityClass,
    ResourceQuota,
    Service,
    StorageClass,
    VolumeClaim,
)
from gpuaudit.collect.kubernetes_types.nodes import (
    DeviceClass,
    Node,
    ResourceClaim,
    ResourceClaimTemplate,
    ResourceSlice,
)
from gpuaudit.collect.objects.autoscalers import hpa_record, scaled_object_record
from gpuaudit.collect.objects.claims import asked_pieces, is_gpu_class
from gpuaudit.collect.objects.clients import client_of
from gpuaudit.collect.objects.owners import controller
from gpuaudit.collect.objects.platform import (
    budget_record,
    custom_record,
    namespace_record,
    priority_record,
    quota_record,
)
from gpuaudit.collect.objects.podsets import custom_sets, pod_set
from gpuaudit.collect.objects.queues import node_pool_record, queue_record
from gpuaudit.collect.objects.systems import controller_facts, shows_system
from gpuaudit.collect.objects.units import is_gpu_resource
from gpuaudit.collect.objects.waiting import kueue_queued, volcano_queued
from gpuaudit.collect.objects.workloads import (
    asks_for_gpu,
    has_ended,
    pods_wanted,
    template_of,
    workload_record,
)
from gpuaudit.knowledge import kinds, kubernetes
from gpuaudit.knowledge.objects import objects

DEVICE_CLASS: Kind = ("resource.k8s.io", "DeviceClass")

Taker = Callable[[Gathered, Kind, Object], None]


def take(state: Gathered, kind: Kind, item: Object) -> None:
    """Take an object of any kind."""
    if kind == ("apiextensions.k8s.io", "CustomResourceDefinition") or item.kind == "CustomResourceDefinition":
        state.crds.add(item.metadata.name)
        return
    state.kept.taking = kind
    if not isinstance(item, Event):  # the only kind that there are many of and that owns nothing
        state.owners.add(*kind, item.metadata)
    taker = _TAKERS.get(type(item), _take_custom)
    taker(state, kind, item)


def shows_gpu(node: Node) -> bool:
    """Whether a node shows any sign of a GPU: a resource, a label, an annotation."""
    labels = node.metadata.labels or {}
    keys = kubernetes.labels()
    amounts = {**(node.status.capacity or {}), **(node.status.allocatable or {})}
    return (
        any(is_gpu_resource(name) for name in amounts)
        or any(key in labels for key in (*keys.gpu_count, *keys.gpu_present, *keys.accelerator))
        or kubernetes.hami().node_register in (node.metadata.annotations or {})
    )


def _take_plain(table: str, convert: Callable[..., object]) -> Taker:
    """Return a taker that keeps one record per object."""

    def taker(state: Gathered, _kind: Kind, item: Object) -> None:
        if state.kept.wants(table, item.metadata):
            state.kept.put(table, item.metadata, convert(item, cluster=state.cluster))

    return taker


def _take_typed(table: str) -> Taker:
    """Return a taker that keeps the object: its record needs others."""

    def taker(state: Gathered, _kind: Kind, item: Object) -> None:
        if state.kept.wants(table, item.metadata):
            state.kept.put(table, item.metadata, item)

    return taker


def _take_node(state: Gathered, _kind: Kind, item: Object) -> None:
    if isinstance(item, Node) and state.kept.wants("nodes", item.metadata):
        state.kept.put("nodes", item.metadata, item)
        if shows_gpu(item):
            state.gpu_nodes.add(item.metadata.name)


def _take_slice(state: Gathered, _kind: Kind, item: Object) -> None:
    if isinstance(item, ResourceSlice) and item.spec.driver in objects().dra.drivers:
        if state.kept.wants("slices", item.metadata):
            state.kept.put("slices", item.metadata, item)
        if item.spec.node_name:
            state.gpu_nodes.add(item.spec.node_name)


def _take_object(state: Gathered, kind: Kind, item: Object) -> None:
    """Take an object without a type of its own: a namespace is one."""
    if kind != ("", "Namespace"):
        return
    if item.metadata.name == "kube-system" and item.metadata.uid:
        state.uids.add(item.metadata.uid)
    if state.kept.wants("namespaces", item.metadata):
        state.kept.put("namespaces", item.metadata, namespace_record(item, cluster=state.cluster))


def _take_workload(state: Gathered, kind: Kind, item: Object) -> None:
    if kind == ("apps", "ReplicaSet"):
        _take_revision(state, item)
        return
    table = f"work {kind[0]}/{kind[1]}"
    if not state.kept.wants(table, item.metadata):
        return
    facts = controller_facts(kind[1], item) if isinstance(item, Controller) else None
    _put_or_remove(state, f"facts {kind[1]}", item, facts if facts and shows_system(facts) else None)
    _put_or_remove(state, f"clients {kind[1]}", item, client_of(kind[1], item))
    gpu = asks_for_gpu(item)
    template = template_of(item)
    may_ask = template is not None and (gpu or bool(template.spec.resource_claims))
    made = pod_set(template, namespace=item.metadata.namespace, pods=1) if template and may_ask else None
    if gpu or isinstance(item, CronJob) or (made and made.templates):
        record = workload_record(*kind, item, cluster=state.cluster)
        wanted = 0 if item.metadata.deletion_timestamp else pods_wanted(kind[1], item)
        state.kept.put(table, item.metadata, KeptWorkload(record, gpu, item.metadata.uid, wanted, made))
    else:
        state.kept.drop(table, item.metadata)


def _put_or_remove(state: Gathered, table: str, item: Object, value: object | None) -> None:
    if value is None:
        state.kept.remove(table, item.metadata)
    else:
        state.kept.put(table, item.metadata, value)


def _take_revision(state: Gathered, item: Object) -> None:
    """Remember when a Deployment's newest ReplicaSet was made: that is its last change."""
    owner, made = controller(item.metadata), item.metadata.creation_timestamp
    if owner and owner.uid and made:
        state.revised[owner.uid] = max(made, state.revised.get(owner.uid, made))


def _take_endpoints(state: Gathered, _kind: Kind, item: Object) -> None:
    if isinstance(item, EndpointSlice) and state.kept.wants("endpoints", item.metadata):
        service = (item.metadata.labels or {}).get("kubernetes.io/service-name", "")
        ready = sum(endpoint.conditions.ready is not False for endpoint in item.endpoints or ())
        state.kept.put("endpoints", item.metadata, KeptEndpoints(item.metadata.namespace, service, ready))


def _take_template(state: Gathered, _kind: Kind, item: Object) -> None:
    if isinstance(item, ResourceClaimTemplate) and state.kept.wants("templates", item.metadata):
        kept = KeptTemplate(item.metadata.namespace, item.metadata.name, asked_pieces(item.spec.spec))
        state.kept.put("templates", item.metadata, kept)


def _take_class(state: Gathered, _kind: Kind, item: Object) -> None:
    """Take a device class: its being there counts, and what pods may ask for it as."""
    if (
        isinstance(item, DeviceClass)
        and (name := item.spec.extended_resource_name)
        and is_gpu_class(item.metadata.name)
    ):
        state.extended[name] = item.metadata.name


def _take_custom(state: Gathered, kind: Kind, item: Object) -> None:
    how = kinds.find(*kind)
    table = f"custom {kind[0]}/{kind[1]}"
    if how is None or not isinstance(item, Custom):
        state.other_kinds[f"{kind[1]}.{kind[0]}".rstrip(".")] += 1
        return
    if not state.kept.wants(table, item.metadata):
        return
    queue = queue_record(*kind, item, cluster=state.cluster)
    if queue:
        state.kept.put("queues", _qualified(kind, item), queue)
    if kind == ("keda.sh", "ScaledObject"):
        state.kept.put("scaler keda", item.metadata, scaled_object_record(item, cluster=state.cluster))
    if kind == ("karpenter.sh", "NodePool"):
        state.kept.put("pools", item.metadata, node_pool_record(item, cluster=state.cluster))
    _take_queued(state, kind, item)
    custom = custom_record(*kind, item, cluster=state.cluster)
    if how.work:
        record = workload_record(*kind, item, cluster=state.cluster)
        state.kept.put(
            f"work {kind[0]}/{kind[1]}",
            item.metadata,
            KeptWorkload(
                msgspec.structs.replace(record, extra=custom.fields if custom else {}),
                asks_for_gpu(item),
                item.metadata.uid,
                wanted=0 if has_ended(item) or item.metadata.deletion_timestamp else record.replicas,
                sets=custom_sets(item, how.pod_sets) if asks_for_gpu(item) else (),
                set_labels=how.set_labels,
            ),
        )
    state.kept.put(table, item.metadata, custom)


def _take_queued(state: Gathered, kind: Kind, item: Custom) -> None:
    read = {
        ("kueue.x-k8s.io", "Workload"): kueue_queued,
        ("scheduling.volcano.sh", "PodGroup"): volcano_queued,
    }.get(kind)
    if read is None:
        return
    state.kept.remove("queued", _qualified(kind, item))
    if queued := read(item):
        state.kept.put("queued", _qualified(kind, item), KeptQueued(*kind, item.metadata, queued))


def _qualified(kind: Kind, item: Object) -> Meta:
    """Return metadata whose name also tells the kind: two groups have a Queue."""
    return msgspec.structs.replace(item.metadata, name=f"{kind[0]}/{kind[1]}/{item.metadata.name}")


_TAKERS: dict[type[Object], Taker] = {
    Budget: _take_plain("budgets", budget_record),
    ConfigMap: take_config,
    Controller: _take_workload,
    CronJob: _take_workload,
    DeviceClass: _take_class,
    EndpointSlice: _take_endpoints,
    Event: take_event,
    Hpa: _take_plain("scaler hpa", hpa_record),
    Job: _take_workload,
    Node: _take_node,
    Object: _take_object,
    PriorityClass: _take_plain("custom scheduling.k8s.io/PriorityClass", priority_record),
    ResourceClaim: _take_typed("claims"),
    ResourceClaimTemplate: _take_template,
    ResourceQuota: _take_plain("quotas", quota_record),
    ResourceSlice: _take_slice,
    Service: _take_typed("services"),
    StorageClass: _take_typed("classes"),
    VolumeClaim: _take_typed("volumes"),
}
