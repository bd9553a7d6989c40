"""Pods that hold a GPU and do not run: why, and since when."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Container, Pod
from gpuaudit.knowledge import pods as facts


@dataclass(frozen=True)
class Failing:
    """A pod that holds a GPU and does not work. `since` is when it was bound, or should have been gone."""

    pod: Pod
    reason: str
    since: datetime | None
    restarts: int


def failing_pods(snapshot: Snapshot, *, minutes: float = 15.0, restarts: int = 5) -> Iterator[Failing]:
    """Yield the pods that hold a GPU and crash, cannot start or cannot end, for longer than `minutes`."""
    for pod in snapshot.pods:
        failing = _failing(snapshot, pod, timedelta(minutes=minutes), restarts) if pod.holds else None
        if failing is not None:
            yield failing


def _failing(snapshot: Snapshot, pod: Pod, patience: timedelta, restarts: int) -> Failing | None:
    counted = sum(container.restarts for container in pod.containers)
    if pod.deleted is not None:
        late = snapshot.taken_at - pod.deleted >= patience
        return Failing(pod, f"Terminating{_because(snapshot, pod)}", pod.deleted, counted) if late else None
    since = pod.scheduled or pod.started or pod.created
    if since is not None and snapshot.taken_at - since < patience:
        return None
    reason = next((reason for container in pod.containers if (reason := _trouble(container, restarts))), None)
    return None if reason is None or pod.ready else Failing(pod, reason, since, counted)


def _trouble(container: Container, restarts: int) -> str | None:
    if container.waiting_reason in facts.pods().waiting_failures:
        return container.waiting_reason
    if container.restarts >= restarts and container.ready is False and not container.init:
        return f"restarts ({container.last_exit_reason or 'unknown reason'})"
    return None


def _because(snapshot: Snapshot, pod: Pod) -> str:
    node = snapshot.node_by_key.get((pod.cluster, pod.node or ""))
    if node is not None and node.ready is False:
        return f" on {node.name}, which is not ready"
    return f", finalizer {pod.finalizers[0]}" if pod.finalizers else ""
