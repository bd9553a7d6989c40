"""Queues of Kueue, Volcano and KAI/Run:ai, and node pools of Karpenter. The same kind name means different things."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gpuaudit.cluster.nodes import NodePool, Taint
from gpuaudit.cluster.platform import FlavorQuota, Queue
from gpuaudit.collect.kubernetes_types.core import Custom
from gpuaudit.collect.objects.conditions import conditions_of
from gpuaudit.collect.objects.nodes import bounded
from gpuaudit.collect.objects.quantities import quantity
from gpuaudit.collect.objects.trees import integer, mapping, rows, text
from gpuaudit.knowledge import kubernetes
from gpuaudit.knowledge.objects import kept_annotations

_DURATION = {"h": 3600.0, "m": 60.0, "s": 1.0, "d": 86400.0}


def queue_record(group: str, kind: str, item: Custom, *, cluster: str) -> Queue | None:
    """Return a queue, None for what is none."""
    read = {
        ("kueue.x-k8s.io", "ClusterQueue"): _cluster_queue,
        ("kueue.x-k8s.io", "LocalQueue"): _local_queue,
        ("scheduling.volcano.sh", "Queue"): _volcano_queue,
        ("scheduling.run.ai", "Queue"): _kai_queue,
    }.get((group, kind))
    if read is None:
        return None
    base = Queue(
        cluster=cluster,
        name=item.metadata.name,
        kind=kind,
        api_group=group,
        namespace=item.metadata.namespace,
        labels=bounded(item.metadata.labels),
    )
    base = msgspec.structs.replace(base, **read(mapping(item.spec), mapping(item.status)))
    kept = _amounts(mapping(mapping(item.spec).get("guarantee")).get("resource"))  # of Volcano alone
    base = msgspec.structs.replace(base, guaranteed=kept)
    active = next((one.status == "True" for one in conditions_of(item) if one.type == "Active"), None)
    return base if active is None else msgspec.structs.replace(base, active=active)


def node_pool_record(item: Custom, *, cluster: str) -> NodePool:
    """Return a Karpenter NodePool."""
    spec = mapping(item.spec)
    template = mapping(spec.get("template"))
    inner = mapping(template.get("spec"))
    disruption = mapping(spec.get("disruption"))
    wanted = {text(row.get("key")): row for row in rows(inner.get("requirements"))}
    return NodePool(
        cluster=cluster,
        name=item.metadata.name,
        kind="NodePool",
        api_group="karpenter.sh",
        limits={key: text(value) for key, value in mapping(spec.get("limits")).items()},
        consolidation_policy=disruption.get("consolidationPolicy") or None,
        consolidate_after_seconds=seconds(disruption.get("consolidateAfter")),
        expire_after_seconds=seconds(inner.get("expireAfter")),
        budgets=tuple(
            msgspec.json.encode(row, order="deterministic").decode()[:300] for row in rows(disruption.get("budgets"))
        ),
        taints=tuple(
            Taint(key=text(row.get("key")), effect=text(row.get("effect")), value=text(row.get("value")))
            for row in rows(inner.get("taints"))
        ),
        labels={k: text(v)[:253] for k, v in mapping(mapping(template.get("metadata")).get("labels")).items()},
        instance_types=_values(wanted, "node.kubernetes.io/instance-type"),
        capacity_types=_values(wanted, "karpenter.sh/capacity-type"),
        annotations=kept_annotations(item.metadata.annotations),
    )


def seconds(text: object) -> float | None:
    """Return a Go duration in seconds ("1h30m", "30s"); None for Never, or for what is none."""
    if not isinstance(text, str):
        return None
    total, number = 0.0, ""
    for sign in text:
        if sign.isdecimal() or sign == ".":
            number += sign
        elif sign in _DURATION and number.count(".") <= 1 and number.strip("."):
            total += float(number) * _DURATION[sign]
            number = ""
        else:
            return None
    return total if text and not number else None


def _cluster_queue(spec: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    nominal: dict[str, float] = {}
    borrowing: dict[str, float] = {}
    for resource in _flavored(spec):
        name = text(resource.get("name"))
        nominal[name] = nominal.get(name, 0.0) + (_amount(resource.get("nominalQuota")) or 0.0)
        limit = _amount(resource.get("borrowingLimit"))
        if limit is not None:
            borrowing[name] = borrowing.get(name, 0.0) + limit
    used: dict[str, float] = {}
    for flavor in rows(status.get("flavorsUsage")):
        for resource in rows(flavor.get("resources")):
            name = text(resource.get("name"))
            used[name] = used.get(name, 0.0) + (_amount(resource.get("total")) or 0.0)
    return {
        "cohort": spec.get("cohortName") or spec.get("cohort") or None,
        "nominal": nominal,
        "used": used,
        "borrowing_limit": borrowing,
        "flavors": _flavor_quotas(spec, status),
        "stopped": text(spec.get("stopPolicy")).replace("None", "") or None,
        **_counts(status),
    }


def _flavor_quotas(spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[FlavorQuota, ...]:
    """Return what the queue may use of each resource in each flavor, in the order in which flavors are tried."""
    usage = {
        (text(flavor.get("name")), text(resource.get("name"))): resource
        for flavor in rows(status.get("flavorsUsage"))
        for resource in rows(flavor.get("resources"))
    }
    found = []
    for flavor in (flavor for group in rows(spec.get("resourceGroups")) for flavor in rows(group.get("flavors"))):
        for resource in rows(flavor.get("resources")):
            key = (text(flavor.get("name")), text(resource.get("name")))
            used = usage.get(key, {})
            found.append(
                FlavorQuota(
                    flavor=key[0],
                    resource=key[1],
                    nominal=_amount(resource.get("nominalQuota")) or 0.0,
                    borrowing_limit=_amount(resource.get("borrowingLimit")),
                    lending_limit=_amount(resource.get("lendingLimit")),
                    used=_amount(used.get("total")),
                    borrowed=_amount(used.get("borrowed")),
                )
            )
    return tuple(found)


def _local_queue(spec: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    return {"parent": text(spec.get("clusterQueue")) or None, **_counts(status)}


def _volcano_queue(spec: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    limits = spec.get("capability") or spec.get("deserved")
    return {
        "parent": spec.get("parent") or None,
        "nominal": _amounts(limits),
        "limit": _amounts(spec.get("capability")),
        "used": _amounts(status.get("allocated")),
        "pending": integer(status.get("pending")),
        "active": status.get("state") == "Open" if status.get("state") else None,
    }


def _kai_queue(spec: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    """Return quotas of KAI; -1 is unlimited, which is said by leaving the resource out."""
    resources = mapping(spec.get("resources"))
    gpu = kubernetes.resources().gpu
    names = {"gpu": gpu, "cpu": "cpu", "memory": "memory"}
    nominal = {
        names[key]: amount
        for key, row in resources.items()
        if key in names and (amount := _amount(mapping(row).get("quota"))) is not None and amount >= 0
    }
    caps = {
        names[key]: amount
        for key, row in resources.items()
        if key in names and (amount := _amount(mapping(row).get("limit"))) is not None and amount >= 0
    }
    return {
        "parent": spec.get("parentQueue") or None,
        "nominal": nominal,
        "limit": caps,
        "used": _amounts(status.get("allocated")),
    }


def _flavored(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        resource
        for group in rows(spec.get("resourceGroups"))
        for flavor in rows(group.get("flavors"))
        for resource in rows(flavor.get("resources"))
    ]


def _counts(status: Mapping[str, Any]) -> dict[str, Any]:
    return {"pending": integer(status.get("pendingWorkloads")), "admitted": integer(status.get("admittedWorkloads"))}


def _values(wanted: Mapping[str, Mapping[str, Any]], key: str) -> tuple[str, ...]:
    row = wanted.get(key, {})
    values = row.get("values")
    return tuple(text(v) for v in values[:200]) if row.get("operator") == "In" and isinstance(values, list) else ()


def _amounts(tree: object) -> dict[str, float]:
    pairs = ((str(key), _amount(value)) for key, value in mapping(tree).items())
    return {key: amount for key, amount in pairs if amount is not None}


def _amount(value: object) -> float | None:
    return quantity(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
