"""What work needs of a GPU's SMs, tensor cores and memory bandwidth, measured: ratios of the devices that it holds.

A statement about throughput, not about latency: a burst within an hour shows in the peaks alone. Percentiles count
held time, and so would hide an hour of work a day; therefore the busiest hour counts as well.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.memory import once
from gpuaudit.demand.usage.tenures import DRAM_CEILING, Tenure, tenures
from gpuaudit.demand.usage.traces import trace

TENSOR_CEILING = 0.93  # share of the cycles in which a kernel of matrix products alone keeps the tensor cores active
UPPER_BOUNDS = ("gr_engine_active", "gpu_util")  # any kernel ran: never less than what the SMs did


@dataclass(frozen=True, kw_only=True)
class ComputeNeed:
    """Ratios 0-1 of one device that the workload holds, the highest of its devices; None = not known.

    `sm`, `tensor` and `dram` are the larger of the window's 95th percentile and the busiest hour's mean; the peaks are
    the highest samples. `sm` is an upper bound where `metric` is one of UPPER_BOUNDS, and each of them is one where the
    device is `shared`: what the other holders did is in it.
    """

    sm: float | None = None
    tensor: float | None = None
    dram: float | None = None
    sm_peak: float | None = None
    dram_peak: float | None = None
    hours: float = 0.0  # of the window, in which a device of the workload was seen
    observed: float = 0.0  # share of the held hours with a sample, the least of the devices
    metric: str = ""
    model: str | None = None  # GPU model that the ratios are of; None = not known, or several
    profile: str = ""  # MIG profile that they are of
    shared: bool = False
    because: str = ""

    @property
    def compute(self) -> float | None:
        """What the SMs must give: SM activity, or tensor activity over its ceiling, whichever is more."""
        if self.sm is None:
            return None
        return max(self.sm, min(1.0, (self.tensor or 0.0) / TENSOR_CEILING))

    @property
    def bandwidth(self) -> float | None:
        """What the memory must give: DRAM activity over its ceiling."""
        return None if self.dram is None else min(1.0, self.dram / DRAM_CEILING)


@once
def compute_needs(snapshot: Snapshot) -> Mapping[str, ComputeNeed]:
    """Return the need of each workload that holds devices now, by its id; {} when nothing was measured.

    Tenures of the window that ended count, where they were of the same kind of device.
    """
    by_owner: dict[str, list[Tenure]] = defaultdict(list)
    for tenure in tenures(snapshot):
        if tenure.held:
            by_owner[tenure.owner].append(tenure)
    found = {owner: _need(snapshot, held) for owner, held in by_owner.items() if any(one.current for one in held)}
    return dict(sorted(found.items()))


def _need(snapshot: Snapshot, held: Sequence[Tenure]) -> ComputeNeed:
    kinds = {_kind(tenure) for tenure in held if tenure.current}
    alike = [tenure for tenure in held if _kind(tenure) in kinds]
    hours = _hours(snapshot, alike)
    if len(kinds) > 1:
        named = ", ".join(sorted(" ".join(filter(None, [model or "unknown GPU", part])) for model, part in kinds))
        return ComputeNeed(hours=hours, because=f"it holds several kinds of device at once: {named}")
    model, profile = next(iter(kinds))
    return ComputeNeed(
        sm=_most([*(t.util_p95 for t in alike), *_busiest(snapshot, alike, "util_mean")], len(alike)),
        tensor=_most(_busiest(snapshot, alike, "tensor_mean"), len(alike)),
        dram=_most([*(t.dram_p95 for t in alike), *_busiest(snapshot, alike, "dram_mean")], len(alike)),
        sm_peak=_highest(tenure.util_max for tenure in alike),
        dram_peak=_highest(tenure.dram_max for tenure in alike),
        hours=hours,
        observed=min(tenure.observed_ratio for tenure in alike if tenure.current),
        metric=_weakest_metric(alike),
        model=model,
        profile=profile,
        shared=any(tenure.shared for tenure in alike),
        because=_because(alike),
    )


def _kind(tenure: Tenure) -> tuple[str | None, str]:
    return (tenure.model, tenure.profile)


def _busiest(snapshot: Snapshot, held: Sequence[Tenure], column: str) -> list[float | None]:
    """Return the highest hourly mean of each device."""
    import numpy as np

    columns = (trace(snapshot, tenure)[column] for tenure in held)
    return [float(np.nanmax(values)) if np.isfinite(values).any() else None for values in columns]


def _most(values: Iterable[float | None], devices: int) -> float | None:
    """Return the highest; None when a device has no value at all. `values` are one or two runs over the devices."""
    known = list(values)
    runs = [known[start : start + devices] for start in range(0, len(known), devices)]
    if any(all(one is None for one in of_device) for of_device in zip(*runs, strict=True)):
        return None
    return _highest(known)


def _highest(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return min(1.0, max(known)) if known else None


def _weakest_metric(held: Sequence[Tenure]) -> str:
    """Return the metric that says least about the SMs, of those that the devices have."""
    order = ("gpu_util", "gr_engine_active", "sm_active")
    return next((name for name in order if any(tenure.metric == name for tenure in held)), "")


def _because(held: Sequence[Tenure]) -> str:
    metric = _weakest_metric(held)
    if not metric:
        return "no utilization metric of its devices"
    said = f"busiest hour and 95th percentile of {len(held)} {'tenure' if len(held) == 1 else 'tenures'} by {metric}"
    if metric in UPPER_BOUNDS:
        said += ", an upper bound of SM activity"
    if any(tenure.shared for tenure in held):
        said += "; others share the device, their work is in it"
    return said


def _hours(snapshot: Snapshot, held: Sequence[Tenure]) -> float:
    """Return the wall hours in which at least one device was seen."""
    seen: dict[int, float] = {}
    for tenure in held:
        hours = trace(snapshot, tenure)
        for hour, part in zip(hours.hour.tolist(), hours.seen_hours.tolist(), strict=True):
            seen[hour] = max(seen.get(hour, 0.0), part)
    return sum(seen.values())
