"""Attempts of batch work that did not end well: how long they held GPUs, and what ended them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.memory import once
from gpuaudit.demand.usage.units import owner_of, stands_for_others, works_alone
from gpuaudit.demand.work.failing import failing_pods
from gpuaudit.knowledge import pods as facts

Cause = Literal["crash", "preemption", "eviction", "spot"]


@dataclass(frozen=True)
class Attempt:
    """One pod's run, or runs, up to the end that was not wanted. `gpu_hours` within the window; None = unknown."""

    pod: Pod
    cause: Cause
    reason: str
    ends: int
    gpu_hours: float | None


@once
def failed_attempts(snapshot: Snapshot) -> Mapping[str, tuple[Attempt, ...]]:
    """Return, by workload, the failed attempts of work that has an end, within the window.

    Left out: pods that work each for itself, whose restart loses no work, and pods that cannot run at all.
    """
    groups: dict[str, list[Attempt]] = defaultdict(list)
    hopeless = {failing.pod.key for failing in failing_pods(snapshot)}
    for pod in snapshot.pods:
        batch = pod.holdings and not works_alone(snapshot, owner_of(pod)) and not stands_for_others(pod.namespace)
        if batch and pod.key not in hopeless:
            groups[owner_of(pod)].extend(_attempts(snapshot, pod))
    return {owner: tuple(attempts) for owner, attempts in sorted(groups.items()) if attempts}


def _attempts(snapshot: Snapshot, pod: Pod) -> Iterator[Attempt]:
    containers = [container for container in pod.containers if not container.init]
    exits = [c.last_exit_at for c in containers if c.last_exit_at is not None]
    reason = next((c.last_exit_reason for c in containers if c.last_exit_reason), None)
    begun = pod.started or pod.scheduled
    if pod.phase == "Failed":
        ended = max(exits, default=None)
        if ended is None or ended > snapshot.window.start:
            cause = _cause(snapshot, pod)
            said = pod.reason or reason or "unknown reason"
            ends = 1 + sum(container.restarts for container in containers)
            yield Attempt(pod, cause, said, ends, _gpu_hours(snapshot, pod, begun, ended))
        return
    restarts = sum(container.restarts for container in containers)
    again = min((c.running_since for c in containers if c.restarts and c.running_since), default=None)
    if pod.holds and restarts and reason not in facts.pods().ended_well and again and again > snapshot.window.start:
        yield Attempt(pod, "crash", reason or "unknown reason", restarts, _gpu_hours(snapshot, pod, begun, again))


def _cause(snapshot: Snapshot, pod: Pod) -> Cause:
    node = snapshot.node_by_key.get((pod.cluster, pod.node or ""))
    lost = node is not None and node.gone is not None
    if pod.reason in facts.pods().evicted:
        return "eviction"
    if pod.reason in facts.pods().taken_away or lost:
        return "spot" if node is not None and node.purchase == "spot" else "preemption"
    return "crash"


def _gpu_hours(snapshot: Snapshot, pod: Pod, begun: datetime | None, ended: datetime | None) -> float | None:
    if begun is None or ended is None or pod.gpus is None:
        return None
    span = min(ended, snapshot.window.end) - max(begun, snapshot.window.start)
    return pod.gpus * max(0.0, span / timedelta(hours=1))
