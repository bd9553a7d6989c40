"""Which quota holds work back, and whether it can ever let it in; which namespaces hold GPUs without any quota."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from gpuaudit.cluster.platform import Queue
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod, Waiting
from gpuaudit.demand.memory import once
from gpuaudit.demand.scheduling.asks import asks
from gpuaudit.demand.scheduling.promises import cluster_queue
from gpuaudit.knowledge.kubernetes import matches
from gpuaudit.knowledge.scheduling import refused_by_quota, scheduling


@dataclass(frozen=True, kw_only=True)
class Blocked:
    """Work that a quota holds back. `never` = it can not be let in as the quota stands."""

    waiting: Waiting
    hours: float | None
    quota: str  # Kind NAME
    because: str
    never: bool
    way_out: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@once
def quota_blocked(snapshot: Snapshot) -> tuple[Blocked, ...]:
    """Return the work that a quota holds back, as its queue or the refusal of its pods tells."""
    found = []
    for ask in asks(snapshot):
        one = _by_resource_quota(snapshot, ask.waiting) or _by_queue(snapshot, ask.waiting)
        if one is not None:
            found.append(one)
    return tuple(found)


def covered(snapshot: Snapshot, cluster: str, namespace: str, pods: Sequence[Pod]) -> bool:
    """Whether ResourceQuotas of the namespace limit every GPU resource that the pods hold: a MIG profile is its own."""
    prefix = scheduling().quota.requests_prefix
    limited = {
        name.removeprefix(prefix)
        for quota in snapshot.quotas
        if (quota.cluster, quota.namespace) == (cluster, namespace)
        for name in quota.hard
    }
    held = {holding.resource for pod in pods for holding in pod.holdings if "/" in holding.resource}
    return bool(held) and held <= limited


def _by_resource_quota(snapshot: Snapshot, waiting: Waiting) -> Blocked | None:
    told = refused_by_quota(waiting.message)
    if told is None:
        return None
    key = scheduling().quota.requests_prefix + waiting.resource
    quota = next(
        (
            one
            for one in snapshot.quotas
            if (one.cluster, one.namespace, one.name) == (waiting.cluster, waiting.namespace, told["quota"])
        ),
        None,
    )
    hard = quota.hard.get(key) if quota else None
    used = quota.used.get(key, 0.0) if quota else None
    each = waiting.count / max(1, waiting.pods)
    never = hard is not None and hard < each
    numbers = {name: value for name, value in (("hard limit", hard), ("used", used)) if value is not None}
    because = f"allows {hard:g} {waiting.resource} and one pod asks for {each:g}" if never else "is used up"
    if not never and hard is not None and used is not None:
        because = f"is used up: {used:g} of {hard:g} {waiting.resource}"
    return Blocked(
        waiting=waiting,
        hours=_hours(snapshot, waiting),
        quota=f"ResourceQuota {waiting.namespace}/{told['quota']}",
        because=because,
        never=never,
        way_out="raise the hard limit, or end work of the namespace that is not needed",
        numbers=numbers,
    )


def _by_queue(snapshot: Snapshot, waiting: Waiting) -> Blocked | None:
    texts = scheduling().quota
    never, full = matches(texts.queue_never, waiting.message), matches(texts.queue_full, waiting.message)
    if waiting.reason not in ("QuotaExhausted", "Inadmissible") and not (waiting.queue and full):
        return None
    if not never and not full and waiting.reason != "QuotaExhausted":
        return None
    queue = cluster_queue(snapshot, waiting) or _named_queue(snapshot, waiting)
    limit = None if queue is None else most(queue, waiting.resource)
    name = f"{queue.kind} {queue.name}" if queue else f"queue {waiting.queue or '(not named)'}"
    numbers = {}
    if queue is not None:
        if queue.nominal or queue.flavors:
            numbers = {
                "nominal quota": queue.nominal.get(waiting.resource, 0.0),
                "used": queue.used.get(waiting.resource, 0.0),
            }
        never = never or (limit is not None and limit < waiting.count)
    return Blocked(
        waiting=waiting,
        hours=_hours(snapshot, waiting),
        quota=name,
        because=_because(queue, waiting, limit, never=never),
        never=never,
        way_out="cover the resource and raise the quota, let the queue borrow, or ask for what it has",
        numbers=numbers,
    )


def most(queue: Queue, resource: str) -> float | None:
    """Return the most that a queue may ever use of a resource in one flavor; None = not limited, or not known."""
    if queue.kind != "ClusterQueue":
        return queue.limit.get(resource)
    rows = [one for one in queue.flavors if one.resource == resource]
    if queue.flavors and not rows:
        return 0.0
    if queue.cohort and any(one.borrowing_limit is None for one in rows):
        return None
    if rows:
        return max(one.nominal + ((one.borrowing_limit or 0.0) if queue.cohort else 0.0) for one in rows)
    return None


def _because(queue: Queue | None, waiting: Waiting, limit: float | None, *, never: bool) -> str:
    if queue is not None and queue.active is False:
        return "is not active"
    if queue is not None and queue.flavors and not any(one.resource == waiting.resource for one in queue.flavors):
        return f"does not cover {waiting.resource}"
    if never and limit is not None:
        return f"can never give more than {limit:g} {waiting.resource}, and {waiting.count:g} are asked for"
    if never:
        return "can never let it in as it stands"
    if queue is not None and queue.nominal.get(waiting.resource):
        used, nominal = queue.used.get(waiting.resource, 0.0), queue.nominal[waiting.resource]
        return f"has {used:g} of {nominal:g} {waiting.resource} in use"
    return "is used up"


def _named_queue(snapshot: Snapshot, waiting: Waiting) -> Queue | None:
    """Return the Volcano, KAI or Run:ai queue that the work names; of several with one name, none."""
    found = [
        one
        for one in snapshot.queues
        if (one.cluster, one.name) == (waiting.cluster, waiting.queue)
        and one.kind not in ("LocalQueue", "ClusterQueue")
    ]
    return found[0] if len(found) == 1 else None


def _hours(snapshot: Snapshot, waiting: Waiting) -> float | None:
    return None if waiting.since is None else (snapshot.taken_at - waiting.since) / timedelta(hours=1)
