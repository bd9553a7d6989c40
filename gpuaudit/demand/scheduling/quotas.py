"""What queues and namespaces keep for themselves: how much of it they used, and who waits for it."""

import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from gpuaudit.cluster.platform import Queue, Quota
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Waiting
from gpuaudit.demand.memory import once
from gpuaudit.demand.scheduling.quota_places import flavor_nodes, free_units, is_gpu, offered_units
from gpuaudit.demand.usage.held_units import held_units
from gpuaudit.knowledge.scheduling import refused_by_quota, scheduling

QUOTA_REASONS = ("QuotaExhausted", "Inadmissible")  # of waiting work: no quota, which may be for want of a device too


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """An amount of one GPU resource that its owner alone may use, in units of the resource.

    `used_p95` and `used_max` are over the hours that the metrics saw; `lent` says that others may use the rest of the
    queue's nominal quota. `waiting` are those who wait for the same resource behind a quota of their own.
    """

    cluster: str
    kind: str  # ClusterQueue, Queue or ResourceQuota
    name: str
    namespace: str | None
    resource: str
    amount: float
    used_now: float
    used_p95: float
    used_max: float
    hours: float
    partial: bool  # devices of the resource were held by nobody knows whom
    places_known: bool  # on which nodes the quota counts
    in_cohort: bool
    waiting: tuple[str, ...]  # workloads, or namespaces whose quota was exceeded
    waited_for: float | None  # units; None = not known
    free: float  # units that nobody holds now, where the quota counts
    namespaces: tuple[str, ...]  # whose work it is
    unpromised: float | None = None  # units that no ResourceQuota promises to anybody; None = not worked out
    smallest: float = 1.0  # units of the smallest pod that waits

    @property
    def in_the_way(self) -> bool:
        """Whether those who wait could be given no more without it."""
        return self.unpromised is None or self.unpromised < self.smallest

    @property
    def unused(self) -> float:
        """Units that its owner never used."""
        return max(0.0, self.amount - max(self.used_max, self.used_now))


@dataclass(frozen=True, kw_only=True)
class _Owner:
    """Who a guarantee is for, and who waits beside it."""

    cluster: str
    kind: str
    name: str
    namespace: str | None
    in_cohort: bool
    flavors: tuple[str, ...]
    namespaces: tuple[str, ...]
    belongs: Callable[[str], bool]
    waiting: tuple[str, ...]
    waited_for: float | None
    smallest: float  # units of the smallest pod that waits
    unpromised: float | None = None


@once
def guarantees(snapshot: Snapshot) -> tuple[Guarantee, ...]:
    """Return the guarantees of GPU resources for which others wait while devices of it stand free."""
    found = [one for one in (*_of_queues(snapshot), *_of_quotas(snapshot)) if one is not None]
    return tuple(sorted(found, key=lambda one: (one.cluster, one.kind, one.namespace or "", one.name, one.resource)))


def _of_queues(snapshot: Snapshot) -> Iterator[Guarantee | None]:
    for queue in snapshot.queues:
        for resource, amount in sorted(_kept(queue).items()):
            waiting = [work for work in snapshot.waiting if _waits_elsewhere(snapshot, queue, resource, work)]
            if amount <= 0 or not is_gpu(resource) or not waiting:
                continue
            spaces = _namespaces(snapshot, queue)
            owner = _Owner(
                cluster=queue.cluster,
                kind=queue.kind,
                name=queue.name,
                namespace=None,
                in_cohort=queue.cohort is not None,
                flavors=_flavors(queue, resource),
                namespaces=spaces,
                belongs=partial(_belongs, snapshot, queue, spaces),
                waiting=tuple(sorted({work.workload for work in waiting})),
                waited_for=sum(work.count for work in waiting),
                smallest=min(work.count / max(1, work.pods) for work in waiting),
            )
            yield _guarantee(snapshot, owner, resource, amount, queue.used.get(resource, 0.0))


def _of_quotas(snapshot: Snapshot) -> Iterator[Guarantee | None]:
    """ResourceQuotas are limits; they keep others out only where together they fit what there is."""
    for (cluster, resource), spaces in sorted(_quotas(snapshot).items()):
        key = f"requests.{resource}"
        refused = _refused(snapshot, cluster, resource, spaces)
        room = offered_units(flavor_nodes(snapshot, cluster, ())[0], resource)
        unpromised = room - sum(quota.hard[key] for quota in spaces.values())
        if not refused or unpromised < 0:
            continue
        for space, quota in sorted(spaces.items()):
            others = {name: size for name, size in refused.items() if name != space}
            if others and quota.hard[key] > 0:
                owner = _Owner(
                    cluster=cluster,
                    kind="ResourceQuota",
                    name=quota.name,
                    namespace=space,
                    in_cohort=False,
                    flavors=(),
                    namespaces=(space,),
                    belongs=partial(_is_of, space),
                    waiting=tuple(f"namespace {name}" for name in sorted(others)),
                    waited_for=None,
                    smallest=min(others.values()),
                    unpromised=unpromised,
                )
                yield _guarantee(snapshot, owner, resource, quota.hard[key], quota.used.get(key, 0.0))


def _is_of(space: str, owner: str) -> bool:
    return _space(owner) == space


def _guarantee(snapshot: Snapshot, owner: _Owner, resource: str, amount: float, used_now: float) -> Guarantee | None:
    meant, known = flavor_nodes(snapshot, owner.cluster, owner.flavors)
    free = free_units(snapshot, meant, resource)
    holding = (
        pod for pod in snapshot.pods if pod.holds and pod.cluster == owner.cluster and owner.belongs(pod.workload)
    )
    nodes = {pod.node for pod in holding if pod.node}
    used = held_units(snapshot).of(owner.cluster, resource, owner.belongs, nodes=nodes)
    if used is None or max(free, default=0.0) < max(1.0, owner.smallest):
        return None  # no room for those who wait: the quota is not what keeps them out
    return Guarantee(
        cluster=owner.cluster,
        kind=owner.kind,
        name=owner.name,
        namespace=owner.namespace,
        resource=resource,
        amount=amount,
        used_now=used_now,
        used_p95=used.p95,
        used_max=used.max,
        hours=used.hours,
        partial=used.partial,
        places_known=known,
        in_cohort=owner.in_cohort,
        waiting=owner.waiting,
        waited_for=owner.waited_for,
        free=sum(free),
        namespaces=owner.namespaces,
        unpromised=owner.unpromised,
        smallest=owner.smallest,
    )


def _quotas(snapshot: Snapshot) -> Mapping[tuple[str, str], dict[str, Quota]]:
    """Return the tightest quota of each GPU resource and namespace, by cluster and resource."""
    found: dict[tuple[str, str], dict[str, Quota]] = defaultdict(dict)
    for quota in snapshot.quotas:
        for key, amount in quota.hard.items():
            resource = key.removeprefix("requests.")
            if key != resource and is_gpu(resource):
                known = found[quota.cluster, resource].get(quota.namespace)
                if known is None or amount < known.hard[key]:
                    found[quota.cluster, resource][quota.namespace] = quota
    return found


def _kept(queue: Queue) -> Mapping[str, float]:
    """Return what a queue keeps to itself by resource.

    Of Kueue all without a cohort, and within one what is over the lending limit: the rest is lent. Of Volcano the
    guarantee. What KAI and Run:ai do not use is lent.
    """
    kept: dict[str, float] = defaultdict(float, queue.guaranteed)
    for one in queue.flavors:
        if queue.cohort is None:
            kept[one.resource] += one.nominal
        elif one.lending_limit is not None:
            kept[one.resource] += max(0.0, one.nominal - one.lending_limit)
    return kept


def _flavors(queue: Queue, resource: str) -> tuple[str, ...]:
    return tuple(sorted({one.flavor for one in queue.flavors if one.resource == resource}))


def _waits_elsewhere(snapshot: Snapshot, queue: Queue, resource: str, work: Waiting) -> bool:
    """Whether the work waits in another queue, for a quota, for the same resource and one of the same flavors."""
    if work.cluster != queue.cluster or work.resource != resource or work.reason not in QUOTA_REASONS:
        return False
    other = _queue_of(snapshot, work)
    if other is None or other.name == queue.name or other.api_group != queue.api_group:
        return False
    ours, theirs = _flavors(queue, resource), _flavors(other, resource)
    return not ours or not theirs or bool(set(ours) & set(theirs))


def _queue_of(snapshot: Snapshot, work: Waiting) -> Queue | None:
    """Return the queue whose quota counts for the work: of a LocalQueue its ClusterQueue."""
    queues = _by_name(snapshot)
    local = queues.get((work.cluster, work.namespace, work.queue or ""))
    name = local.parent if local is not None and local.parent else work.queue
    return queues.get((work.cluster, "", name or ""))


@once
def _by_name(snapshot: Snapshot) -> Mapping[tuple[str, str, str], Queue]:
    return {(queue.cluster, queue.namespace, queue.name): queue for queue in snapshot.queues}


def _namespaces(snapshot: Snapshot, queue: Queue) -> tuple[str, ...]:
    locals_ = (one for one in snapshot.queues if one.cluster == queue.cluster and one.namespace)
    return tuple(sorted({one.namespace for one in locals_ if one.parent == queue.name}))


def _belongs(snapshot: Snapshot, queue: Queue, namespaces: tuple[str, ...], owner: str) -> bool:
    """Whether the owner's devices count as the queue's; whose queue is not known counts, where it may be this one."""
    workload = snapshot.workload_by_id.get(owner)
    if workload is None or (not workload.listed and workload.queue is None):
        return _space(owner) in namespaces or not namespaces
    if workload.queue is None:
        return workload.namespace in namespaces
    local = _by_name(snapshot).get((workload.cluster, workload.namespace, workload.queue))
    name = local.parent if local is not None and local.parent else workload.queue
    return name == queue.name


def _space(owner: str) -> str:
    parts = owner.rsplit("/", 3)
    return parts[2] if len(parts) == 4 else ""


def _refused(snapshot: Snapshot, cluster: str, resource: str, quotas: Container[str]) -> Mapping[str, float]:
    """Return the namespaces whose quota of the resource refused a pod within a day, with the least that one asked."""
    quota = scheduling().quota
    asked = re.compile(rf"(?:^|,){re.escape(quota.requests_prefix + resource)}=(\d{{1,6}})(?=,|$)")
    found: dict[str, float] = {}
    for event in snapshot.events:
        lately = event.last is not None and snapshot.taken_at - event.last <= timedelta(days=1)
        if event.cluster == cluster and lately and event.reason in quota.refused_reasons and event.namespace in quotas:
            told = refused_by_quota(event.message)
            if told and (said := asked.search(told["requested"])):
                found[event.namespace] = min(float(said[1]), found.get(event.namespace, float(said[1])))
    return found
