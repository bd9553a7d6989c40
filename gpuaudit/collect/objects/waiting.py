"""Unmet demand: pods that wait for a GPU, and work in a queue that has no pods yet. Nothing is counted twice."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from gpuaudit.cluster.workloads import Pod, Waiting, folded
from gpuaudit.collect.kubernetes_types import Condition
from gpuaudit.collect.kubernetes_types.core import Custom
from gpuaudit.collect.objects.conditions import condition, conditions_of
from gpuaudit.collect.objects.podsets import PodSet, told_number, told_pod_set
from gpuaudit.collect.objects.quantities import amounts
from gpuaudit.collect.objects.trees import rows
from gpuaudit.collect.objects.workloads import queue_of
from gpuaudit.knowledge import kubernetes
from gpuaudit.knowledge.objects import objects
from gpuaudit.knowledge.scheduling import scheduling


@dataclass(frozen=True, kw_only=True)
class Queued:
    """Work that a queue has not let in, as the queue's object tells it: by its pods, or the least that they need."""

    since: datetime | None
    reason: str
    message: str
    queue: str | None
    sets: tuple[PodSet, ...] = ()
    least: Mapping[str, float] = field(default_factory=dict)  # resources of all `members`
    members: int = 0
    let_in: bool = False  # its pods are made at once: one that is missing beside others was refused or is on its way


def waits(pod: Pod) -> bool:
    """Whether no node was found for a pod yet."""
    return not pod.node and pod.phase in ("Pending", "Unknown") and not pod.deleted


def waiting_pods(pods: Iterable[Pod], messages: Mapping[tuple[str, str], str]) -> tuple[Waiting, ...]:
    """Return pods that no node was found for, together per workload, resource and reason."""
    groups: dict[tuple[str, str, str], list[tuple[Pod, float, float | None]]] = {}
    for pod in filter(waits, pods):
        if pod.namespace in kubernetes.fractions().scaling_namespaces:
            continue  # it stands for fractions that wait, so that an autoscaler sees them
        for holding in pod.holdings:
            if holding.gpus == 0 or holding.count > objects().cards.max_asked:
                continue  # another pod holds it already; or no node has so many, and it will never run
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


def together(records: Iterable[Waiting]) -> tuple[Waiting, ...]:
    """Return what waits, once for each workload, resource, reason and queue; the message is the last one's."""
    groups: dict[tuple[str, str, str, str], list[Waiting]] = {}
    for one in records:
        groups.setdefault((one.workload, one.resource, one.reason, one.queue or ""), []).append(one)
    return tuple(_summed(parts) for _, parts in sorted(groups.items()))


def _summed(parts: Sequence[Waiting]) -> Waiting:
    if len(parts) == 1:
        return parts[0]
    gpus = [one.gpus for one in parts]
    return msgspec.structs.replace(
        parts[-1],
        count=sum(one.count for one in parts),
        gpus=None if None in gpus else sum(amount for amount in gpus if amount is not None),
        since=min((one.since for one in parts if one.since), default=None),
        pods=sum(one.pods for one in parts),
        shapes=folded(shape for one in parts for shape in one.shapes),
    )


def within(records: Sequence[Waiting], most: int | None) -> list[Waiting]:
    """Return the part that so many pods of each record ask for, all of it without a limit."""
    found = []
    for one in records:
        pods = one.pods if most is None else min(one.pods, max(0, most))
        gpus = None if one.gpus is None else one.gpus * pods / one.pods
        if pods:
            found.append(msgspec.structs.replace(one, pods=pods, count=one.count * pods / one.pods, gpus=gpus))
    return found


def kueue_queued(item: Custom) -> Queued | None:
    """Return a Kueue Workload that waits: active, neither admitted nor finished."""
    spec = item.spec or {}
    conditions = conditions_of(item)
    states = {one.type for one in conditions if one.status == "True"}
    if spec.get("active") is False or states & {"Admitted", "Finished"}:
        return None
    reserved = condition(conditions, "QuotaReserved")
    message = (reserved.message if reserved else None) or ""
    queue = spec.get("queueName")
    return Queued(
        since=item.metadata.creation_timestamp,
        reason=_kueue_reason(reserved, message),
        message=message[: objects().limits.message_chars],
        queue=queue if isinstance(queue, str) else None,
        sets=_pod_sets(item),
    )


def volcano_queued(item: Custom) -> Queued | None:
    """Return a Volcano PodGroup that waits, by its minimal resources; its pods may not exist yet."""
    spec, status = item.spec or {}, item.status or {}
    if status.get("phase") not in ("Pending", "Inqueue"):
        return None
    queue = spec.get("queue")
    return Queued(
        since=item.metadata.creation_timestamp,
        reason="Inadmissible" if status["phase"] == "Pending" else "Unschedulable",
        message="",
        queue=queue if isinstance(queue, str) else None,
        least=_least(amounts(_texts(spec.get("minResources")))),
        members=told_number(spec.get("minMember")),
        let_in=status["phase"] == "Inqueue",
    )


def _least(found: Mapping[str, float]) -> dict[str, float]:
    """Return the resources of a group: Volcano before 1.8 had devices under their names in quotas only, now both."""
    prefix = scheduling().quota.requests_prefix
    of_quotas = {name.removeprefix(prefix): amount for name, amount in found.items() if name.startswith(prefix)}
    return {name: amount for name, amount in {**of_quotas, **found}.items() if "/" in name and amount > 0}


def _pod_sets(item: Custom) -> tuple[PodSet, ...]:
    """Return the pods of a Workload, less those that ended or are not needed any more (`reclaimablePods`)."""
    ended = rows((item.status or {}).get("reclaimablePods"))
    done = {name: told_number(row.get("count")) for row in ended if isinstance(name := row.get("name"), str)}
    found = []
    for row in rows((item.spec or {}).get("podSets")):
        name = row.get("name")
        left = told_number(row.get("count")) - (done.get(name, 0) if isinstance(name, str) else 0)
        made = told_pod_set(row, namespace=item.metadata.namespace, pods=left) if left > 0 else None
        if made is not None:
            found.append(made)
    return tuple(found)


def _texts(tree: object) -> dict[str, str | int | float]:
    pairs = tree.items() if isinstance(tree, dict) else ()
    return {str(key): value for key, value in pairs if isinstance(value, str | int | float)}


def _kueue_reason(reserved: Condition | None, message: str) -> str:
    if "quota" in message.casefold() and not (reserved and reserved.status == "True"):  # reserved: a check is awaited
        return "QuotaExhausted"
    return "Inadmissible" if reserved and reserved.status == "False" else "Suspended"
