"""Hours of the week in which work always rests: found in the first half of the window, tested on the second.

A pattern must foretell: of the hours in which the work ran in the second half, hardly any may fall into those that
the first half called idle. Sparse work without a rhythm fails that, however much it rests.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.usage.hours import IDLE_BELOW
from gpuaudit.demand.usage.judgement import COVERAGE, FLOOR_CEILING
from gpuaudit.demand.usage.tenures import Tenure
from gpuaudit.demand.usage.traces import trace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bools = npt.NDArray[np.bool_]
    Ints = npt.NDArray[np.int64]

DAY, WEEK = 24, 168
LEAST_DAYS = 4  # two to learn from, two to test on
LEAST_RUN = 4  # hours on end: shorter rests cannot be scheduled
BROKEN = 0.05  # of the hours in which it ran, and of those foretold as idle
CHANCE = 1e-4  # that work at random hours would have kept to the rest as well
LEAST_SPELLS = 3  # of work in the part that is tested: one spell may fall anywhere
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, kw_only=True)
class OffHours:
    """A rhythm of rest. `slots` are hours of the local week, Monday 00:00 = 0."""

    slots: tuple[int, ...]
    period: Literal["week", "day"]
    periods: int  # whole ones that were seen, half of them for the test
    tested: int  # hours foretold as idle and seen
    broken: int  # of them, hours in which it ran after all
    ran: int  # hours in which it ran, in the part that was tested
    observed: float  # share of the held hours that were seen

    @property
    def hours_a_week(self) -> float:
        """Idle hours of a week."""
        return float(len(self.slots))

    @property
    def words(self) -> str:
        """The idle hours by day: `Mon-Fri 00-07, 19-24; Sat-Sun 00-24`."""
        by_day = [_ranges({slot % DAY for slot in self.slots if slot // DAY == day}) for day in range(7)]
        groups = [(text, [day for _, day in days]) for text, days in groupby(zip(by_day, DAYS, strict=True), _first)]
        return "; ".join(
            f"{days[0] if len(days) == 1 else f'{days[0]}-{days[-1]}'} {text}" for text, days in groups if text
        )


def off_hours(
    snapshot: Snapshot, unit: Sequence[Tenure], *, timezone: str, below: float = IDLE_BELOW
) -> OffHours | None:
    """Return the rhythm in which all devices of the unit rest; None when none holds, or too little was seen."""
    import numpy as np

    start = int(snapshot.window.start.timestamp()) // 3600
    count = int(snapshot.window.end.timestamp()) // 3600 - start + 1
    seen, ran, held = _hours(snapshot, unit, start, count, below)
    places = np.flatnonzero(seen)
    if len(places) == 0 or seen.sum() < COVERAGE * held.sum():
        return None
    span = int(places[-1] - places[0]) + 1
    period, length = ("week", WEEK) if span >= 2 * WEEK else ("day", DAY)
    periods = span // length
    if period == "day" and periods < LEAST_DAYS:
        return None
    slots = _slots(start, count, timezone) % length
    cut = int(places[-1]) + 1 - periods // 2 * length
    learned = np.arange(count) < cut
    idle = _runs(_always_idle(slots, seen & learned, ran, length))  # a bare hour of a working day is chance
    foretold = seen & ~learned & idle[slots]
    tested, broken, ran_since = int(foretold.sum()), int((foretold & ran).sum()), int((ran & ~learned).sum())
    share = tested / int((seen & ~learned).sum()) if tested else 0.0
    if not (ran & learned).any() or broken > BROKEN * min(ran_since, tested) or _spells(ran & ~learned) < LEAST_SPELLS:
        return None
    if _chance(broken, ran_since, share) > CHANCE:
        return None
    kept = _runs(idle & _always_idle(slots, seen, ran, length))
    return OffHours(
        slots=tuple(int(slot) for day in range(WEEK // length) for slot in np.flatnonzero(kept) + day * length),
        period="week" if period == "week" else "day",
        periods=periods,
        tested=tested,
        broken=broken,
        ran=ran_since,
        observed=float(seen.sum() / held.sum()),
    )


def _hours(
    snapshot: Snapshot, unit: Sequence[Tenure], start: int, count: int, below: float
) -> "tuple[Bools, Bools, Bools]":
    """Return, by hour of the window: every device that was held was seen; one of them ran; one was held."""
    import numpy as np

    held, known, ran = np.zeros(count, int), np.zeros(count, int), np.zeros(count, bool)
    for tenure in unit:
        hours = trace(snapshot, tenure)
        places = hours.hour - start
        inside = (places >= 0) & (places < count)
        if not inside.any():
            continue
        most = np.where(np.isnan(hours["util_max"]), hours["util_mean"], hours["util_max"])
        worked = most >= below
        if tenure.power_limit_watts and not tenure.profile:
            worked |= hours["power_mean_watts"] > FLOOR_CEILING * tenure.power_limit_watts
        held[places[inside][0] : places[inside][-1] + 1] += 1
        known[places[inside & ~np.isnan(most)]] += 1
        ran[places[inside & worked]] = True
    return (held > 0) & (known == held), ran, held > 0


def _always_idle(slots: "Ints", seen: "Bools", ran: "Bools", length: int) -> "Bools":
    """Return which slots were seen and never ran."""
    import numpy as np

    idle: Bools = np.bincount(slots[seen & ran], minlength=length) == 0
    return idle & (np.bincount(slots[seen], minlength=length) > 0)


def _spells(ran: "Bools") -> int:
    """Return how many runs of hours on end there are."""
    return int((ran[1:] & ~ran[:-1]).sum()) + int(ran[:1].sum())


def _chance(broken: int, ran: int, share: float) -> float:
    """Return how likely at most `broken` of `ran` hours fall into the idle share, were they scattered at random."""
    if not 0 < share < 1:
        return 1.0
    logs = (
        math.lgamma(ran + 1) - math.lgamma(k + 1) - math.lgamma(ran - k + 1)
        + k * math.log(share) + (ran - k) * math.log1p(-share)
        for k in range(broken + 1)
    )  # fmt: skip
    return min(1.0, sum(math.exp(value) for value in logs))


def _runs(idle: "Bools") -> "Bools":
    """Keep the slots that belong to a run of LEAST_RUN on end; the period is a circle."""
    import numpy as np

    if idle.all() or not idle.any():
        return idle
    turn = int(np.flatnonzero(~idle)[0])
    line = np.roll(idle, -turn)
    kept = np.zeros_like(line)
    for rests, places in groupby(range(len(line)), key=lambda place: bool(line[place])):
        run = list(places)
        if rests and len(run) >= LEAST_RUN:
            kept[run] = True
    turned: Bools = np.roll(kept, turn)
    return turned


@lru_cache(maxsize=8)
def _slots(start: int, count: int, timezone: str) -> "Ints":
    """Return the hour of the local week of each hour since `start` (whole hours since 1970, UTC)."""
    import numpy as np

    zone = ZoneInfo(timezone)
    moments = (datetime.fromtimestamp(hour * 3600, UTC).astimezone(zone) for hour in range(start, start + count))
    return np.array([moment.weekday() * DAY + moment.hour for moment in moments], dtype="int64")


def _ranges(hours: set[int]) -> str:
    runs: list[list[int]] = []
    for hour in sorted(hours):
        if runs and runs[-1][1] == hour:
            runs[-1][1] = hour + 1
        else:
            runs.append([hour, hour + 1])
    return ", ".join(f"{first:02d}-{last:02d}" for first, last in runs)


def _first(pair: tuple[str, str]) -> str:
    return pair[0]
