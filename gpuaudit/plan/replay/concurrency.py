"""How many requests are in service at once. A request that ends makes room for one that arrives at that moment."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from gpuaudit.plan.replay.arrivals import BATCH, Nanoseconds


def at_arrivals(arrival: Nanoseconds, end: Nanoseconds) -> npt.NDArray[np.int64]:
    """Return the requests in service when each one arrives, itself counted; `arrival` must be sorted.

    A request without duration is in service alone at its moment, before the others that arrive then.
    """
    lasting = end > arrival
    begun, ended = arrival[lasting], np.sort(end[lasting])
    gone = np.searchsorted(ended, arrival, side="right")
    with_them = np.searchsorted(begun, arrival, side="right")
    before_them = np.searchsorted(begun, arrival, side="left") + 1
    return np.where(lasting, with_them, before_them) - gone


def peak(arrival: Nanoseconds, end: Nanoseconds) -> int:
    """Return the most requests that were in service at once, in any order of the rows."""
    lasting = end > arrival
    begun, ended = arrival[lasting], end[lasting]
    begun.sort()
    ended.sort()
    instant = arrival[~lasting]
    with_them = [_most(begun, ended, part, side="right") for part in _parts(begun)]
    beside = [1 + _most(begun, ended, part, side="left") for part in _parts(instant)]
    return max([0, *with_them, *beside])


def _parts(moments: Nanoseconds) -> Iterator[Nanoseconds]:
    """Yield the moments in pieces: the answers for all of them at once would not fit beside a large trace."""
    for begin in range(0, len(moments), BATCH):
        yield moments[begin : begin + BATCH]


def _most(begun: Nanoseconds, ended: Nanoseconds, moments: Nanoseconds, *, side: Literal["left", "right"]) -> int:
    return int((np.searchsorted(begun, moments, side=side) - np.searchsorted(ended, moments, side="right")).max())
