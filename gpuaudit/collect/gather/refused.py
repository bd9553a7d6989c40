"""Pods that a ResourceQuota refused: they do not exist, only events of their controller tell of them."""

from collections.abc import Iterator

import msgspec

from gpuaudit.cluster.platform import Event
from gpuaudit.cluster.workloads import Holding, Shape, Waiting
from gpuaudit.collect.gather.controllers import Chain, Controllers, less
from gpuaudit.collect.gather.queued import HeldBack
from gpuaudit.collect.gather.state import Gathered
from gpuaudit.collect.objects.holdings import Surroundings, device_class
from gpuaudit.collect.objects.podsets import PodSet
from gpuaudit.collect.objects.quantities import quantity
from gpuaudit.collect.objects.units import common_share, is_gpu_resource
from gpuaudit.collect.objects.waiting import together
from gpuaudit.knowledge.objects import objects
from gpuaudit.knowledge.scheduling import refused_by_quota, scheduling


def refused(state: Gathered, around: Surroundings, held: HeldBack, controllers: Controllers) -> tuple[Waiting, ...]:
    """Return what workloads lack because a quota refused their pods, less those of whose pods a queue told.

    Of each controller the newest refusal counts; a workload lacks what all its controllers lack (the Jobs of a JobSet).
    """
    reasons = scheduling().quota.refused_reasons
    events = [event for event in state.kept.values("events", Event) if event.reason in reasons]
    newest: dict[str, list[Waiting]] = {}
    for event in sorted(events, key=lambda one: (str(one.last), one.name)):
        told = refused_by_quota(event.message)
        chain = controllers.chain(event.api_group, event.kind, event.namespace, event.name) if told else None
        missing = _missing(event, chain, controllers) if chain else []
        if told is None or chain is None or any(held.counted[one] for one in chain.ids if one != chain.whose):
            continue  # its queue told
        missing = less(missing, held.counted[chain.whose])
        if not missing:
            continue  # it was let in since, or wants none any more, or its queue told of all
        if group := next((one for one in chain.ids if one in held.refusable), None):
            why = {"reason": "QuotaExhausted", "message": event.message, "since": event.first}
            newest[group] = [msgspec.structs.replace(one, **why) for one in held.refusable[group]]
            continue
        each = [(one, count, one.holdings(around)) for one, count in missing if one]
        kept = controllers.listed.get(chain.whose)
        if (kept and kept.sets) or any(holdings for _, _, holdings in each):
            newest[chain.whose] = [
                _record(event, chain.workload, count, holding, shape=one.shape)
                for one, count, holdings in each
                for holding in holdings
                if holding.count <= objects().cards.max_asked
            ]
            continue
        total = sum(count for _, count in missing)  # of pods whose template is not known, or gets its GPUs at admission
        newest[chain.whose] = [
            _record(event, chain.workload, total, holding)
            for holding in _named(told["requested"], around)
            if holding.count <= objects().cards.max_asked
        ]
    return together(record for records in newest.values() for record in records)


def _record(event: Event, workload: str, missing: int, each: Holding, shape: Shape | None = None) -> Waiting:
    return Waiting(
        cluster=event.cluster,
        namespace=event.namespace,
        workload=workload,
        resource=each.resource,
        count=each.count * missing,
        gpus=None if each.gpus is None else each.gpus * missing,
        since=event.first,
        reason="QuotaExhausted",
        message=event.message,
        pods=missing,
        shapes=(msgspec.structs.replace(shape, pods=missing),) if shape else (),
    )


def _missing(event: Event, chain: Chain, controllers: Controllers) -> list[tuple[PodSet | None, int]]:
    """Return the pods that are wanted and not there, by template; one of who does not say, unless it made one since."""
    kept = controllers.listed.get(chain.whose)
    if kept and kept.sets:
        return list(controllers.missing_sets(chain.whose))
    missing = controllers.missing(chain.whose)
    if missing is None:
        missing = 0 if controllers.made_since(chain.whose, event.last) else 1
    return [(kept.template if kept else None, missing)] if missing > 0 else []


def _named(text: str, around: Surroundings) -> Iterator[Holding]:
    """Yield what `requests.nvidia.com/gpu=8,pods=1` names of GPUs: of a pod whose template is not known."""
    for part in text.split(","):
        name, _, amount = part.strip().partition("=")
        resource = name.removeprefix(scheduling().quota.requests_prefix)
        count = quantity(amount)
        if not count or count < 0:
            continue
        if served := device_class(resource, around):
            gpus = count if served in objects().dra.whole_classes else None
            yield Holding(kind="dra", resource=served, count=count, gpus=gpus)
        elif is_gpu_resource(resource):
            kind, share, profile = common_share(
                resource, around.offers.get(resource, ()), each=count, several=count > 1
            )
            share = None if kind == "hami" else share  # the message does not tell what part of a card it asked for
            gpus = None if share is None else share * count
            yield Holding(kind=kind, resource=resource, count=count, gpus=gpus, profile=profile)
