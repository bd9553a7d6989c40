"""Raw series of one device → one timeline of a field: copies of scrapers counted once, sharers side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gpuaudit.collect.metrics.identity import NOBODY_HOLDS, UNKNOWN_HOLDER, Holder
from gpuaudit.knowledge import series

Numbers = np.ndarray[Any, Any]
HOUR_MS = 3_600_000
FEW_SAMPLES = 10  # too few to tell a spacing by themselves


@dataclass(frozen=True)
class Track:
    """Samples of one raw series: times in ms, values in the unit of the field, none of them a gap."""

    scraper: tuple[str, ...]
    holder: Holder
    times: Numbers
    values: Numbers
    profile: str = ""
    source: str = ""


@dataclass(frozen=True)
class Timeline:
    """Points of a device in order of time. A shared device has several points at one time, one per pod."""

    times: Numbers
    values: Numbers
    holders: Numbers  # index into `pods`
    pods: tuple[Holder, ...]

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def starts(self) -> Numbers:
        """Return the positions at which a new time begins."""
        return np.flatnonzero(np.diff(self.times, prepend=self.times[:1] - 1))

    @property
    def moments(self) -> Numbers:
        """Return the distinct times."""
        return self.times[self.starts]

    @cached_property
    def at_once(self) -> Numbers:
        """Return for each point how many there are at its time."""
        counts = np.diff(self.starts, append=len(self.times))
        return np.repeat(counts, counts)

    def take(self, chosen: Numbers) -> "Timeline":
        """Return the points of a mask or of positions."""
        return Timeline(self.times[chosen], self.values[chosen], self.holders[chosen], self.pods)


def timeline(tracks: Sequence[Track], *, usual_ms: float = float("nan")) -> Timeline:
    """Merge the tracks of one field of one device; `usual_ms` is the spacing where a track has too few samples."""
    pods = tuple(sorted({track.holder for track in tracks}))
    parts = [_joined(group, pods) for group in _by_scraper(tracks)]
    taken = np.unique(parts[0].times)
    limit = series.facts().copy_distance * _usable(spacing(taken), len(taken), usual_ms)
    limit = limit if limit > 0 else 1.0
    for place, copy in enumerate(parts[1:], start=1):
        parts[place] = copy.take(_distance(copy.times, taken) >= limit)
        taken = np.union1d(taken, parts[place].times)
    return _ordered(
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.holders for part in parts]),
        pods,
    )


def spacing(times: Numbers) -> float:
    """Return the median distance of distinct, ordered times in their unit; NaN for fewer than two."""
    return float(np.median(np.diff(times))) if len(times) > 1 else float("nan")


def interval(times: Numbers, *, usual_ms: float = float("nan")) -> float:
    """Return what a sample at distinct, ordered times stands for, in ms; NaN for a single point without a usual one.

    It is the median spacing, at most an hour, and never more in sum than the time from the first to the last.
    """
    median = min(_usable(spacing(times), len(times), usual_ms), series.facts().max_interval_seconds * 1000)
    if np.isnan(median) or not len(times):
        return median
    return min(median, (float(times[-1] - times[0]) + median) / len(times))


def _usable(own: float, samples: int, usual_ms: float) -> float:
    return own if samples >= FEW_SAMPLES or np.isnan(usual_ms) else usual_ms


def weights(points: Timeline) -> tuple[Numbers, Numbers]:
    """Return each point's part of its sample (1 / pods at that time) and whether it was shared then."""
    return 1.0 / points.at_once, points.at_once > 1


def attributed(points: Timeline, by: Timeline, reach: float) -> Timeline:
    """Give points without a known pod the pods of the nearest time in `by`, if it is within `reach` ms.

    Metrics that were aggregated before they were saved lose the pod label that other metrics of the device have.
    """
    known = points.take(points.holders != points.pods.index(UNKNOWN_HOLDER))
    lost = points.take(points.holders == points.pods.index(UNKNOWN_HOLDER))
    moments, starts, counts = by.moments, by.starts, by.at_once[by.starts]
    nearest = _nearest(lost.times, moments)
    near = np.abs(moments[nearest] - lost.times) <= reach
    repeat = np.where(near, counts[nearest], 1)
    source = np.repeat(np.arange(len(lost)), repeat)
    step = np.arange(len(source)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    pods = tuple(sorted({*points.pods, *by.pods}))
    into = np.array([pods.index(pod) for pod in by.pods])
    found = into[by.holders[np.minimum(starts[nearest][source] + step, len(by) - 1)]]
    holders = np.where(near[source], found, pods.index(UNKNOWN_HOLDER))
    kept = np.array([pods.index(pod) for pod in points.pods])[known.holders]
    return _ordered(
        np.concatenate([known.times, lost.times[source]]),
        np.concatenate([known.values, lost.values[source]]),
        np.concatenate([kept, holders]),
        pods,
    )


def _joined(group: Sequence[Track], pods: tuple[Holder, ...]) -> Timeline:
    return Timeline(
        np.concatenate([track.times for track in group]),
        np.concatenate([track.values for track in group]),
        np.repeat([pods.index(track.holder) for track in group], [len(track.times) for track in group]),
        pods,
    )


def _by_scraper(tracks: Sequence[Track]) -> list[list[Track]]:
    """Group by scraper, the one with most samples first."""
    groups: dict[tuple[str, ...], list[Track]] = {}
    for track in tracks:
        groups.setdefault(track.scraper, []).append(track)
    order = sorted(groups, key=lambda scraper: (-sum(len(track.times) for track in groups[scraper]), scraper))
    return [groups[scraper] for scraper in order]


def _distance(times: Numbers, taken: Numbers) -> Numbers:
    if not len(taken):
        return np.full(len(times), np.inf)
    return np.asarray(np.abs(taken[_nearest(times, taken)] - times))


def _nearest(times: Numbers, moments: Numbers) -> Numbers:
    """Return the position of the nearest of the ordered moments."""
    right = np.clip(np.searchsorted(moments, times), 0, len(moments) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(moments[left] - times) <= np.abs(moments[right] - times), left, right)


def _ordered(times: Numbers, values: Numbers, holders: Numbers, pods: tuple[Holder, ...]) -> Timeline:
    """Sort by time and pod, each pod once at a time (the last value read), and nobody only where no pod is."""
    if len(times) > 1 and (np.diff(times) <= 0).any():
        order = np.lexsort((np.arange(len(times)), holders, times))
        times, values, holders = times[order], values[order], holders[order]
        last = np.append((np.diff(times) != 0) | (np.diff(holders) != 0), True)
        times, values, holders = times[last], values[last], holders[last]
    points = Timeline(times, values, holders, pods)
    return _without_nobody(points) if len(pods) > 1 else points


def _without_nobody(points: Timeline) -> Timeline:
    named = np.array([pod not in (NOBODY_HOLDS, UNKNOWN_HOLDER) for pod in points.pods])[points.holders]
    if not len(points):
        return points
    has_pod = np.repeat(np.logical_or.reduceat(named, points.starts), points.at_once[points.starts])
    first = np.isin(np.arange(len(points)), points.starts)
    return points.take(named | (~has_pod & first))
