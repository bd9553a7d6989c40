"""How many requests are in service at once. A request that ends makes room for one that arrives at that moment."""

import numpy as np
import numpy.typing as npt

from gpuaudit.plan.replay.arrivals import Nanoseconds


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
    begun, ended = np.sort(arrival[lasting]), np.sort(end[lasting])
    with_them = np.searchsorted(begun, begun, side="right") - np.searchsorted(ended, begun, side="right")
    highest = int(with_them.max(initial=0))
    if lasting.all():
        return highest
    instant = arrival[~lasting]
    beside = np.searchsorted(begun, instant, side="left") - np.searchsorted(ended, instant, side="right")
    return max(highest, 1 + int(beside.max()))
