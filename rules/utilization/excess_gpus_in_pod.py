"""Rule excess-gpus-in-pod."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import IDLE_BELOW, Tenure, idle, looks_idle
from gpuaudit.demand.subjects import amount, duration
from gpuaudit.demand.usage.units import units_by_owner, weakest, workload_subject
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule

Pods = Mapping[str, tuple[Sequence[Tenure], Sequence[Tenure]]]  # pod → GPUs that idle, GPUs that work


@rule(Severity.MEDIUM, needs={"utilization", "pod_attribution", "history", "memory_used"})
def excess_gpus_in_pod(
    snapshot: Snapshot, *, below: float = IDLE_BELOW, loaded_above_mib: float = 1024.0
) -> Iterator[Finding]:
    """A pod holds several GPUs and uses only some of them.

    A program that was never told about the other GPUs works on the first and leaves the rest idle; to Kubernetes all
    of them are in use, and the pod fits fewer nodes than it could. A GPU counts as unused when its highest sample
    stays below the threshold, and nothing is loaded in its memory: weights that are spread over all GPUs of a pod
    need all of them, however little each works. A pod whose GPUs are all idle is idle-gpu's.

    Ask for as many GPUs as the program uses (nvidia.com/gpu, --tensor-parallel-size, nproc_per_node), or let it use
    all that it has.
    """
    for owner, units in units_by_owner(snapshot).items():
        pods = {pod: parts for unit in units for pod, parts in _pods(unit, below, loaded_above_mib).items()}
        sure = weakest(idle(tenure, below=below) for unused, _ in pods.values() for tenure in unused)
        if sure is not None:
            yield _finding(snapshot, owner, pods, sure, below)


def _pods(unit: Sequence[Tenure], below: float, loaded_above_mib: float) -> Pods:
    """Return the pods of the unit of which some GPUs work, and others are idle and empty."""
    by_pod: dict[str, list[Tenure]] = defaultdict(list)
    for tenure in unit:
        by_pod[tenure.pod].append(tenure)
    found = {}
    for pod, tenures in by_pod.items():
        unused = [t for t in tenures if looks_idle(t, below=below) and _empty(t, loaded_above_mib)]
        used = [t for t in tenures if t.util_max is not None and t.util_max >= below]
        if unused and used and not any(t.shared for t in tenures) and all(idle(t, below=below) for t in unused):
            found[pod] = (unused, used)
    return found


def _empty(tenure: Tenure, loaded_above_mib: float) -> bool:
    return tenure.memory_max_mib is not None and tenure.memory_max_mib <= loaded_above_mib


def _finding(snapshot: Snapshot, owner: str, pods: Pods, sure: Confidence, below: float) -> Finding:
    unused = [tenure for idle_ones, _ in pods.values() for tenure in idle_ones]
    used = [tenure for _, working in pods.values() for tenure in working]
    free = round(sum(tenure.gpus for tenure in unused), 4)
    total = round(free + sum(tenure.gpus for tenure in used), 4)
    subject = workload_subject(snapshot, owner, devices=(t.device for t in unused), gpus=free)
    hours = min(tenure.held_hours for tenure in unused)
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} holds {amount(total)} in {len(pods)} "
        f"{'pod' if len(pods) == 1 else 'pods'} and has not used {free:g} of them for {duration(hours)}",
        evidence=tuple(_evidence(snapshot, unused, used, below)),
        confidence=sure,
        act=Act(kind="resize", target=owner, from_=amount(total), to=amount(total - free)),
        fix=Fix(note="request as many GPUs as it uses, or let it use all"),
        refutation="a GPU that is kept for a phase that the window did not see",
    )


def _evidence(snapshot: Snapshot, unused: Sequence[Tenure], used: Sequence[Tenure], below: float) -> Iterator[Evidence]:
    window, source = snapshot.window_seconds, unused[0].source
    for name, tenures in (("unused", unused), ("used", used)):
        most = max(tenure.util_max or 0.0 for tenure in tenures)
        yield Evidence(name=f"{name} GPUs", value=len(tenures), unit="GPUs", statistic="count", source=source)
        yield Evidence(
            name=f"{tenures[0].metric} of the {name} GPUs",
            value=round(most, 4),
            unit="ratio",
            statistic="max",
            window_seconds=window,
            source=source,
        )
    loaded = max(tenure.memory_max_mib or 0.0 for tenure in unused)
    yield Evidence(name="memory of the unused GPUs", value=round(loaded, 1), unit="MiB", statistic="max", source=source)
    yield Evidence(name="threshold", value=below, unit="ratio", observed=False, source="option below")
