"""What surrounds the work: namespaces, services, quotas, budgets, volume claims, configuration, custom resources."""

import json
import re
from collections.abc import Mapping

import msgspec

from gpuaudit.cluster.platform import Budget as BudgetRecord
from gpuaudit.cluster.platform import CustomObject, Namespace, Quota, VolumeClaim
from gpuaudit.cluster.platform import Service as ServiceRecord
from gpuaudit.collect.kubernetes_types import Object
from gpuaudit.collect.kubernetes_types.core import Budget, ConfigMap, Custom, PriorityClass, ResourceQuota, Service
from gpuaudit.collect.kubernetes_types.core import VolumeClaim as VolumeClaimObject
from gpuaudit.collect.objects.conditions import conditions_of
from gpuaudit.collect.objects.nodes import bounded
from gpuaudit.collect.objects.placement import requirements
from gpuaudit.collect.objects.quantities import amounts, whole
from gpuaudit.collect.objects.workloads import ignored_rules, path_value
from gpuaudit.knowledge import kinds, kubernetes, systems
from gpuaudit.knowledge.objects import kept_annotations, objects

_DASHBOARD_EXPRESSION = re.compile(r'"expr"\s*:\s*"((?:[^"\\]|\\.){1,2000})"')
_DASHBOARD_TITLE = re.compile(r'"title"\s*:\s*"((?:[^"\\]|\\.){1,200})"')


def namespace_record(item: Object, *, cluster: str) -> Namespace:
    """Return a namespace."""
    annotations = item.metadata.annotations or {}
    own = kubernetes.own()
    keys = kubernetes.ownership().annotations
    return Namespace(
        cluster=cluster,
        name=item.metadata.name,
        uid=item.metadata.uid or None,
        labels=bounded(item.metadata.labels),
        annotations=kept_annotations(annotations) | {key: annotations[key][:253] for key in keys if key in annotations},
        role=annotations.get(own.role),
        ignore=ignored_rules(annotations),
    )


def service_record(item: Service, endpoints: int | None, *, cluster: str) -> ServiceRecord:
    """Return a service with the number of its ready endpoints."""
    external = item.spec.external_name
    return ServiceRecord(
        cluster=cluster,
        namespace=item.metadata.namespace,
        name=item.metadata.name,
        selector=bounded(item.spec.selector),
        ports={port.name or str(port.port): port.port for port in (item.spec.ports or ())[:100]},
        labels=bounded(item.metadata.labels),
        type=item.spec.type or "ClusterIP",
        external=None if not external else "in-cluster" if external.endswith(".svc.cluster.local") else "external",
        endpoints=endpoints,
    )


def quota_record(item: ResourceQuota, *, cluster: str) -> Quota:
    """Return a quota: limits as enforced, or as asked for until the controller has seen it."""
    return Quota(
        cluster=cluster,
        namespace=item.metadata.namespace,
        name=item.metadata.name,
        hard=amounts(item.status.hard or item.spec.hard),
        used=amounts(item.status.used),
        scopes=_scopes(item),
    )


def _scopes(item: ResourceQuota) -> tuple[str, ...]:
    selector = item.spec.scope_selector
    chosen = (
        " ".join(filter(None, [one.scope_name, one.operator, ",".join((one.values or ())[:20])]))
        for one in ((selector.match_expressions if selector else None) or ())[:20]
    )
    return (*(item.spec.scopes or ())[:20], *chosen)


def budget_record(item: Budget, *, cluster: str) -> BudgetRecord:
    """Return a disruption budget."""
    spec, status = item.spec, item.status
    return BudgetRecord(
        cluster=cluster,
        namespace=item.metadata.namespace,
        name=item.metadata.name,
        selector=bounded(spec.selector.match_labels if spec.selector else None),
        expressions=requirements((spec.selector.match_expressions if spec.selector else None) or ()),
        min_available=None if spec.min_available is None else str(spec.min_available),
        max_unavailable=None if spec.max_unavailable is None else str(spec.max_unavailable),
        disruptions_allowed=status.disruptions_allowed,
        current_healthy=status.current_healthy,
        desired_healthy=status.desired_healthy,
        expected_pods=status.expected_pods,
    )


def volume_claim_record(item: VolumeClaimObject, provisioners: Mapping[str, str], *, cluster: str) -> VolumeClaim:
    """Return a volume claim with what provisions its class."""
    name = item.spec.storage_class_name or None
    size = whole(item.status.capacity, "storage")
    return VolumeClaim(
        cluster=cluster,
        namespace=item.metadata.namespace,
        name=item.metadata.name,
        storage_class=name,
        bytes=size if size is not None else whole(item.spec.resources.requests, "storage"),
        access_modes=tuple(item.spec.access_modes or ()),
        provisioner=provisioners.get(name) if name else None,
    )


def custom_record(group: str, kind: str, item: Custom, *, cluster: str) -> CustomObject | None:
    """Return the allow-listed fields of a custom resource, None for a kind of which nothing is kept."""
    how = kinds.find(group, kind)
    if how is None:
        return None
    conditions = conditions_of(item)
    return CustomObject(
        cluster=cluster,
        api_group=group,
        kind=kind,
        name=item.metadata.name,
        namespace=item.metadata.namespace,
        fields={path: text for path in how.fields if (text := _field(item, path, how.endpoint_fields)) is not None},
        conditions=tuple(sorted((one.type, one.status, one.reason or "") for one in conditions)),
        labels=bounded(item.metadata.labels),
        annotations=kept_annotations(item.metadata.annotations),
    )


def priority_record(item: PriorityClass, *, cluster: str) -> CustomObject:
    """Return a priority class."""
    values = {
        "value": item.value,
        "globalDefault": item.global_default,
        "preemptionPolicy": item.preemption_policy,
    }
    return CustomObject(
        cluster=cluster,
        api_group="scheduling.k8s.io",
        kind="PriorityClass",
        name=item.metadata.name,
        fields={key: json.dumps(value) for key, value in values.items() if value is not None},
    )


def wants_config(item: ConfigMap) -> bool:
    """Whether a ConfigMap is one that is read: MIG and device plugin configurations, Grafana's dashboards."""
    return _is_named(item) or any(_is_marked(text) for text in (item.data or {}).values())


def config_record(item: ConfigMap, *, cluster: str) -> CustomObject:
    """Return a ConfigMap's texts; of dashboards only titles and expressions, of one known by a text only such texts."""
    texts = item.data or {}
    if any(label.startswith("grafana_") for label in item.metadata.labels or {}):
        fields = {f"dashboard.{name}": _dashboard(text) for name, text in sorted(texts.items())[:50]}
    else:
        limit = objects().limits.config_value_chars
        kept = {name: text for name, text in texts.items() if _is_named(item) or _is_marked(text)}
        fields = {f"data.{name}": json.dumps(text[:limit]) for name, text in sorted(kept.items())[:50]}
    return CustomObject(
        cluster=cluster,
        api_group="",
        kind="ConfigMap",
        name=item.metadata.name,
        namespace=item.metadata.namespace,
        fields=fields,
        labels=bounded(item.metadata.labels),
        annotations=kept_annotations(item.metadata.annotations),
    )


def _is_named(item: ConfigMap) -> bool:
    labels = item.metadata.labels or {}
    return any(
        item.metadata.name in system.configmaps or any(label in labels for label in system.configmap_labels)
        for system in systems.all_systems()
    )


def _is_marked(text: str) -> bool:
    head = text[: objects().limits.config_value_chars]
    return any(all(re.search(pattern, head) for pattern in row) for row in objects().configs.marks)


def _dashboard(text: str) -> str:
    """Return titles and expressions of a dashboard as JSON text; found by pattern, since it may be cut or templated."""
    whole_text = text[: 16 * objects().limits.config_value_chars]
    found = {
        "titles": sorted(set(_DASHBOARD_TITLE.findall(whole_text)))[:200],
        "expressions": sorted(set(_DASHBOARD_EXPRESSION.findall(whole_text)))[:500],
    }
    return json.dumps(found)[: objects().limits.config_value_chars]


def _field(item: Custom, path: str, inner: tuple[str, ...]) -> str | None:
    value = path_value(item, path)
    if value is None:
        return None
    if inner and isinstance(value, list):
        value = [{key: row[key] for key in inner if key in row} if isinstance(row, dict) else row for row in value]
    text = msgspec.json.encode(value, order="deterministic").decode()
    return text if len(text) <= objects().limits.custom_value_chars else None
