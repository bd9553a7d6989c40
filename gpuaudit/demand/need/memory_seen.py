"""How much memory each replica was seen to use: maxima, for how long, and whether it moved at all."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.memory import once
from gpuaudit.demand.usage.hours import device_row, hour_number
from gpuaudit.demand.usage.tenures import Tenure, tenures
from gpuaudit.knowledge import gpus, mig

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class ReplicaMemory:
    """Memory of one pod over its devices, in MiB; None = not measured on all of them.

    `spread` is the largest ratio of standard deviation to mean of a device's hourly maxima; `share` the largest part
    of a device in use.
    """

    pod: str
    tenures: tuple[Tenure, ...]
    devices: int  # that it held at one time
    max_mib: float | None
    spread: float | None
    share: float | None


@once
def replicas(snapshot: Snapshot) -> Mapping[str, tuple[ReplicaMemory, ...]]:
    """Return what was seen of each pod of each workload, by workload id."""
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    width = {owner: _width(pods) for owner, pods in snapshot.pods_by_workload.items()}
    held = tenures(snapshot)
    for row, tenure in enumerate(held):
        if tenure.held:
            groups[tenure.owner, tenure.namespace, tenure.pod].append(row)
    spread = _spreads(snapshot) if held else ()
    found: dict[str, list[ReplicaMemory]] = defaultdict(list)
    for (owner, _, pod), rows in sorted(groups.items()):
        found[owner].append(_replica(pod, [(held[row], float(spread[row])) for row in rows], width.get(owner, 0)))
    return {owner: tuple(group) for owner, group in found.items()}


@once
def hours_seen(snapshot: Snapshot) -> Mapping[str, int]:
    """Return in how many hours the memory of a workload was watched, by workload id; a single moment is none."""
    import numpy as np

    devices, hourly, row = snapshot.usage.devices, snapshot.usage.hourly, device_row(snapshot)
    if len(devices) == 0 or len(hourly) == 0:
        return {}
    spaced = ~np.isnan(devices["interval_seconds"].to_numpy("float64"))
    seen = (row >= 0) & ~np.isnan(hourly["memory_max_mib"].to_numpy("float64")) & spaced[np.maximum(row, 0)]
    owner, names = devices["owner"].factorize()
    hour = hour_number(hourly["hour"])[seen]
    width = int(hour.max(initial=0)) + 1
    owners, counts = np.unique(np.unique(owner[row[seen]] * width + hour) // width, return_counts=True)
    return {str(names[code]): int(count) for code, count in zip(owners.tolist(), counts.tolist(), strict=True)}


def device_mib(tenure: Tenure) -> float | None:
    """Return the memory of the device: of the MIG device where it is one, else of the card."""
    if not tenure.profile:
        return tenure.memory_mib
    model = gpus.by_key(tenure.model) if tenure.model else None
    geometry = mig.for_model(model) if model else None
    row = mig.profile(geometry, tenure.profile) if geometry else None
    return row.memory_mib if row else None


def _width(pods: Sequence[Pod]) -> int:
    return max((round(sum(holding.count for holding in pod.holdings)) for pod in pods), default=0)


def _replica(pod: str, seen: Sequence[tuple[Tenure, float]], width: int) -> ReplicaMemory:
    """Return one pod's memory. A pod that moved was seen on more devices than it holds: the fullest ones count."""
    maxima = [tenure.memory_max_mib for tenure, _ in seen]
    present = [tenure for tenure, _ in seen if tenure.current] or [tenure for tenure, _ in seen]
    blind = any(tenure.memory_max_mib is None for tenure in present)
    shares = [
        maximum / whole
        for (tenure, _), maximum in zip(seen, maxima, strict=True)
        if maximum is not None and (whole := device_mib(tenure))
    ]
    fullest = sorted((one for one in maxima if one is not None), reverse=True)[: width or None]
    spreads = [spread for _, spread in seen if spread == spread]  # noqa: PLR0124 -- NaN
    return ReplicaMemory(
        pod=pod,
        tenures=tuple(tenure for tenure, _ in seen),
        devices=min(width or len(seen), len(seen)),
        max_mib=None if blind else sum(fullest),
        spread=max(spreads, default=None),
        share=max(shares, default=None),
    )


def _spreads(snapshot: Snapshot) -> "npt.NDArray[np.float64]":
    """Return standard deviation over mean of the hourly maxima, per row of the device table; NaN where not known."""
    import numpy as np

    row, memory = device_row(snapshot), snapshot.usage.hourly["memory_max_mib"].to_numpy("float64")
    count = len(snapshot.usage.devices)
    seen = (row >= 0) & ~np.isnan(memory)
    row, memory = row[seen], memory[seen]
    number = np.bincount(row, minlength=count)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(row, weights=memory, minlength=count) / number
        variance = np.bincount(row, weights=(memory - mean[row]) ** 2, minlength=count) / number
        spread: npt.NDArray[np.float64] = np.sqrt(variance) / mean
    return spread
