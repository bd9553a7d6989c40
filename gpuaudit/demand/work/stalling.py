"""Gangs that hang: every rank spins in a collective that never ends, and looks 100 % busy while it computes nothing."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.usage.tenures import Tenure
from gpuaudit.demand.usage.traces import Trace, trace

SPINS_ABOVE = 0.95  # of GPU_UTIL: a kernel runs all the time
TENSOR_BELOW = 0.01
DRAM_BELOW = 0.05
POWER_BELOW = 0.40  # of the limit
STILL_BELOW = 0.01  # of GPU_UTIL: a rank that has died while the others wait for it
WORKED_ABOVE = 0.05  # of tensor activity: proof that the job used to compute
LATEST_HOURS = 2  # how old the newest sample may be: what happened since is not known


@dataclass(frozen=True)
class Stall:
    """Since how many hours a gang hangs, as far as was observed."""

    hours: float
    worked_before: bool  # its ranks computed within the window until then
    unseen: tuple[Tenure, ...]  # ranks of which a metric is missing


def stall(
    snapshot: Snapshot,
    unit: Sequence[Tenure],
    *,
    spins_above: float = SPINS_ABOVE,
    tensor_below: float = TENSOR_BELOW,
    dram_below: float = DRAM_BELOW,
    power_below: float = POWER_BELOW,
) -> Stall | None:
    """Return the stall that the gang is in, None when a rank computes, or nothing says that it hangs.

    Every rank must spin or stand still in each hour up to the last; at least half of them must spin. An hour counts
    when its mean says so, so the first part of a stall that began within an hour is left out.
    """
    if len(unit) < 2 or any(tenure.engine or tenure.shared or tenure.profile for tenure in unit):
        return None
    states = {
        tenure: _states(trace(snapshot, tenure), tenure, (spins_above, tensor_below, dram_below, power_below))
        for tenure in unit
    }
    unseen = tuple(tenure for tenure, hours in states.items() if not hours)
    seen = [hours for hours in states.values() if hours]
    if len(seen) < max(2, len(unit) / 2):
        return None
    hours = _together(seen, int(snapshot.window.end.timestamp()) // 3600)
    before = any(_worked(trace(snapshot, tenure)) for tenure in unit)
    return Stall(hours, before, unseen) if hours > 0 else None


def _states(hours: Trace, tenure: Tenure, limits: tuple[float, float, float, float]) -> dict[int, tuple[str, float]]:
    """Return hour → (spins, still or works; hours seen); {} when a metric is missing."""
    import numpy as np

    spins, tensor, dram, power = limits
    used, watts = hours["gpu_util_mean"], hours["power_mean_watts"]
    judged = ~np.isnan(used + watts + hours["tensor_mean"] + hours["dram_mean"])
    if tenure.power_limit_watts is None:
        return {}
    quiet = (hours["tensor_mean"] < tensor) & (hours["dram_mean"] < dram) & (watts < power * tenure.power_limit_watts)
    found = {}
    for i in np.flatnonzero(judged):
        state = "works" if not quiet[i] else "spins" if used[i] > spins else "still" if used[i] < STILL_BELOW else ""
        found[int(hours.hour[i])] = (state, float(hours.seen_hours[i]))
    return found


def _together(ranks: Sequence[dict[int, tuple[str, float]]], now: int) -> float:
    """Return the hours, back from the last, in which all ranks seen spin or stand still, and half of them spin."""
    by_hour: dict[int, list[tuple[str, float]]] = defaultdict(list)
    for rank in ranks:
        for hour, state in rank.items():
            by_hour[hour].append(state)
    total, expected = 0.0, now
    for hour in sorted(by_hour, reverse=True):
        states = [state for state, _ in by_hour[hour]]
        if expected - hour > LATEST_HOURS or not set(states) <= {"spins", "still"}:
            break
        if 2 * states.count("spins") < len(ranks):
            break
        total += max(seen for _, seen in by_hour[hour])
        expected = hour
    return total


def _worked(hours: Trace) -> bool:
    import numpy as np

    tensor = hours["tensor_mean"]
    return bool(len(tensor)) and bool(np.nanmax(np.nan_to_num(tensor)) > WORKED_ABOVE)
