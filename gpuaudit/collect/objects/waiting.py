"""Unmet demand: pods that wait for a GPU, and work in a queue that has no pods yet. Nothing is counted twice."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from gpuaudit.cluster.workloads import Pod, Shape, Waiting
from gpuaudit.collect.kubernetes_types import Condition
from gpuaudit.collect.kubernetes_types.core import Custom
from gpuaudit.collect.kubernetes_types.pods import PodSpec
from gpuaudit.collect.objects.holdings import is_gpu_resource, unit_share
from gpuaudit.collect.objects.nodes import condition
from gpuaudit.collect.objects.placement import shape
from gpuaudit.collect.objects.quantities import amounts
from gpuaudit.collect.objects.trees import integer, mapping, rows
from gpuaudit.collect.objects.workloads import queue_of
from gpuaudit.knowledge.objects import objects


@dataclass(frozen=True, kw_only=True)
class Queued:
    """Work that a queue has not let in: what it asks for, and why it waits.

    `has_pods`: pods of it wait already, so it asks for nothing beside them.
    """

    workload: str
    namespace: str
    amounts: Mapping[str, float]
    since: datetime | None
    reason: str
    message: str
    queue: str | None
    pods: int
    shapes: tuple[Shape, ...] = ()
    has_pods: bool = False


def waits(pod: Pod) -> bool:
    """Whether no node was found for a pod yet."""
    return not pod.node and pod.phase in ("Pending", "Unknown") and not pod.deleted


def waiting_pods(pods: Iterable[Pod], messages: Mapping[tuple[str, str], str]) -> tuple[Waiting, ...]:
    """Return pods that no node was found for, together per workload, resource and reason."""
    groups: dict[tuple[str, str, str], list[tuple[Pod, float, float | None]]] = {}
    for pod in filter(waits, pods):
        for holding in pod.holdings:
            reason = "SchedulingGated" if pod.gates else pod.unschedulable_reason or "Pending"
            groups.setdefault((pod.workload, holding.resource, reason), []).append((pod, holding.count, holding.gpus))
    found = []
    for (workload, resource, reason), members in sorted(groups.items(), key=lambda item: item[0]):
        gpus = [amount for _, _, amount in members]
        first = members[0][0]
        starts = [start for pod, _, _ in members if (start := pod.unschedulable_since or pod.created)]
        found.append(
            Waiting(
                cluster=first.cluster,
                namespace=first.namespace,
                workload=workload,
                resource=resource,
                count=sum(count for _, count, _ in members),
                gpus=None if None in gpus else sum(amount for amount in gpus if amount is not None),
                since=min(starts, default=None),
                reason=reason,
                message=messages.get((first.namespace, first.name), ""),
                queue=queue_of(first.labels, first.annotations),
                pods=len(members),
            )
        )
    return tuple(found)


def with_queues(waiting: Iterable[Waiting], queued: Iterable[Queued], *, cluster: str) -> tuple[Waiting, ...]:
    """Add what queues say: the reason for pods held by a gate, and work that has no waiting pods."""
    items = sorted(queued, key=lambda one: (one.workload, one.namespace))
    reasons = {item.workload: item for item in items if item.has_pods}
    found = []
    for record in waiting:
        item = reasons.get(record.workload) if record.reason == "SchedulingGated" else None
        told = {"reason": item.reason, "message": item.message, "queue": item.queue or record.queue} if item else {}
        found.append(msgspec.structs.replace(record, **told))
    apart: dict[tuple[str, str, str | None], Queued] = {}
    for item in items:
        if not item.has_pods:
            key = (item.workload, item.reason, item.queue)
            apart[key] = together(apart[key], item) if key in apart else item
    found += [record for item in apart.values() for record in without_pods(item, cluster)]
    return tuple(sorted(found, key=lambda record: (record.workload, record.resource, record.reason)))


def together(one: Queued, other: Queued) -> Queued:
    """Return what two parts of a workload lack; the message is the other's."""
    since = [time for time in (one.since, other.since) if time]
    sums = Counter(one.amounts)
    sums.update(other.amounts)
    return replace(
        other,
        amounts=dict(sums),
        since=min(since, default=None),
        pods=one.pods + other.pods,
        shapes=_merged(one.shapes, other.shapes),
    )


def _merged(some: tuple[Shape, ...], more: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """Return the shapes of both, equal ones once: a workload may have thousands of equal parts."""
    known = {repr(msgspec.structs.replace(one, pods=0)): one for one in some}
    for one in more:
        key = repr(msgspec.structs.replace(one, pods=0))
        known[key] = msgspec.structs.replace(one, pods=one.pods + known[key].pods) if key in known else one
    return tuple(known.values())


def kueue_queued(item: Custom, workload: str) -> Queued | None:
    """Return a Kueue Workload that waits: active, neither admitted nor finished."""
    spec = item.spec or {}
    conditions = conditions_of(item)
    states = {one.type for one in conditions if one.status == "True"}
    if spec.get("active") is False or states & {"Admitted", "Finished"}:
        return None
    reserved = condition(conditions, "QuotaReserved")
    message = (reserved.message if reserved else None) or ""
    queue = spec.get("queueName")
    shapes = _pod_sets(spec.get("podSets"))
    total: dict[str, float] = {}
    for one in shapes:
        for resource, amount in _gpu_amounts(one.requests).items():
            total[resource] = total.get(resource, 0.0) + amount * one.pods
    return Queued(
        workload=workload,
        namespace=item.metadata.namespace,
        amounts=total,
        since=item.metadata.creation_timestamp,
        reason=_kueue_reason(reserved, message),
        message=message[: objects().limits.message_chars],
        queue=queue if isinstance(queue, str) else None,
        pods=sum(one.pods for one in shapes),
        shapes=shapes,
    )


def volcano_queued(item: Custom, workload: str) -> Queued | None:
    """Return a Volcano PodGroup that waits, by its minimal resources; its pods may not exist yet."""
    spec, status = item.spec or {}, item.status or {}
    if status.get("phase") not in ("Pending", "Inqueue"):
        return None
    least = spec.get("minResources")
    queue = spec.get("queue")
    return Queued(
        workload=workload,
        namespace=item.metadata.namespace,
        amounts=_gpu_amounts(amounts(_texts(least))),
        since=item.metadata.creation_timestamp,
        reason="Inadmissible" if status["phase"] == "Pending" else "Unschedulable",
        message="",
        queue=queue if isinstance(queue, str) else None,
        pods=_pods(spec.get("minMember")),
    )


def conditions_of(item: Custom) -> list[Condition]:
    """Return the readable conditions of a custom resource."""
    rows = (item.status or {}).get("conditions")
    found = []
    for row in rows[:50] if isinstance(rows, list) else ():
        try:
            found.append(msgspec.convert(row, Condition))
        except msgspec.ValidationError:
            continue
    return found


def without_pods(item: Queued, cluster: str) -> list[Waiting]:
    """Return work that has no pods yet, one record for each resource."""
    return [
        Waiting(
            cluster=cluster,
            namespace=item.namespace,
            workload=item.workload,
            resource=resource,
            count=count,
            gpus=None if (share := unit_share(None, resource)[1]) is None else share * count,
            since=item.since,
            reason=item.reason,
            message=item.message,
            queue=item.queue,
            pods=item.pods,
            shapes=item.shapes,
        )
        for resource, count in sorted(item.amounts.items())
    ]


def _pod_sets(sets: object) -> tuple[Shape, ...]:
    found = []
    for row in rows(sets):
        template = mapping(row.get("template"))
        try:
            spec = msgspec.convert(template.get("spec", {}), PodSpec)
        except msgspec.ValidationError:
            continue
        found.append(shape(spec, pods=_pods(row.get("count"))))
    return tuple(found)


def _pods(told: object) -> int:
    """Return how many pods are told of: one where that is no number of pods."""
    count = integer(told, 1)
    return count if count is not None and 0 <= count < 10**6 else 1


def _gpu_amounts(found: Mapping[str, float]) -> dict[str, float]:
    return {name: amount for name, amount in found.items() if amount and is_gpu_resource(name)}


def _texts(tree: object) -> dict[str, str | int | float]:
    pairs = tree.items() if isinstance(tree, dict) else ()
    return {str(key): value for key, value in pairs if isinstance(value, str | int | float)}


def _kueue_reason(reserved: Condition | None, message: str) -> str:
    if "quota" in message.casefold() and not (reserved and reserved.status == "True"):  # reserved: a check is awaited
        return "QuotaExhausted"
    return "Inadmissible" if reserved and reserved.status == "False" else "Suspended"
