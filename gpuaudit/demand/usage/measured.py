"""What a workload with one device a pod needs of it, or why that cannot be said: gates for all smaller devices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.need.compute_need import UPPER_BOUNDS, ComputeNeed, compute_needs
from gpuaudit.demand.need.memory_need import MemoryNeed, memory_needs
from gpuaudit.demand.need.parallel import ranks_of, spread_of
from gpuaudit.demand.usage.tenures import DRAM_CEILING
from gpuaudit.knowledge import pods as pod_facts

COMPUTE_HEADROOM = 0.80  # of a smaller device's SMs: the rest is for what hourly means hide
MEMORY_MARGIN = 0.10  # beside the need: a device has no more, and who asks for more fails
SURE_MARGIN = 0.25  # so much room makes up for a short history
SURE_PEAKS = 28  # daily peaks: below them a limit of memory that is hard needs the larger margin


@dataclass(frozen=True, kw_only=True)
class Gates:
    """How long a workload must have run and been seen before anything is said of its need."""

    hours: float = 168.0
    settled_hours: float = 72.0
    coverage: float = 0.90


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The need of one pod: MiB, and ratios 0-1 of the device that it holds now."""

    owner: str
    pods: tuple[Pod, ...]
    mib: float
    compute: float
    bandwidth: float
    peak: float | None  # the highest sample of SMs or bandwidth; None = not known
    serving: bool
    memory_need: MemoryNeed
    compute_need: ComputeNeed

    def margin(self, memory_mib: float) -> float:
        """Return the room that a device of so much memory leaves, as a part of the need."""
        return memory_mib / self.mib - 1

    def sure(self, memory_mib: float) -> bool:
        """Whether history or room make it likely that the memory will do."""
        return self.memory_need.peaks >= SURE_PEAKS or self.margin(memory_mib) >= SURE_MARGIN


def measured(snapshot: Snapshot, owner: str, pods: Sequence[Pod], gates: Gates) -> Measured | str:
    """Return the need of a pod of the workload, or the reason why nothing can be said of it.

    `pods` are those that hold one device each; work that spreads over several devices is left out, and so is work whose
    memory or activity is not known, that is too young, or was not watched.
    """
    reason = _spread(snapshot, owner, pods) or _young(snapshot, owner, gates)
    memory, compute = memory_needs(snapshot).get(owner), compute_needs(snapshot).get(owner)
    if reason:
        return reason
    if memory is None or memory.mib is None or not memory.mib > 0:
        return f"its memory need is not known: {memory.because if memory else 'nothing was measured'}"
    if compute is None or compute.compute is None:
        return f"its activity is not known: {compute.because if compute else 'nothing was measured'}"
    if compute.hours < gates.hours or compute.observed < gates.coverage:
        return f"it was seen for {compute.hours:.0f} h, {compute.observed:.0%} of the time that it held its device"
    bandwidth = compute.bandwidth
    if bandwidth is None and compute.metric in UPPER_BOUNDS:
        bandwidth = compute.compute  # no kernel ran, so no memory was read either
    if bandwidth is None:
        return "its memory bandwidth was not measured"
    workload = snapshot.workload_by_id.get(owner)
    return Measured(
        owner=owner,
        pods=tuple(pods),
        mib=memory.mib,
        compute=compute.compute,
        bandwidth=bandwidth,
        peak=_peak(compute),
        serving=workload is not None and workload.engine is not None,
        memory_need=memory,
        compute_need=compute,
    )


def _spread(snapshot: Snapshot, owner: str, pods: Sequence[Pod]) -> str:
    if any(sum(holding.count for holding in pod.holdings) != 1 for pod in pods):
        return "a pod holds several devices"
    if spread := spread_of(pods):
        return f"it spreads over several devices: {spread.by}"
    if why := ranks_of(snapshot, owner, pods):
        return f"its pods work as one: {why}"
    return ""


def _young(snapshot: Snapshot, owner: str, gates: Gates) -> str:
    """Return why the present revision ran too short to be judged; a roll-out in steps is, for the whole window."""
    workload = snapshot.workload_by_id.get(owner)
    changed = (workload.changed or workload.created) if workload else None
    if workload is None or changed is None:
        return ""
    patience = timedelta(hours=gates.settled_hours)
    if workload.kind in pod_facts.pods().rollouts:
        patience = max(patience, snapshot.window.end - snapshot.window.start)
    age = snapshot.taken_at - changed
    return "" if age >= patience else f"its present revision is {age / timedelta(hours=1):.0f} h old"


def _peak(compute: ComputeNeed) -> float | None:
    if compute.sm_peak is None:
        return None
    return max(compute.sm_peak, min(1.0, (compute.dram_peak or 0.0) / DRAM_CEILING))
