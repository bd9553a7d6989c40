"""GPUs of a gang that stay behind their siblings: less power for the same work, hour after hour."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.memory import once
from gpuaudit.demand.usage.tenures import Tenure
from gpuaudit.demand.usage.traces import trace
from gpuaudit.demand.usage.units import units_by_owner, works_alone

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

LEAST_DEVICES = 4  # so that "the siblings" means something
WORKS_ABOVE = 0.30  # of the gang's metric in an hour that counts
TIGHT = 0.93  # what every other GPU reaches of the median: a gang of unequal parts has no straggler
FEW = 16  # one straggler per so many GPUs at most: more are a stage of their own


@dataclass(frozen=True)
class Straggler:
    """One GPU of the gang; ratios to the median of the gang, in the hours in which the gang worked."""

    tenure: Tenure
    power: float
    util: float
    hours: int


def stragglers(
    snapshot: Snapshot, unit: Sequence[Tenure], *, below: float, share_of_hours: float
) -> tuple[Straggler, ...]:
    """Return the few GPUs that drew less than `below` of the gang's median power in most working hours."""
    import numpy as np

    if len(unit) < LEAST_DEVICES or not _alike(unit):
        return ()
    power, util = _table(snapshot, unit, "power_mean_watts"), _table(snapshot, unit, "util_mean")
    whole = ~np.isnan(power + util).any(axis=0)  # an hour in which every GPU was seen
    power, util = power[:, whole], util[:, whole]
    works = np.median(util, axis=0) > WORKS_ABOVE
    power, util = power[:, works], util[:, works]
    if power.shape[1] == 0:
        return ()
    drawn, busy = power / np.median(power, axis=0), util / np.median(util, axis=0)
    behind = (drawn < below).mean(axis=1) >= share_of_hours
    if not 0 < behind.sum() <= max(1, len(unit) // FEW) or np.median(drawn[~behind], axis=1).min() < TIGHT:
        return ()
    return tuple(
        Straggler(unit[int(i)], float(np.median(drawn[i])), float(np.median(busy[i])), power.shape[1])
        for i in np.flatnonzero(behind)
    )


def _alike(unit: Sequence[Tenure]) -> bool:
    """Whether the GPUs are whole, of one known model, and only the gang's."""
    plain = not any(tenure.shared or tenure.profile or tenure.engine for tenure in unit)
    return plain and len({tenure.model for tenure in unit}) == 1 and unit[0].model is not None


def _table(snapshot: Snapshot, unit: Sequence[Tenure], column: str) -> "Floats":
    """GPUs by hours of the window; NaN where a GPU has no sample."""
    import numpy as np

    traces = [trace(snapshot, tenure) for tenure in unit]
    seen = [hours.hour for hours in traces if len(hours)]
    if not seen:
        return np.full((len(unit), 0), np.nan)
    first = min(int(hours[0]) for hours in seen)
    table = np.full((len(unit), max(int(hours[-1]) for hours in seen) - first + 1), np.nan)
    for i, hours in enumerate(traces):
        table[i, hours.hour - first] = hours[column]
    return table


@once
def gangs(snapshot: Snapshot) -> tuple[tuple[str, tuple[Tenure, ...]], ...]:
    """Return the workloads whose pods may be ranks of one job, with all their devices."""
    found = units_by_owner(snapshot).items()
    return tuple((owner, unit) for owner, units in found for unit in units if not works_alone(snapshot, owner))
