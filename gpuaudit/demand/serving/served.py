"""Which workloads answer requests: what they do follows their users, and each answer is waited for."""

from collections.abc import Mapping

from gpuaudit.cluster.platform import Service
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.memory import once
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.knowledge import pods


def serves(snapshot: Snapshot, owner: str) -> bool:
    """Whether the workload answers requests, by its engine, its kind, an autoscaler or a Service that selects its pods.

    The headless Service of a training job is not meant: kinds whose pods may be ranks of a job count by engine alone.
    """
    workload = snapshot.workload_by_id.get(owner)
    kind = workload_subject(snapshot, owner).kind
    if (workload is not None and workload.engine) or kind in pods.pods().servers:
        return True
    if kind not in pods.pods().may_serve:
        return False
    return any(one.target == owner for one in snapshot.autoscalers) or _selected(snapshot, owner)


def _selected(snapshot: Snapshot, owner: str) -> bool:
    return any(
        service.selector.items() <= pod.labels.items()
        for pod in snapshot.pods_by_workload.get(owner, ())
        for service in _services(snapshot).get((pod.cluster, pod.namespace), ())
    )


@once
def _services(snapshot: Snapshot) -> Mapping[tuple[str, str], tuple[Service, ...]]:
    found: dict[tuple[str, str], list[Service]] = {}
    for service in snapshot.services:
        if service.selector:
            found.setdefault((service.cluster, service.namespace), []).append(service)
    return {key: tuple(services) for key, services in found.items()}
