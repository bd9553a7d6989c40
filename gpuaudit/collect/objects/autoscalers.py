"""Autoscalers: HorizontalPodAutoscalers, ScaledObjects of KEDA; what scales on what, within which bounds."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gpuaudit.cluster.platform import Autoscaler
from gpuaudit.cluster.snapshot import workload_id
from gpuaudit.collect.kubernetes_types import Condition
from gpuaudit.collect.kubernetes_types.core import Custom, Hpa
from gpuaudit.collect.objects.conditions import conditions_of
from gpuaudit.collect.objects.nodes import bounded
from gpuaudit.collect.objects.trees import MAX_TEXT, integer, mapping, text
from gpuaudit.knowledge.objects import kept_annotations, shown_kind

_TRIGGER_VALUES = ("threshold", "value", "targetValue", "listLength", "queueLength", "desiredReplicas")
_TRIGGER_NAMES = ("query", "metricName", "queueName", "listName", "topic", "timezone")


def hpa_record(item: Hpa, *, cluster: str) -> Autoscaler:
    """Return a HorizontalPodAutoscaler."""
    target = item.spec.scale_target_ref
    triggers = [_metric(metric) for metric in (item.spec.metrics or ())[:50]]
    if item.spec.target_cpu is not None:
        triggers.append(("Resource", "cpu", str(item.spec.target_cpu)))
    return Autoscaler(
        cluster=cluster,
        namespace=item.metadata.namespace,
        name=item.metadata.name,
        kind="HorizontalPodAutoscaler",
        api_group="autoscaling",
        target=_target(cluster, item.metadata.namespace, target.api_version, target.kind, target.name),
        min_replicas=1 if item.spec.min_replicas is None else item.spec.min_replicas,
        max_replicas=item.spec.max_replicas,
        current_replicas=item.status.current_replicas,
        desired_replicas=item.status.desired_replicas,
        triggers=tuple(triggers),
        behavior=_behavior(item.spec.behavior),
        healthy=_healthy(item.status.conditions or [], "ScalingActive"),
        conditions=_lines(item.status.conditions or []),
        labels=bounded(item.metadata.labels),
        annotations=kept_annotations(item.metadata.annotations),
    )


def scaled_object_record(item: Custom, *, cluster: str) -> Autoscaler:
    """Return a ScaledObject."""
    spec = item.spec or {}
    target = mapping(spec.get("scaleTargetRef"))
    conditions = conditions_of(item)
    hpa = mapping(mapping(spec.get("advanced")).get("horizontalPodAutoscalerConfig"))
    triggers = spec.get("triggers")
    annotations = item.metadata.annotations or {}
    return Autoscaler(
        cluster=cluster,
        namespace=item.metadata.namespace,
        name=item.metadata.name,
        kind="ScaledObject",
        api_group="keda.sh",
        target=_target(
            cluster,
            item.metadata.namespace,
            text(target.get("apiVersion")) or "apps/v1",
            text(target.get("kind")) or "Deployment",
            text(target.get("name")),
        ),
        min_replicas=integer(spec.get("minReplicaCount"), 0),
        max_replicas=integer(spec.get("maxReplicaCount"), 100),
        triggers=tuple(_trigger(mapping(row)) for row in (triggers if isinstance(triggers, list) else ())[:50]),
        behavior=_behavior(hpa.get("behavior"))
        | {key: str(spec[key]) for key in ("pollingInterval", "cooldownPeriod", "idleReplicaCount") if key in spec},
        fallback=isinstance(spec.get("fallback"), dict),
        paused=any(key.startswith("autoscaling.keda.sh/paused") and annotations[key] != "false" for key in annotations),
        healthy=_healthy(conditions, "Ready"),
        conditions=_lines(conditions),
        labels=bounded(item.metadata.labels),
        annotations=kept_annotations(annotations),
    )


def _target(cluster: str, namespace: str, api_version: str, kind: str, name: str) -> str:
    group = api_version.rpartition("/")[0]
    return workload_id(cluster=cluster, kind=shown_kind(group, kind), namespace=namespace, name=name)


def _metric(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return type, metric and target of an HPA metric, whichever of the five forms it has."""
    kind = text(row.get("type"))
    body = mapping(row.get(kind[:1].lower() + kind[1:])) if kind else {}
    metric = text(mapping(body.get("metric")).get("name")) or text(body.get("name"))
    target = mapping(body.get("target"))
    value = next(
        (target[key] for key in ("averageUtilization", "averageValue", "value") if target.get(key) is not None), ""
    )
    return (kind, metric, f"{text(target.get('type'))} {value}".strip()[:MAX_TEXT])


def _trigger(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return type, query and target of a KEDA trigger; of its metadata nothing else, it may hold addresses."""
    metadata = mapping(row.get("metadata"))
    name = next((text(metadata[key]) for key in _TRIGGER_NAMES if metadata.get(key)), "")
    value = next((text(metadata[key]) for key in _TRIGGER_VALUES if metadata.get(key)), "")
    kind = text(row.get("metricType")) or "AverageValue"
    return (text(row.get("type")), name[:MAX_TEXT], f"{kind} {value}".strip())


def _behavior(tree: object) -> dict[str, str]:
    """Return the scaling behaviour as JSON text per direction."""
    return {
        key: msgspec.json.encode(value, order="deterministic").decode()[:MAX_TEXT]
        for key, value in mapping(tree).items()
        if key in ("scaleUp", "scaleDown")
    }


def _healthy(conditions: list[Condition], kind: str) -> bool | None:
    found = next((item for item in conditions if item.type == kind), None)
    return None if found is None else found.status == "True"


def _lines(conditions: list[Condition]) -> tuple[str, ...]:
    return tuple(f"{c.type}={c.status} {c.reason or ''}: {c.message or ''}"[:300] for c in conditions[:20])
