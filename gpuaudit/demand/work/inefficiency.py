"""Work that keeps a GPU busy and uses little of it: how much, and what most likely bounds it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.need.compute_need import TENSOR_CEILING
from gpuaudit.demand.usage.tenures import DRAM_CEILING, Tenure, card_of
from gpuaudit.demand.usage.traces import Trace, trace

Bound = Literal["input", "cpu", "pcie", "launch", "ranks", "communication", "bandwidth"]

BUSY_ABOVE = 0.50  # of GPU_UTIL, mean of an hour: a kernel runs most of the time
USED_BELOW = 0.50  # of the most used of SMs, tensor cores and memory: below that NVIDIA calls a kernel ineffective
FEW_CORES = 2.0  # asked for beside one GPU: hardly enough to load data and to launch kernels
AT_CEILING = 0.90  # of the bandwidth that kernels reach: phases in which nothing but memory counts


@dataclass(frozen=True, kw_only=True)
class Inefficiency:
    """What the devices of a unit did in their busy hours; ratios 0-1, weighted by time."""

    hours: float  # busy device hours
    gpu_util: float
    sm: float
    tensor: float | None
    dram: float
    dram_p95: float | None  # the highest of the devices
    bound: Bound

    @property
    def no_kernel(self) -> float:
        """Share of the time in which no kernel ran: the GPU waited for its host."""
        return max(0.0, 1.0 - self.gpu_util)

    @property
    def unfilled(self) -> float:
        """Share of the SMs' time that running kernels left empty."""
        return max(0.0, self.gpu_util - self.sm)


def inefficiency(
    snapshot: Snapshot, unit: Sequence[Tenure], *, busy_above: float = BUSY_ABOVE, used_below: float = USED_BELOW
) -> Inefficiency | None:
    """Return what the unit's busy hours show; None when they use the GPUs well, or a metric is missing.

    Only SM activity counts, beside GPU_UTIL and DRAM activity: with a coarser metric nobody knows. Shared devices and
    MIG devices have no GPU_UTIL of their own.
    """
    if not unit or any(tenure.shared or tenure.profile or tenure.metric != "sm_active" for tenure in unit):
        return None
    seen = [_busy_hours(trace(snapshot, tenure), busy_above) for tenure in unit]
    hours = sum(one[0] for one in seen)
    if hours <= 0 or any(one[0] <= 0 for one in seen):
        return None  # a rank that is not busy with the others is another story
    mean = [sum(one[0] * one[column] for one in seen) / hours for column in range(1, 5)]
    gpu_util, sm, dram, tensor = mean
    known = None if tensor != tensor else tensor  # noqa: PLR0124 -- NaN
    if dram != dram or max(sm, dram / DRAM_CEILING, (known or 0.0) / TENSOR_CEILING) >= used_below:  # noqa: PLR0124
        return None
    peaks = [tenure.dram_p95 for tenure in unit if tenure.dram_p95 is not None]
    peak = max(peaks, default=None)
    return Inefficiency(
        hours=hours,
        gpu_util=gpu_util,
        sm=sm,
        tensor=known,
        dram=dram,
        dram_p95=peak,
        bound=_bound(snapshot, unit, (gpu_util, sm), peak),
    )


def _busy_hours(hours: Trace, busy_above: float) -> tuple[float, float, float, float, float]:
    """Return busy hours, and the means of GPU_UTIL, SM, DRAM and tensor activity in them; NaN = not seen whole."""
    import numpy as np

    used, sm = hours["gpu_util_mean"], hours["util_mean"]
    busy = ~np.isnan(used + sm) & (np.nan_to_num(used) >= busy_above)
    weight = hours.seen_hours[busy]
    total = float(weight.sum())
    if total <= 0:
        return (0.0, 0.0, 0.0, 0.0, 0.0)
    means = [
        float((values[busy] * weight).sum() / total) for values in (used, sm, hours["dram_mean"], hours["tensor_mean"])
    ]
    return (total, means[0], means[1], means[2], means[3])


def _bound(snapshot: Snapshot, unit: Sequence[Tenure], used: tuple[float, float], dram_p95: float | None) -> Bound:
    """Name the larger loss: time without a kernel, or SMs that kernels leave empty, and what points to its cause."""
    gpu_util, sm = used
    if 1.0 - gpu_util > gpu_util - sm:
        if narrow_links(snapshot, unit):
            return "pcie"
        cores = cores_per_gpu(snapshot, unit[0].owner)
        return "cpu" if cores is not None and cores < FEW_CORES else "input"
    if dram_p95 is not None and dram_p95 / DRAM_CEILING >= AT_CEILING:
        return "bandwidth"
    if len({tenure.node for tenure in unit}) > 1:
        return "communication"
    return "ranks" if len(unit) > 1 else "launch"


def cores_per_gpu(snapshot: Snapshot, owner: str) -> float | None:
    """Return the CPU cores that the workload's pods ask for beside one GPU; None when they hold none, or ask for none.

    A pod without a request may use what it finds.
    """
    pods = [pod for pod in snapshot.pods_by_workload.get(owner, ()) if pod.holds and pod.gpus]
    gpus = sum(pod.gpus or 0.0 for pod in pods)
    cores = sum(pod.requests.get("cpu", 0.0) for pod in pods)
    return cores / gpus if gpus and cores else None


def narrow_links(snapshot: Snapshot, unit: Sequence[Tenure]) -> list[tuple[str, int, int]]:
    """Return the cards that sit in a PCIe slot narrower than they can use: name, lanes, lanes at best."""
    found = []
    for tenure in sorted(unit, key=lambda one: (one.node, one.card)):
        card = card_of(snapshot, tenure.cluster, tenure.node, tenure.card)
        if card and card.pcie_width and card.pcie_max_width and card.pcie_width < card.pcie_max_width:
            found.append((tenure.card, card.pcie_width, card.pcie_max_width))
    return found
