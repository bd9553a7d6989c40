"""Rule multi-gpu-on-mig."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand import IDLE_BELOW, Tenure
from gpuaudit.demand.mig.nodes import by_profile
from gpuaudit.demand.need.parallel import Spread, ranks_of, spread_of, visible_devices
from gpuaudit.demand.usage.units import units_by_owner, workload_subject
from gpuaudit.knowledge import mig
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


@rule(Severity.MEDIUM, needs={"nodes", "pods"})
def multi_gpu_on_mig(
    snapshot: Snapshot, *, observed_hours: float = 24.0, settled_minutes: float = 30.0
) -> Iterator[Finding]:
    """Work that spreads over several GPUs runs on MIG devices.

    MIG devices do not add up: none reaches another by NVLink, peer access or CUDA IPC, and a process sees only one of
    those that its pod holds unless the driver is 570 or later. A model that is split over two 1g devices does not
    start, or crawls through host memory; the second device of a pod mostly stays unused. Several processes with one
    device each are fine.

    Ask for one device of a larger profile or for a whole GPU; run one process for each device where the work allows.
    """
    for owner, pods in sorted(snapshot.pods_by_workload.items()):
        holding = [pod for pod in pods if pod.holds and any(by_profile(one) for one in pod.holdings)]
        if holding and _settled(snapshot, holding, settled_minutes):
            yield from _judged(snapshot, owner, holding, observed_hours)


def _settled(snapshot: Snapshot, pods: Sequence[Pod], minutes: float) -> bool:
    since = [pod.scheduled or pod.created for pod in pods]
    return any(moment is None or snapshot.taken_at - moment >= timedelta(minutes=minutes) for moment in since)


def _judged(snapshot: Snapshot, owner: str, pods: Sequence[Pod], observed_hours: float) -> Iterator[Finding]:
    devices = max(_devices(pod) for pod in pods)
    spread, visible = spread_of(pods), visible_devices(pods)
    used = _used(snapshot, owner, observed_hours)
    if spread is not None and not (spread.own_processes and used == devices > 1):
        works = all(pod.ready for pod in pods)
        what = f"is split over {spread.devices} devices ({spread.by})"
        yield _finding(snapshot, owner, pods, what, sure="investigate" if works else "likely", spread=spread)
    elif devices > 1 and used is not None:
        if used < devices:
            yield _finding(snapshot, owner, pods, f"holds {devices} devices a pod and uses {used}", sure="likely")
    elif devices > 1 and not _sees_several(snapshot, pods):
        what = f"holds {devices} devices a pod, of which a process sees one"
        yield _finding(snapshot, owner, pods, what, sure="investigate")
    elif visible is not None and visible > devices and not all(pod.ready for pod in pods):
        yield _finding(snapshot, owner, pods, f"looks for {visible} GPUs and has {devices}", sure="investigate")
    elif spread is None and _told_of_ranks(pods) and ranks_of(snapshot, owner, pods):
        yield _finding(snapshot, owner, pods, f"works in {len(pods)} ranks that must reach each other", "investigate")


def _devices(pod: Pod) -> int:
    """MIG devices of the container that has most: each container's processes are its own."""
    counts = [
        sum(count for name, count in one.requests.items() if mig.parse_resource(name))
        for one in pod.containers
        if not one.init
    ]
    held = sum(holding.count for holding in pod.holdings if by_profile(holding))
    return int(max(counts, default=0) or (held if len(pod.containers) <= 1 else 1))


def _used(snapshot: Snapshot, owner: str, observed_hours: float) -> int | None:
    """Devices of one pod that did work, of the pod with most; None where not all were watched for long enough."""
    by_pod: dict[str, list[Tenure]] = {}
    for unit in units_by_owner(snapshot).get(owner, ()):
        for tenure in unit:
            by_pod.setdefault(tenure.pod, []).append(tenure)
    tenures = [tenure for group in by_pod.values() for tenure in group]
    if not tenures or any(t.util_max is None or t.observed_hours < observed_hours for t in tenures):
        return None
    return max(sum((t.util_max or 0.0) >= IDLE_BELOW for t in group) for group in by_pod.values())


def _sees_several(snapshot: Snapshot, pods: Sequence[Pod]) -> bool | None:
    """Whether the drivers let a process see several MIG devices; None where a driver is not known: then it may."""
    drivers = [node.driver_version for pod in pods if (node := snapshot.node_by_key.get((pod.cluster, pod.node or "")))]
    majors = [driver.partition(".")[0] for driver in drivers if driver]
    if len(majors) < len(pods) or not all(major.isdecimal() for major in majors):
        return True
    return all(int(major) >= mig.programs().several_devices_from_driver for major in majors)


def _told_of_ranks(pods: Sequence[Pod]) -> bool:
    """Whether a container is told of other ranks: many pods alone do not make a gang."""
    return any(one.env.get(name) for pod in pods for one in pod.containers for name in mig.programs().gang_env)


def _finding(
    snapshot: Snapshot, owner: str, pods: Sequence[Pod], what: str, sure: Confidence, *, spread: Spread | None = None
) -> Finding:
    amounts = [pod.gpus for pod in pods]
    known = None if any(one is None for one in amounts) else round(sum(one or 0.0 for one in amounts), 4)
    subject = workload_subject(snapshot, owner, gpus=known)
    held = sorted({f"{one.count:g} x {by_profile(one)}" for pod in pods for one in pod.holdings if by_profile(one)})
    waits = spread is not None or not all(pod.ready for pod in pods)
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} {what}: MIG devices ({', '.join(held)} a pod) do not reach each "
        "other",
        evidence=tuple(_evidence(snapshot, pods, held, spread)),
        confidence=sure,
        act=Act(kind="move" if waits else "resize", target=owner, from_=f"{', '.join(held)} a pod"),
        fix=Fix(note="one device of a larger profile, or whole GPUs where the model needs several"),
        refutation="one process for each device, each with work of its own",
    )


def _evidence(
    snapshot: Snapshot, pods: Sequence[Pod], held: Sequence[str], spread: Spread | None
) -> Iterator[Evidence]:
    yield Evidence(name="MIG devices a pod", value=", ".join(held), statistic="max", source="kubernetes")
    if spread is not None:
        yield Evidence(name="told to its program", value=spread.by, source="arguments and environment")
    ready = sum(bool(pod.ready) for pod in pods)
    yield Evidence(name=f"pods ready of {len(pods)}", value=ready, statistic="now", source="kubernetes")
    nodes = {node.name: node for pod in pods if (node := snapshot.node_by_key.get((pod.cluster, pod.node or "")))}
    for name, node in sorted(nodes.items()):
        if node.driver_version:
            yield Evidence(name=f"driver of {name}", value=node.driver_version, source="kubernetes")
    limit = mig.programs().several_devices_from_driver
    yield Evidence(name="driver from which a process sees several MIG devices", value=limit, observed=False)
