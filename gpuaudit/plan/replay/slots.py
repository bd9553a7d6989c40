"""Which instance serves which request when an instance has a limited number of slots.

The assignment is the same for every keep-alive: whoever is taken, is the one whose last end is the latest, and when
that one is already gone, so are all the others. So it is worked out once, as if instances lived forever, and a policy
merely says where an instance's life was broken off.
"""

import heapq

import numpy as np
import numpy.typing as npt

from gpuaudit.plan.replay.arrivals import Codes, Nanoseconds
from gpuaudit.plan.replay.concurrency import at_arrivals

Rows = npt.NDArray[np.int32]  # positions within the requests that are worked on at once


def instances(arrival: Nanoseconds, end: Nanoseconds, model: Codes, slots: int) -> Rows:
    """Return for each request the row of the request that started its instance; rows sorted by model and arrival.

    A request goes to an instance with a free slot, to the one whose last end is the latest: a serving one before the
    most recently idle one; between equals to the one that took a request last. Without any it starts a new one.
    """
    first = np.flatnonzero(np.diff(model, prepend=-1)).astype(np.int32)
    found = np.repeat(first, np.diff(np.append(first, len(model))))
    for begin, stop in zip(first.tolist(), np.append(first[1:], len(model)).tolist(), strict=True):
        part = slice(begin, stop)
        if int(at_arrivals(arrival[part], end[part]).max()) > slots:
            assign = _one_by_one if slots == 1 else _side_by_side
            found[part] = begin + assign(arrival[part], end[part], slots)
    return found


def _one_by_one(arrival: Nanoseconds, end: Nanoseconds, _: int) -> Rows:
    """Match each arrival with the latest end before it that is still unmatched, like brackets."""
    event, is_end = _events(arrival, end)
    walk = np.cumsum(np.where(is_end, 1, -1), dtype=np.int32)
    idle = walk - np.minimum(np.minimum.accumulate(walk), 0)  # instances idle after each event
    del walk
    starts = ~is_end
    starts[1:] &= idle[:-1] == 0
    order = np.flatnonzero(~starts).astype(np.int32)
    level = idle[order] + ~is_end[order]
    del idle, starts
    order = order[np.argsort(level, kind="stable")]
    matched = np.flatnonzero(~is_end[order])  # at each level ends and arrivals take turns, an end first
    before = np.arange(len(arrival), dtype=np.int32)
    before[event[order[matched]]] = event[order[matched - 1]]
    return _roots(before)


def _events(arrival: Nanoseconds, end: Nanoseconds) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Return the rows in order of arrivals and ends, and which of the two each event is.

    At one moment: first the ends of what began before, then requests without duration, each with its end, then the
    other arrivals.
    """
    rows = np.arange(len(arrival), dtype=np.int32)
    lasting = end > arrival
    long, instant = rows[lasting], rows[~lasting]
    ends = long[np.argsort(end[lasting], kind="stable")]
    event = np.concatenate((ends, np.repeat(instant, 2), long))
    is_end = np.concatenate((np.ones(len(ends), bool), np.tile([False, True], len(instant)), np.zeros(len(long), bool)))
    time = np.where(is_end, end[event], arrival[event])
    order = np.argsort(time, kind="stable")
    return event[order], is_end[order]


def _roots(before: Rows) -> Rows:
    """Follow each chain of rows to its beginning, in steps that double."""
    while True:
        further = before[before]
        if np.array_equal(further, before):
            return before
        before = further


def _side_by_side(arrival: Nanoseconds, end: Nanoseconds, slots: int) -> Rows:
    """Play the requests one after another: how full an instance is depends on all that came before."""
    arrivals, ends = arrival.tolist(), end.tolist()
    taken: list[int] = []  # requests in service by instance
    last_end: list[int] = []
    last_row: list[int] = []
    started: list[int] = []
    free: list[tuple[int, int, int]] = []  # instances with a free slot: latest end first, then latest request
    serving: list[tuple[int, int]] = []
    found = np.empty(len(arrivals), np.int32)
    for row, moment in enumerate(arrivals):
        while serving and serving[0][0] <= moment:
            one = heapq.heappop(serving)[1]
            if taken[one] == slots:
                heapq.heappush(free, (-last_end[one], -last_row[one], one))
            taken[one] -= 1
        if free:
            one = heapq.heappop(free)[2]
        else:
            one = len(taken)
            taken.append(0)
            last_end.append(ends[row])
            last_row.append(row)
            started.append(row)
        taken[one] += 1
        last_end[one] = max(last_end[one], ends[row])
        last_row[one] = row
        if taken[one] < slots:
            heapq.heappush(free, (-last_end[one], -row, one))
        heapq.heappush(serving, (ends[row], one))
        found[row] = started[one]
    return found
