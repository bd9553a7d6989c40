"""Pods that a ResourceQuota refused: they do not exist, only events of their controller tell of them."""

from collections.abc import Iterable, Iterator
from itertools import takewhile

import msgspec

from gpuaudit.cluster.platform import Event
from gpuaudit.cluster.snapshot import workload_id
from gpuaudit.cluster.workloads import Pod, Waiting
from gpuaudit.collect.gather.queued import HeldBack
from gpuaudit.collect.gather.state import Gathered, KeptWorkload
from gpuaudit.collect.kubernetes_types import OwnerReference
from gpuaudit.collect.objects.holdings import Surroundings
from gpuaudit.collect.objects.quantities import quantity
from gpuaudit.collect.objects.units import common_share, is_gpu_resource
from gpuaudit.collect.objects.waiting import together
from gpuaudit.knowledge.objects import objects, shown_kind
from gpuaudit.knowledge.scheduling import refused_by_quota, scheduling


def refused(state: Gathered, pods: Iterable[Pod], around: Surroundings, held: HeldBack) -> tuple[Waiting, ...]:
    """Return what workloads lack because a quota refused their pods, less those of whose pods a queue told.

    Of each controller the newest refusal counts; a workload lacks what all its controllers lack (the Jobs of a JobSet).
    """
    reasons = scheduling().quota.refused_reasons
    events = [event for event in state.kept.values("events", Event) if event.reason in reasons]
    if not events:
        return ()
    known = _Known(state, pods, around, held)
    newest: dict[str, list[Waiting]] = {}
    for event in sorted(events, key=lambda one: (str(one.last), one.name)):
        if found := known.lacking(event):
            newest[found[0]] = found[1]
    return together(record for records in newest.values() for record in records)


class _Known:
    """Which controllers are listed, and which pods each of them, and each workload, has."""

    def __init__(self, state: Gathered, pods: Iterable[Pod], around: Surroundings, held: HeldBack) -> None:
        self._state, self._around, self._held = state, around, held
        self._listed = {kept.record.id: kept for kept in state.kept.all_values("work ", KeptWorkload)}
        self._pods: dict[str, list[Pod]] = {}
        for pod in pods:
            owners = state.owners.above(state.pods[(pod.namespace, pod.name)].start)
            made = takewhile(lambda owner: owner.kind != "Pod", owners)  # what a pod owns its own makers did not make
            for whose in {*self._above(made, pod.namespace), pod.workload}:
                self._pods.setdefault(whose, []).append(pod)

    def lacking(self, event: Event) -> tuple[str, list[Waiting]] | None:
        """Return whose pods a refusal is about, and what is lacking; None when nothing is, or nothing can be told."""
        told = refused_by_quota(event.message)
        per_pod = dict(_gpus(told["requested"])) if told else {}
        about = (event.api_group, event.kind, event.namespace, event.name)
        root = self._state.owners.root_named(*about) if per_pod else None
        if root is None:
            return None
        workload = root.id(self._state.cluster)
        own = self._id(shown_kind(event.api_group, event.kind), event.namespace, event.name)
        owners = self._state.owners.above_named(*about)
        above = [own, *self._above(owners, event.namespace)]
        whose = next((one for one in above if one in self._listed), workload)  # of a ReplicaSet: its Deployment
        missing = _missing(event, self._listed.get(whose), self._pods.get(whose, ()))
        if missing <= 0 or not self._held.counted.isdisjoint((*above, workload)):
            return None  # it was let in since, or wants none any more, or its queue told
        if group := next((one for one in (*above, workload) if one in self._held.refusable), None):
            told_by = {"reason": "QuotaExhausted", "message": event.message, "since": event.first}
            return group, [msgspec.structs.replace(one, **told_by) for one in self._held.refusable[group]]
        return whose, [self._record(event, workload, missing, *row) for row in sorted(per_pod.items())]

    def _record(self, event: Event, workload: str, missing: int, resource: str, each: float) -> Waiting:
        share = common_share(resource, self._around.offers.get(resource, ()), each=each, several=each > 1)[1]
        return Waiting(
            cluster=self._state.cluster,
            namespace=event.namespace,
            workload=workload,
            resource=resource,
            count=each * missing,
            gpus=None if share is None else share * each * missing,
            since=event.first,
            reason="QuotaExhausted",
            message=event.message,
            pods=missing,
        )

    def _above(self, owners: Iterable[OwnerReference], namespace: str) -> Iterator[str]:
        """Yield the ids of owners, as a listed one has it and as an event names it."""
        for owner in owners:
            shown = shown_kind(owner.api_version.rpartition("/")[0], owner.kind)
            yield from dict.fromkeys(
                (self._id(shown, namespace, owner.name), self._id(owner.kind, namespace, owner.name))
            )

    def _id(self, kind: str, namespace: str, name: str) -> str:
        return workload_id(cluster=self._state.cluster, kind=kind, namespace=namespace, name=name)


def _missing(event: Event, told: KeptWorkload | None, pods: Iterable[Pod]) -> int:
    """Return how many pods are wanted and not there. Of who does not say: one, unless one was made since."""
    if told is not None and told.record.suspended:
        return 0
    if told is None or told.wanted is None:
        return 0 if any(event.last and pod.created and pod.created > event.last for pod in pods) else 1
    return told.wanted - sum(not pod.ended and pod.deleted is None for pod in pods)


def _gpus(text: str) -> Iterator[tuple[str, float]]:
    """Yield the GPU resources of `requests.nvidia.com/gpu=8,pods=1`."""
    for part in text.split(","):
        name, _, amount = part.strip().partition("=")
        resource = name.removeprefix(scheduling().quota.requests_prefix)
        value = quantity(amount)
        if value and 0 < value <= objects().cards.max_asked and is_gpu_resource(resource):
            yield resource, value
