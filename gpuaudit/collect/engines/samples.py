"""Raw samples of engines, from files → the snapshot's `served`: the same as a Prometheus would roll up."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuaudit.cluster.nodes import Span
from gpuaudit.cluster.serving import Served
from gpuaudit.collect.engines.gathered import DAY_HOURS, HOUR_MS, Gathered, Of
from gpuaudit.collect.engines.whose import Whose
from gpuaudit.collect.metrics.exposition import NO_TIME
from gpuaudit.collect.metrics.store import Series, increase
from gpuaudit.knowledge import engines, metrics
from gpuaudit.knowledge.engines import Signal

GRID_MS = 300_000  # load of several pods is added up at these moments
NEAR_MS = 3 * HOUR_MS // 2  # counters keep the ends of each hour
DAY_MS = DAY_HOURS * HOUR_MS
Numbers = np.ndarray[Any, Any]
_Pod = tuple[str, ...]


@dataclass(frozen=True)
class _Samples:
    """One series within the window, in order of time; `of` is whom it is about."""

    of: Of
    signal: Signal
    labels: Mapping[str, str]
    times: Numbers
    values: Numbers


def served(store: Iterable[Series], whose: Whose, *, window: Span, source: str = "") -> tuple[Served, ...]:
    """Return what engines told in the window. A single moment gives latencies since its engine began, and no counts."""
    told = [one for one in store if one.name in engines.by_name() and one.chunks]
    if not told:
        return ()
    start, end = (round(time.timestamp() * 1000) for time in (window.start, window.end))
    found = list(_samples(_once(told), whose, start, end))
    presence = {engine: one.name for engine, one in engines.presence({one.name for one in told}).items()}
    history, moment = Gathered(source), Gathered(source, moment=True)
    for gathered, rows in (
        (history, [r for r in found if len(r.times) > 1]),
        (moment, [r for r in found if len(r.times) == 1]),
    ):
        _fill(gathered, rows, presence, end)
    by_key = {one.key: one for one in (*moment.served(), *history.served())}
    return tuple(by_key[key] for key in sorted(by_key))


def _once(told: Collection[Series]) -> list[Series]:
    """Leave out copies: of series that differ in who scraped them only, the longest counts."""
    copies = frozenset((*metrics.labels().replica, *engines.attribution().copies))
    best: dict[tuple[str, frozenset[tuple[str, str]]], Series] = {}
    for one in told:
        key = (one.name, frozenset((k, v) for k, v in one.labels.items() if k not in copies))
        if key not in best or one.count > best[key].count:
            best[key] = one
    return list(best.values())


def _samples(told: Iterable[Series], whose: Whose, start: int, end: int) -> Iterator[_Samples]:
    for one in told:
        times = np.concatenate([times for times, _ in one.chunks])
        values = np.concatenate([values for _, values in one.chunks])
        times = np.where(times == NO_TIME, end, times)
        times, places = np.unique(times, return_index=True)
        rises = engines.by_name()[one.name][0].form in ("counter", "histogram")
        times, values = _within(times, values[places], start, end, rises=rises)
        if not len(times):
            continue
        for signal in engines.by_name()[one.name]:
            if engines.matches(signal.matcher, one.labels):
                of = whose.of(signal.engine, one.labels, one.source)
                yield _Samples(of, signal, one.labels, times, values)


def _within(times: Numbers, values: Numbers, start: int, end: int, *, rises: bool) -> tuple[Numbers, Numbers]:
    """Return the samples in (start, end], and what a counter was at the start where samples around it are near."""
    inside = (times > start) & (times <= end)
    first = int(np.searchsorted(times, start, side="right"))
    if (
        rises
        and 0 < first < len(times)
        and times[first] - times[first - 1] <= NEAR_MS
        and values[first] >= values[first - 1]
    ):
        at_start = float(np.interp(start, times[first - 1 : first + 1], values[first - 1 : first + 1]))
        return np.append(start, times[inside]), np.append(at_start, values[inside])
    return times[inside], values[inside]


def _fill(gathered: Gathered, rows: Iterable[_Samples], presence: Mapping[str, str], end: int) -> None:
    loads: dict[tuple[Of, Signal], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    present: dict[tuple[Of, int], set[_Pod]] = defaultdict(set)
    for row in rows:
        if row.signal.name == presence.get(row.signal.engine):
            for hour in np.unique(row.times // HOUR_MS * HOUR_MS).tolist():
                present[row.of, hour].add(_pod(row))
        if row.signal.signal in ("waiting", "running"):
            for place, value in _gridded(row):
                loads[row.of, row.signal][place] += value
        _take(gathered, row, end)
    for (of, signal), grid in loads.items():
        if not gathered.moment:
            gathered.load(of, signal, "p95", float(np.percentile(list(grid.values()), 95)))
    for (of, hour), pods in present.items():
        gathered.seen(of, hour, len(pods))


def _pod(row: _Samples) -> _Pod:
    return tuple(row.labels.get(name, "") for name in (*engines.attribution().pod, "instance"))


def _take(gathered: Gathered, row: _Samples, end: int) -> None:
    match row.signal:
        case Signal(form="counter" | "histogram"):
            _count(gathered, row)
        case Signal(form="info"):
            gathered.caches[row.of].append({k: row.labels[k] for k in engines.attribution().cache if k in row.labels})
        case Signal(signal="kv"):
            for day, value in _by_day(row, end):
                gathered.kv(row.of, day, value)
        case Signal(signal="waiting" | "running"):
            gathered.load(row.of, row.signal, "max", float(row.values.max()))
        case _:
            gathered.smallest(row.of, row.signal, float(row.values.min()))


def _count(gathered: Gathered, row: _Samples) -> None:
    value = float(row.values[-1]) if gathered.moment else increase(row.values)
    if row.signal.form == "counter":
        gathered.count(row.of, row.signal, value)
        return
    try:
        bound = float(row.labels.get("le", ""))
    except ValueError:
        return
    gathered.bucket(row.of, row.signal, bound, value)


def _by_day(row: _Samples, end: int) -> Iterator[tuple[int, float]]:
    """Yield the end of each day, counted back from the window's, and its largest value."""
    ages = (end - row.times) // DAY_MS
    for age in np.unique(ages).tolist():
        yield end - age * DAY_MS, float(row.values[ages == age].max())


def _gridded(row: _Samples) -> Iterator[tuple[int, float]]:
    """Yield the newest value of each moment of the grid."""
    places = row.times // GRID_MS
    newest = np.flatnonzero(np.diff(places, append=places[-1] + 1))
    yield from zip(places[newest].tolist(), row.values[newest].tolist(), strict=True)
