"""Serving and idle time of every instance: blocks of service, and the gaps between them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpuaudit.plan.replay.arrivals import Arrivals, Codes, Nanoseconds
from gpuaudit.plan.replay.slots import instances

_HALF = 32  # sums are taken in two halves of 32 bits: no total overflows


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Requests of whole models, sorted by instance and arrival, and what their instances do.

    A block is a stretch of service of one instance; the gap before it is the instance's idle time since the block
    before, or -1 where the block is its first.
    """

    arrival: Nanoseconds
    block_start: npt.NDArray[np.int64]  # row of the request that begins each block
    block_model: Codes
    busy: Nanoseconds  # by block
    gap: Nanoseconds  # by block

    @property
    def first(self) -> npt.NDArray[np.bool_]:
        """Return which blocks are the first of their instance."""
        return np.asarray(self.gap < 0)


def timeline(requests: Arrivals, rows: slice, slots: int | None) -> Timeline:
    """Return the timeline of these rows, whole models sorted by model and arrival.

    Without slots one instance serves all requests of a model.
    """
    arrival, end, model = requests.arrival[rows], requests.end[rows], requests.model[rows]
    owner = model
    if slots is not None:
        owner = instances(arrival, end, model, slots)
        order = np.argsort(owner, kind="stable")
        arrival, end, model, owner = arrival[order], end[order], model[order], owner[order]
    begins = np.diff(owner, prepend=owner[:1] - 1) != 0
    until = _running_end(np.cumsum(begins) - 1, end)
    before = np.concatenate((arrival[:1], until[:-1]))
    starts = np.flatnonzero(begins | (arrival > before))
    last = np.append(starts[1:], len(arrival)) - 1
    gap = np.where(begins[starts], -1, arrival[starts] - before[starts])
    return Timeline(
        arrival=arrival,
        block_start=starts,
        block_model=model[starts],
        busy=until[last] - arrival[starts],
        gap=gap,
    )


def exact_sum(values: Nanoseconds) -> int:
    """Return the sum of non-negative values, however large."""
    return (int((values >> _HALF).sum()) << _HALF) + int((values & ((1 << _HALF) - 1)).sum())


def _running_end(owner: npt.NDArray[np.int64], end: Nanoseconds) -> Nanoseconds:
    """Return the latest end so far of each instance; `owner` counts up from 0."""
    lowest = int(end.min())
    span = int(end.max()) - lowest + 1
    if (int(owner[-1]) + 1) * span < 2**62:
        shift = owner * span - lowest
        return np.maximum.accumulate(end + shift) - shift
    order = np.argsort(end, kind="stable")
    rank = np.empty(len(end), np.int64)
    rank[order] = np.arange(len(end))
    shift = owner * len(end)
    latest = np.maximum.accumulate(rank + shift) - shift
    return end[order][latest]
