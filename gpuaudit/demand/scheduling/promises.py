"""Capacity that is promised to somebody: hard quotas of other tenants, which are theirs even while they stand free."""

from gpuaudit.cluster.platform import Queue
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Waiting
from gpuaudit.knowledge.scheduling import scheduling


def promised_elsewhere(snapshot: Snapshot, waiting: Waiting) -> float:
    """Return the GPUs promised to others and not used: quotas that are not lent, and those of declared tenants."""
    own = cluster_queue(snapshot, waiting)
    lent = sum(
        _unused(queue, waiting.resource)
        for queue in snapshot.queues
        if queue.cluster == waiting.cluster and queue.kind == "ClusterQueue" and queue != own
        if not _lends(queue, own)
    )
    unit = (waiting.gpus or 0.0) / waiting.count if waiting.gpus and waiting.count else 1.0
    return (lent + _tenants(snapshot, waiting)) * unit


def cluster_queue(snapshot: Snapshot, waiting: Waiting) -> Queue | None:
    """Return the Kueue ClusterQueue behind the queue that work names, None when it is not known."""
    local = next(
        (
            one
            for one in snapshot.queues
            if (one.cluster, one.kind) == (waiting.cluster, "LocalQueue")
            and (one.namespace, one.name) == (waiting.namespace, waiting.queue)
        ),
        None,
    )
    if local is None or not local.parent:
        return None
    return next(
        (
            one
            for one in snapshot.queues
            if (one.cluster, one.kind, one.name) == (waiting.cluster, "ClusterQueue", local.parent)
        ),
        None,
    )


def _lends(queue: Queue, own: Queue | None) -> bool:
    shared = own is not None and own.cohort is not None and own.cohort == queue.cohort
    return shared and not (queue.flavors and all(one.lending_limit == 0 for one in queue.flavors))


def _unused(queue: Queue, resource: str) -> float:
    return max(0.0, queue.nominal.get(resource, 0.0) - queue.used.get(resource, 0.0))


def _tenants(snapshot: Snapshot, waiting: Waiting) -> float:
    """Unused quota of other namespaces that are declared tenants."""
    key = scheduling().quota.requests_prefix + waiting.resource
    return sum(
        max(0.0, quota.hard[key] - quota.used.get(key, 0.0))
        for quota in snapshot.quotas
        if quota.cluster == waiting.cluster and quota.namespace != waiting.namespace and key in quota.hard
        if (space := snapshot.namespace_by_key.get((quota.cluster, quota.namespace))) and space.role == "tenant"
    )
