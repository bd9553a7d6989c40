"""Rule no-gpu-quota."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from gpuaudit.cluster.platform import Queue
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.scheduling.blocking_quotas import covered
from gpuaudit.demand.subjects import amount
from gpuaudit.demand.usage.units import is_spare, stands_for_others
from gpuaudit.knowledge import kubernetes
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, Subject, rule

Space = tuple[str, str]  # cluster, namespace


@rule(Severity.LOW, needs={"pods", "quotas", "namespaces"})
def no_gpu_quota(snapshot: Snapshot, *, at_least_gpus: float = 1.0, at_least_share: float = 0.05) -> Iterator[Finding]:
    """A namespace holds GPUs of a shared cluster, and nothing limits how many.

    One team's mistake (a replica count, a sweep) takes every free GPU, and the others wait behind it. A ResourceQuota
    for requests.nvidia.com/gpu, a queue of Kueue or Volcano, a KAI queue or a Run:ai project is a limit. A cluster of a
    single team needs none, and a namespace with a small part of the GPUs is no danger.

    Set a ResourceQuota at or above what the namespace uses at its peak, or give its work to a queue.
    """
    holding = _holding(snapshot)
    held = {space: sum(pod.gpus or 0.0 for pod in pods) for space, pods in holding.items()}
    for (cluster, namespace), pods in sorted(holding.items()):
        total = sum(node.gpus for node in snapshot.gpu_nodes if node.cluster == cluster)
        own = held[cluster, namespace]
        waiting = [one for one in snapshot.waiting if one.cluster == cluster and one.namespace != namespace]
        small = own < at_least_gpus or (total > 0 and own / total < at_least_share)
        if small or not _shared(snapshot, cluster, holding) or _limited(snapshot, cluster, namespace, pods):
            continue
        others = sum(one.gpus or 0.0 for one in waiting)
        yield Finding(
            subject=Subject(cluster=cluster, kind="Namespace", name=namespace, namespace=namespace, gpus=own),
            message=f"namespace {namespace} holds {amount(own)} of {total} without a quota or queue"
            + (f", while others wait for {amount(others)}" if others else ""),
            evidence=tuple(_evidence(snapshot, (cluster, namespace), own, others)),
            confidence="likely" if all(pod.gpus is not None for pod in pods) else "investigate",
            act=Act(kind="configure", target=f"Namespace {namespace}", to="a quota at or above its peak"),
            fix=Fix(generate="scheduling", note="a ResourceQuota or a queue, at or above the peak of use"),
            refutation="a limit that stands outside the cluster, or an agreement among its teams",
        )


def _holding(snapshot: Snapshot) -> Mapping[Space, Sequence[Pod]]:
    spaces: dict[Space, list[Pod]] = defaultdict(list)
    for pod in snapshot.pods:
        if pod.holds and not is_spare(pod) and not stands_for_others(pod.namespace):
            spaces[pod.cluster, pod.namespace].append(pod)
    return spaces


def _shared(snapshot: Snapshot, cluster: str, holding: Mapping[Space, Sequence[Pod]]) -> bool:
    """Whether GPUs are held by more than one team: by owner labels of namespaces, else by namespaces."""
    keys = kubernetes.ownership()
    teams = set()
    for key in holding:
        space = snapshot.namespace_by_key.get(key)
        named = space and (
            kubernetes.first(space.labels, keys.labels) or kubernetes.first(space.annotations, keys.annotations)
        )
        if key[0] == cluster:
            teams.add(named or f"namespace {key[1]}")
    return len(teams) > 1


def _limited(snapshot: Snapshot, cluster: str, namespace: str, pods: Sequence[Pod]) -> bool:
    if covered(snapshot, cluster, namespace, pods):
        return True
    projects = any(pod.scheduler in kubernetes.fractions().schedulers for pod in pods)
    space = snapshot.namespace_by_key.get((cluster, namespace))
    known = kubernetes.first(space.labels, (*kubernetes.fractions().queue_labels,)) if space else None
    queues = [queue for queue in snapshot.queues if queue.cluster == cluster and _limits(queue)]
    queued = all(_queued(snapshot, pod) for pod in pods)
    return projects or known is not None or (queued and bool(queues)) or _own_queue(queues, namespace, queued=queued)


def _queued(snapshot: Snapshot, pod: Pod) -> bool:
    workload = snapshot.workload_by_id.get(pod.workload)
    keys = kubernetes.queues()
    return bool(
        (workload and workload.queue)
        or kubernetes.first(pod.labels, keys.labels)
        or kubernetes.first(pod.annotations, keys.annotations)
    )


def _limits(queue: Queue) -> bool:
    return bool(queue.nominal or queue.limit or queue.flavors)


def _own_queue(queues: Sequence[Queue], namespace: str, *, queued: bool) -> bool:
    return queued and any(queue.namespace == namespace for queue in queues)


def _evidence(snapshot: Snapshot, space: Space, own: float, others: float) -> Iterator[Evidence]:
    yield Evidence(name="held", value=round(own, 3), unit="GPUs", statistic="now", source="kubernetes")
    quotas = [one.name for one in snapshot.quotas if (one.cluster, one.namespace) == space]
    told = ", ".join(sorted(quotas)) or "none"
    yield Evidence(name="ResourceQuotas, none of them for GPUs", value=told, source="kubernetes")
    if others:
        yield Evidence(name="waited for by others", value=round(others, 3), unit="GPUs", source="kubernetes")
