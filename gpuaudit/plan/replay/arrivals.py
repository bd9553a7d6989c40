"""Recorded requests as arrays, in whole nanoseconds so that "at that very moment" means just that."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Nanoseconds = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

SECOND = 10**9
UNITS = {"s": SECOND, "ms": 10**6, "us": 10**3, "ns": 1}
EARLIEST, LATEST = -(2**61), 2**62  # 1896 to 2116: differences of any two fit in 64 bits
LONGEST = 2**60  # 36 years
BATCH = 1_000_000  # requests that are worked on at once; a model is never split


@dataclass(frozen=True)
class Arrivals:
    """Requests: arrival and end in ns since 1970 UTC, and the model as an index into `names`."""

    arrival: Nanoseconds
    end: Nanoseconds
    model: Codes
    names: tuple[str, ...]

    def by_model(self) -> "Arrivals":
        """Return the requests sorted by model, then arrival, then end: themselves when they are."""
        if self._sorted():
            return self
        rows = np.uint32 if len(self.arrival) < np.iinfo(np.uint32).max else np.int64
        order = np.argsort(self.arrival, kind="stable").astype(rows)
        narrow = self.model.astype(np.uint16) if len(self.names) <= np.iinfo(np.uint16).max else self.model
        order = order[np.argsort(narrow[order], kind="stable").astype(rows)]  # 16 bits sort in linear time
        arrival, end, model = self.arrival[order], self.end[order], self.model[order]
        tied = (np.diff(arrival) == 0) & (np.diff(model) == 0) & (np.diff(end) < 0)
        if tied.any():
            _sort_ties(arrival, end, model)
        return Arrivals(arrival, end, model, self.names)

    def _sorted(self) -> bool:
        later = np.diff(self.arrival)
        same = np.diff(self.model) == 0
        orderly = (later > 0) | ((later == 0) & (np.diff(self.end) >= 0))
        return bool((np.diff(self.model) >= 0).all() and orderly[same].all())

    def batches(self) -> Iterator[slice]:
        """Yield slices of whole models, for requests that are sorted by model."""
        starts = np.flatnonzero(np.diff(self.model, prepend=-1))
        stops = np.append(starts[1:], len(self.model))
        begin = 0
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            if stop - begin > BATCH and start > begin:
                yield slice(begin, start)
                begin = start
        if begin < len(self.model):
            yield slice(begin, len(self.model))


def _sort_ties(arrival: Nanoseconds, end: Nanoseconds, model: Codes) -> None:
    """Sort the ends of requests that arrive at one moment, in place."""
    same = (np.diff(arrival, prepend=arrival[:1] - 1) == 0) & (np.diff(model, prepend=-1) == 0)
    tied = same | np.append(same[1:], False)
    run = np.cumsum(~same)[tied]
    ends = end[tied]
    end[tied] = ends[np.lexsort((ends, run))]
