"""What any fixed keep-alive would have cost a model, exactly.

The cost is a line that rises while instances idle and drops where one more load is saved.
"""

from dataclasses import dataclass

import numpy as np

from gpuaudit.plan.replay.arrivals import Nanoseconds


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """For one model, in nanoseconds; None = no keep-alive at all."""

    cheapest: int  # keep-alive with the least GPU time
    cheapest_gpu: int
    up_to: int | None  # longest keep-alive that costs no more than being always on


def break_even(gaps: Nanoseconds, *, instances: int, busy: int, load: int, always_on: int) -> BreakEven:
    """Return where keep-alives stop paying, from the idle gaps between blocks of service.

    GPU time at keep-alive K = busy + Σ min(gap, K) + K for each instance's end + one load for each cold start.
    """
    stops = np.concatenate(([0], np.unique(gaps)))  # cost has its minima at 0 and where a gap is just bridged
    ordered = np.sort(gaps)
    bridged = np.searchsorted(ordered, stops, side="right")
    held = np.concatenate(([0.0], np.cumsum(ordered, dtype=float)))[bridged]
    open_ends = len(ordered) - bridged + instances
    cost = busy + held + open_ends * (stops.astype(float) + load)
    least = int(np.argmin(cost))
    fine = np.flatnonzero(cost <= always_on)
    up_to = None
    if len(fine):
        last = int(fine[-1])
        limit = int(stops[last] + (always_on - cost[last]) / open_ends[last])
        up_to = limit if last + 1 == len(stops) else min(limit, int(stops[last + 1]))
    return BreakEven(cheapest=int(stops[least]), cheapest_gpu=round(cost[least]), up_to=up_to)
