"""Rule oversized-mig-profile."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.mig.fit import fitting
from gpuaudit.demand.mig.nodes import barred, by_profile, grid_of, replicas
from gpuaudit.demand.subjects import amount, duration
from gpuaudit.demand.usage.measured import COMPUTE_HEADROOM, Gates, Measured, measured
from gpuaudit.demand.usage.units import devices_of, failing_keys, is_spare, owner_of, workload_subject
from gpuaudit.knowledge import mig
from gpuaudit.knowledge.mig import MigGpu, MigProfile
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule

Group = tuple[str, str, str]  # workload, MIG grid, profile


@rule(Severity.LOW, needs={"nodes", "pods", "utilization", "pod_attribution", "history", "memory_used"})
def oversized_mig_profile(
    snapshot: Snapshot, *, hours: float = 168.0, settled_hours: float = 72.0, headroom: float = COMPUTE_HEADROOM
) -> Iterator[Finding]:
    """A workload holds MIG devices of a larger profile than it needs.

    A 3g device takes half of a card. Work that never used more memory, slices or bandwidth than a 1g device has leaves
    the rest to nobody, while other work waits or holds whole GPUs. What is measured is throughput; of serving the
    peaks must fit as well, and latency is for a canary to tell. Said only where a smaller profile of the same GPU
    takes fewer memory slots.

    Ask for the smaller profile, once nodes offer it; one replica first.
    """
    gates = Gates(hours=hours, settled_hours=settled_hours)
    done: set[str] = set()
    for (owner, grid, profile), pods in sorted(_groups(snapshot).items(), key=lambda item: (-len(item[1]), item[0])):
        gpu = mig.geometry(grid)
        row = mig.profile(gpu, profile)
        need = measured(snapshot, owner, pods, gates) if row and owner not in done else ""
        if row is None or isinstance(need, str) or mig.canonical(need.compute_need.profile) != row.name:
            continue
        smaller = fitting(gpu, need, row, headroom=headroom)
        if smaller is not None and smaller.size < row.size:
            done.add(owner)
            yield _finding(snapshot, need, gpu, row, smaller)


def _groups(snapshot: Snapshot) -> Mapping[Group, Sequence[Pod]]:
    """Return the pods that hold one MIG device, unshared, by workload, GPU and profile."""
    found: dict[Group, list[Pod]] = defaultdict(list)
    for node in snapshot.gpu_nodes:
        grid = grid_of(node)
        if grid is None or barred(node) or not node.listed:
            continue
        for pod in snapshot.holders(node):
            profile = _profile(node, pod)
            if profile and not is_spare(pod) and pod.key not in failing_keys(snapshot):
                found[owner_of(pod), grid.key, profile].append(pod)
    return found


def _profile(node: Node, pod: Pod) -> str | None:
    names = {by_profile(holding) for holding in pod.holdings}
    kinds = {holding.kind for holding in pod.holdings}
    shared = any(replicas(node, holding.resource) > 1 for holding in pod.holdings)
    return next(iter(names)) if len(names) == 1 and kinds <= {"mig", "dra"} and not shared else None


def _finding(snapshot: Snapshot, need: Measured, gpu: MigGpu, row: MigProfile, smaller: MigProfile) -> Finding:
    count = len(need.pods)
    spared = count * (row.g - smaller.g) / gpu.compute_slices
    subject = workload_subject(
        snapshot,
        need.owner,
        devices=(device for pod in need.pods for device in devices_of(snapshot, pod)),
        gpus=round(count * row.g / gpu.compute_slices, 4),
    )
    sure: Confidence = "likely" if not need.serving and need.sure(smaller.memory_mib or 0.0) else "investigate"
    return Finding(
        subject=subject,
        workload=need.owner,
        message=f"{subject.namespace}/{subject.name} holds {count} x {row.name} and would fit {smaller.name} "
        f"({amount(spared)} less): each pod needs {need.mib / 1024:.1f} GiB, {need.compute:.0%} of its SMs and "
        f"{need.bandwidth:.0%} of its bandwidth",
        evidence=tuple(_evidence(need, gpu, row, smaller)),
        confidence=sure,
        act=Act(
            kind="resize",
            target=need.owner,
            from_=f"{count} x {mig.resource(row)}",
            to=f"{count} x {mig.resource(smaller)}",
        ),
        fix=Fix(generate="mig", note="nodes must offer the smaller profile first; move one replica and compare"),
        refutation="a latency objective that the smaller device misses, or a peak that the window did not see",
    )


def _evidence(need: Measured, gpu: MigGpu, row: MigProfile, smaller: MigProfile) -> Iterator[Evidence]:
    memory, compute = need.memory_need, need.compute_need
    yield Evidence(name="memory a pod needs", value=round(need.mib), unit="MiB", statistic="max", source=memory.because)
    for one in (row, smaller):
        yield Evidence(name=f"memory of {one.name}", value=one.memory_mib, unit="MiB", source="mig profiles")
        parts = f"{one.g} of {gpu.compute_slices} compute slices, {one.size} of {gpu.memory_slots} memory slots"
        yield Evidence(name=f"part of a card that is {one.name}", value=parts, source="mig profiles")
    if memory.exceeded is not None:
        chance = round(memory.exceeded, 4)
        yield Evidence(name="probability that the next day needs more, at most", value=chance, unit="ratio")
    yield Evidence(name=f"SM need, of {row.name}", value=round(need.compute, 4), unit="ratio", source=compute.because)
    yield Evidence(name=f"bandwidth need, of {row.name}", value=round(need.bandwidth, 4), unit="ratio")
    if need.peak is not None:
        yield Evidence(name="highest sample", value=round(need.peak, 4), unit="ratio", statistic="max")
    yield Evidence(name="seen", value=round(compute.hours, 1), unit="hours", source=duration(compute.hours))
