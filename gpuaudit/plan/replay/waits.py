"""How long requests waited for their instance to load.

The request that starts an instance waits for the whole load; one that comes while it still loads waits for the rest;
any other waits for nothing.
"""

import numpy as np
import numpy.typing as npt

from gpuaudit.plan.replay.arrivals import Nanoseconds
from gpuaudit.plan.replay.timeline import Timeline

SHARE = (95, 100)  # the quantile asked for, as a fraction


class Waits:
    """Collects the longest waits of one policy: enough of them for the quantile, whatever the number of requests."""

    def __init__(self, requests: int) -> None:
        rank = -(-requests * SHARE[0] // SHARE[1])  # nearest rank, from the shortest
        self._keep = requests - rank + 1
        self._longest: Nanoseconds = np.empty(0, np.int64)

    def add(self, line: Timeline, cold: npt.NDArray[np.bool_], load: int) -> None:
        """Add the waits of a timeline whose blocks marked `cold` begin with a load of that many nanoseconds."""
        if load <= 0:
            return
        lives = line.block_start[cold]
        sizes = np.diff(np.append(lives, len(line.arrival)))
        ready = np.repeat(line.arrival[lives] + load, sizes)
        waits = ready - line.arrival
        self._longest = np.concatenate((self._longest, waits[waits > 0]))
        if len(self._longest) > self._keep:
            self._longest = np.partition(self._longest, -self._keep)[-self._keep :]

    def quantile(self) -> int:
        """Return the least wait that 95 % of the requests do not exceed, in nanoseconds."""
        return int(self._longest.min()) if len(self._longest) == self._keep else 0
