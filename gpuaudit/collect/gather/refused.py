"""Pods that a ResourceQuota refused: they do not exist, only events of their controller tell of them."""

from collections.abc import Iterable, Iterator, Mapping

from gpuaudit.cluster.platform import Event
from gpuaudit.cluster.snapshot import workload_id
from gpuaudit.cluster.workloads import Pod
from gpuaudit.collect.gather.state import Gathered, KeptWorkload
from gpuaudit.collect.objects.holdings import is_gpu_resource
from gpuaudit.collect.objects.quantities import quantity
from gpuaudit.collect.objects.waiting import Queued
from gpuaudit.knowledge.scheduling import refused_by_quota, scheduling


def refused(state: Gathered, pods: Iterable[Pod]) -> list[Queued]:
    """Return what workloads lack because a quota refused their pods, each workload once."""
    listed = {kept.record.id: kept for kept in state.kept.all_values("work ", KeptWorkload)}
    there: dict[str, list[Pod]] = {}
    for pod in pods:
        there.setdefault(pod.workload, []).append(pod)
    found: dict[str, Queued] = {}
    for event in sorted(state.kept.values("events", Event), key=lambda one: (str(one.last), one.name)):
        if event.reason in scheduling().quota.refused_reasons and (lacking := _lacking(state, event, listed, there)):
            found[lacking.workload] = lacking
    return [found[workload] for workload in sorted(found)]


def _lacking(
    state: Gathered, event: Event, listed: Mapping[str, KeptWorkload], there: Mapping[str, list[Pod]]
) -> Queued | None:
    told = refused_by_quota(event.message)
    per_pod = dict(_gpus(told["requested"])) if told else {}
    root = state.owners.root_named(event.kind, event.namespace, event.name) if per_pod else None
    if root is None:
        return None
    workload = root.id(state.cluster)
    missing = _missing(event, _told(state, event, workload, listed), there.get(workload, ()))
    if missing <= 0:
        return None  # it was let in since, or wants none any more
    return Queued(
        workload=workload,
        namespace=event.namespace,
        amounts={name: amount * missing for name, amount in per_pod.items()},
        since=event.first,
        reason="QuotaExhausted",
        message=event.message,
        queue=None,
        pods=missing,
    )


def _told(state: Gathered, event: Event, workload: str, listed: Mapping[str, KeptWorkload]) -> KeptWorkload | None:
    """Return what tells how many pods are wanted: a Job itself, since a CronJob above it does not know."""
    own = workload_id(cluster=state.cluster, kind=event.kind, namespace=event.namespace, name=event.name)
    return listed.get(own) or listed.get(workload)


def _missing(event: Event, told: KeptWorkload | None, pods: Iterable[Pod]) -> int:
    """Return how many pods are wanted and not there. Of who does not say: one, unless one was made since."""
    if told is None or told.wanted is None:
        return 0 if any(event.last and pod.created and pod.created > event.last for pod in pods) else 1
    if told.record.suspended:
        return 0
    return told.wanted - sum(not pod.ended and pod.deleted is None for pod in pods)


def _gpus(text: str) -> Iterator[tuple[str, float]]:
    """Yield the GPU resources of `requests.nvidia.com/gpu=8,pods=1`."""
    for part in text.split(","):
        name, _, amount = part.strip().partition("=")
        resource = name.removeprefix(scheduling().quota.requests_prefix)
        value = quantity(amount)
        if value and is_gpu_resource(resource):
            yield resource, value
