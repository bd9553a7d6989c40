"""Which devices must be judged together: a pod's, or all of a workload whose pods work as one."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.memory import once
from gpuaudit.demand.usage.tenures import Tenure, tenures
from gpuaudit.demand.work.failing import failing_pods
from gpuaudit.knowledge import kubernetes, pods
from gpuaudit.rule import Confidence, Subject


@once
def units_by_owner(snapshot: Snapshot) -> Mapping[str, tuple[tuple[Tenure, ...], ...]]:
    """Return, by workload, the present tenures in units that may only be judged as a whole.

    A unit is a pod, or the whole workload when its pods may be ranks of one job. Left out: pods that hold a GPU for
    others (KAI and Run:ai reservations), declared spares (a negative priority), and pods that cannot run at all.
    """
    groups: dict[str, dict[str, list[Tenure]]] = defaultdict(lambda: defaultdict(list))
    for tenure in tenures(snapshot):
        if tenure.held and tenure.current and not _is_apart(snapshot, tenure):
            unit = tenure.pod if works_alone(snapshot, tenure.owner) else ""
            groups[tenure.owner][unit].append(tenure)
    return {owner: tuple(tuple(unit) for _, unit in sorted(units.items())) for owner, units in sorted(groups.items())}


def works_alone(snapshot: Snapshot, owner: str) -> bool:
    """Whether each pod of the workload does its work for itself, so that one may be idle while others are busy."""
    return workload_subject(snapshot, owner).kind in pods.pods().alone


def periodic(snapshot: Snapshot, owner: str) -> bool:
    """Whether the workload comes and goes by a schedule."""
    workload = snapshot.workload_by_id.get(owner)
    return workload_subject(snapshot, owner).kind in pods.pods().periodic or bool(workload and workload.schedule)


def settled(snapshot: Snapshot, owner: str, hours: float) -> bool:
    """Whether the present revision ran long enough to be judged; a roll-out in steps, for the whole window."""
    workload = snapshot.workload_by_id.get(owner)
    changed = (workload.changed or workload.created) if workload else None
    if workload is None or changed is None:
        return True
    patience = timedelta(hours=hours)
    if workload.kind in pods.pods().rollouts:
        patience = max(patience, snapshot.window.end - snapshot.window.start)
    return snapshot.taken_at - changed >= patience


def is_spare(pod: Pod) -> bool:
    """Whether the pod holds its place for others: a pause pod of low priority."""
    return pod.priority is not None and pod.priority < kubernetes.spare().priority_below


def stands_for_others(namespace: str) -> bool:
    """Whether pods of the namespace hold devices for the fractions of other pods."""
    return namespace in kubernetes.fractions().reservation_namespaces


def workload_subject(
    snapshot: Snapshot, owner: str, *, devices: Iterable[str] = (), gpus: float | None = None, node: str | None = None
) -> Subject:
    """Return the workload `cluster/Kind/namespace/name` as a subject; the cluster's name may hold slashes itself."""
    workload = snapshot.workload_by_id.get(owner)
    cluster, kind, namespace, name = (
        (workload.cluster, workload.kind, workload.namespace, workload.name) if workload else owner.rsplit("/", 3)
    )
    return Subject(
        cluster=cluster,
        kind=kind,
        namespace=namespace,
        name=name,
        node=node,
        devices=tuple(sorted(set(devices))),
        gpus=gpus,
    )


def owner_of(pod: Pod) -> str:
    """Return the id of the pod's workload; of a pod whose owner was not found, its own."""
    return pod.workload or f"{pod.cluster}/Pod/{pod.namespace}/{pod.name}"


def devices_of(snapshot: Snapshot, pod: Pod) -> tuple[str, ...]:
    """Return the devices that the pod holds, as far as Kubernetes or the metrics name them."""
    named = {device for holding in pod.holdings for device in holding.devices}
    return tuple(sorted(named or _devices_by_pod(snapshot).get(pod.key, frozenset())))


@once
def _devices_by_pod(snapshot: Snapshot) -> Mapping[tuple[str, str, str], frozenset[str]]:
    found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for tenure in tenures(snapshot):
        if tenure.current and tenure.held:
            found[tenure.cluster, tenure.namespace, tenure.pod].add(tenure.device)
    return {key: frozenset(devices) for key, devices in found.items()}


def weakest(sureness: Iterable[Confidence | None]) -> Confidence | None:
    """Return the least sure of several, None when one of them is, or there are none."""
    order: tuple[Confidence, ...] = ("confirmed", "likely", "investigate")
    ranks = [None if one is None else order.index(one) for one in sureness]
    if not ranks or None in ranks:
        return None
    return order[max(rank for rank in ranks if rank is not None)]


def _is_apart(snapshot: Snapshot, tenure: Tenure) -> bool:
    if stands_for_others(tenure.namespace):
        return True
    if (tenure.cluster, tenure.namespace, tenure.pod) in failing_keys(snapshot):
        return True
    holding = list(_holding(snapshot, tenure.owner))
    return bool(holding) and all(is_spare(pod) for pod in holding)


@once
def failing_keys(snapshot: Snapshot) -> frozenset[tuple[str, str, str]]:
    """Return the keys of the pods that hold a GPU and cannot run."""
    return frozenset(failing.pod.key for failing in failing_pods(snapshot))


def _holding(snapshot: Snapshot, owner: str) -> Iterator[Pod]:
    return (pod for pod in snapshot.pods_by_workload.get(owner, ()) if pod.holds)
