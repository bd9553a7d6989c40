"""Pods that a ResourceQuota refused: they do not exist, only events of their controller tell of them."""

from collections.abc import Iterable, Iterator

from gpuaudit.cluster.platform import Event
from gpuaudit.cluster.workloads import Pod, Workload
from gpuaudit.collect.gather.state import Gathered, KeptWorkload
from gpuaudit.collect.objects.holdings import is_gpu_resource
from gpuaudit.collect.objects.quantities import quantity
from gpuaudit.collect.objects.waiting import Queued
from gpuaudit.knowledge.scheduling import refused_by_quota, scheduling


def refused(state: Gathered, pods: Iterable[Pod]) -> list[Queued]:
    """Return what workloads lack because a quota refused their pods, each workload once."""
    listed = {kept.record.id: kept.record for kept in state.kept.all_values("work ", KeptWorkload)}
    there: dict[str, int] = {}
    for pod in pods:
        there[pod.workload] = there.get(pod.workload, 0) + (not pod.ended and pod.deleted is None)
    found: dict[str, Queued] = {}
    for event in sorted(state.kept.values("events", Event), key=lambda one: (str(one.last), one.name)):
        if event.reason in scheduling().quota.refused_reasons and (lacking := _lacking(state, event, listed, there)):
            found[lacking.workload] = lacking
    return [found[workload] for workload in sorted(found)]


def _lacking(state: Gathered, event: Event, listed: dict[str, Workload], there: dict[str, int]) -> Queued | None:
    told = refused_by_quota(event.message)
    per_pod = dict(_gpus(told["requested"])) if told else {}
    root = state.owners.root_named(event.kind, event.namespace, event.name) if per_pod else None
    if root is None:
        return None
    workload = root.id(state.cluster)
    record = listed.get(workload)
    wanted = (record.replicas or record.parallelism) if record else None
    missing = 1 if wanted is None else wanted - there.get(workload, 0)
    if missing <= 0:
        return None  # it was let in since
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


def _gpus(text: str) -> Iterator[tuple[str, float]]:
    """Yield the GPU resources of `requests.nvidia.com/gpu=8,pods=1`."""
    for part in text.split(","):
        name, _, amount = part.strip().partition("=")
        resource = name.removeprefix(scheduling().quota.requests_prefix)
        value = quantity(amount)
        if value and is_gpu_resource(resource):
            yield resource, value
