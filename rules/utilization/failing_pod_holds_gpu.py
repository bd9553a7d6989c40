"""Rule failing-pod-holds-gpu."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.subjects import amount, duration, listed
from gpuaudit.demand.usage.units import devices_of, owner_of, workload_subject
from gpuaudit.demand.work.failing import Failing, failing_pods
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


@rule(Severity.MEDIUM, needs={"pods"})
def failing_pod_holds_gpu(
    snapshot: Snapshot, *, minutes: float = 15.0, restarts: int = 5, confirmed_hours: float = 24.0
) -> Iterator[Finding]:
    """A pod that cannot run holds GPUs.

    A container that crashes over and over, an image that cannot be pulled, or a pod that should be gone but hangs on a
    dead node keeps its GPUs in the scheduler's books: nobody else gets them, and the service behind it may be down.

    Mend or end the workload. A pod that hangs on a node that is gone for good is set free by removing the node, or by
    the taint node.kubernetes.io/out-of-service, never by force while the node may still run it.
    """
    groups: dict[str, list[Failing]] = defaultdict(list)
    for failing in failing_pods(snapshot, minutes=minutes, restarts=restarts):
        groups[owner_of(failing.pod)].append(failing)
    for owner, group in sorted(groups.items()):
        yield _finding(snapshot, owner, group, confirmed_hours)


def _finding(snapshot: Snapshot, owner: str, group: Sequence[Failing], confirmed_hours: float) -> Finding:
    known = [failing.pod.gpus for failing in group]
    gpus = None if None in known else sum(amount for amount in known if amount is not None)
    nodes = sorted({failing.pod.node for failing in group if failing.pod.node})
    devices = [device for failing in group for device in devices_of(snapshot, failing.pod)]
    node = nodes[0] if len(nodes) == 1 else None
    subject = workload_subject(snapshot, owner, devices=devices, gpus=gpus, node=node)
    hours = [(snapshot.taken_at - f.since) / timedelta(hours=1) for f in group if f.since is not None]
    confidence: Confidence = "confirmed" if hours and min(hours) >= confirmed_hours else "likely"
    reasons = listed(sorted({failing.reason for failing in group}))
    since = f" for {duration(max(hours))}" if hours else ""
    held = amount(gpus) if gpus is not None else "GPUs"
    leaving = all(failing.pod.deleted is not None for failing in group)
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} holds {held}{since} and does not run: {reasons}"
        if not leaving
        else f"{subject.namespace}/{subject.name} should be gone{since} and still holds {held}: {reasons}",
        evidence=tuple(_evidence(group, hours)),
        confidence=confidence,
        severity=Severity.HIGH if not leaving and _all_down(snapshot, owner, group) else None,
        act=Act(kind="release_gpus", target=owner, from_=held, to="0 GPUs"),
        fix=Fix(note="mend or end it; for a dead node remove the node, do not delete by force"),
        refutation="a pod that has recovered since the snapshot was taken",
    )


def _all_down(snapshot: Snapshot, owner: str, group: Sequence[Failing]) -> bool:
    """Whether no other pod of the workload is ready: its users or its job are hurt now."""
    failing = {one.pod.key for one in group}
    others = (pod for pod in snapshot.pods_by_workload.get(owner, ()) if pod.key not in failing and not pod.ended)
    return not any(pod.ready for pod in others)


def _evidence(group: Sequence[Failing], hours: Sequence[float]) -> Iterator[Evidence]:
    for failing in group:
        where = f"{failing.pod.name} on {failing.pod.node}"
        yield Evidence(name=where, value=failing.reason, statistic="now", source="kubernetes")
        last = next((c.last_exit_reason for c in failing.pod.containers if c.last_exit_reason), None)
        if last:
            yield Evidence(name=f"last exit of {failing.pod.name}", value=last, source="kubernetes")
    restarts = sum(failing.restarts for failing in group)
    if restarts:
        yield Evidence(name="restarts", value=restarts, unit="restarts", statistic="count", source="kubernetes")
    if hours:
        yield Evidence(name="held", value=round(max(hours), 1), unit="hours", statistic="max", source="kubernetes")
