"""Signals of engines, by workload and model, on their way to the snapshot's `served` rows."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from gpuaudit.cluster.serving import Served
from gpuaudit.collect.engines.quantiles import quantile
from gpuaudit.collect.metrics.seen import at
from gpuaudit.knowledge import engines
from gpuaudit.knowledge.engines import Signal

HOUR_MS = 3_600_000
DAY_HOURS = 24
FULL_DAY_HOURS = 20  # observed, for a day to count as one
MAX_NAME = 200
SIDE_SIGNALS = ("errors",)  # counted by web servers of any kind: no proof of an engine


class Of(NamedTuple):
    """Whom a value is about; workload and model "" = not told."""

    cluster: str
    workload: str
    engine: str
    model: str


class Told(NamedTuple):
    """Whom a value is about, and which signal of what rank it is."""

    of: Of
    signal: str


@dataclass
class Gathered:
    """What was told. Values of one signal under several names stay apart by rank: the best one is taken.

    `hours` counts the pods that told anything, by hour (ms); `days` are the ends (ms) of the days of `kv_days`.
    """

    source: str = ""
    moment: bool = False  # a single point in time: counts are since each engine began
    counts: dict[Told, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    buckets: dict[Told, dict[int, dict[float, float]]] = field(default_factory=lambda: defaultdict(dict))
    loads: dict[tuple[Told, str], dict[int, dict[str, float]]] = field(default_factory=lambda: defaultdict(dict))
    least: dict[Told, float] = field(default_factory=dict)
    kv_days: dict[Of, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    caches: dict[Of, list[Mapping[str, str]]] = field(default_factory=lambda: defaultdict(list))
    hours: dict[Of, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    _alone: frozenset[tuple[str, str, str]] = frozenset()  # cluster, workload, engine that have one model

    def count(self, of: Of, signal: Signal, value: float) -> None:
        """Add to a counter's increase."""
        _add(self.counts[Told(of, signal.signal)], signal.rank, value * signal.scale)

    def bucket(self, of: Of, signal: Signal, bound: float, value: float) -> None:
        """Add to a bucket's increase; `bound` is its upper bound in the metric's own unit."""
        rows = self.buckets[Told(of, signal.signal)].setdefault(signal.rank, {})
        _add(rows, bound * signal.scale, value)

    def load(self, of: Of, signal: Signal, statistic: str, value: float, *, group: str = "") -> None:
        """Note a statistic of requests running or waiting: that of each group of pods once, the largest of its parts.

        p95 adds up over groups, max is of any pod.
        """
        groups = self.loads[Told(of, signal.signal), statistic].setdefault(signal.rank, {})
        groups[group] = max(value, groups.get(group, 0.0))

    def smallest(self, of: Of, signal: Signal, value: float) -> None:
        """Note a size of the cache: the smallest of any pod counts."""
        told = Told(of, signal.signal)
        if value > 0:
            self.least[told] = min(value, self.least.get(told, value))

    def kv(self, of: Of, day_end: int, value: float) -> None:
        """Note the use of a KV cache on the day that ends then; out of 0-1 it says nothing."""
        if 0 <= value <= 1 + 1e-6:
            self.kv_days[of][day_end] = max(min(1.0, value), self.kv_days[of].get(day_end, 0.0))

    def seen(self, of: Of, hour: int, pods: float) -> None:
        """Note how many pods told something in an hour."""
        _add(self.hours[of], hour, pods)

    def served(self) -> tuple[Served, ...]:
        """Return the rows, sorted by key."""
        told = (*self.counts, *self.buckets, *(one for one, _ in self.loads), *self.least)
        every = {one.of for one in told if one.signal not in SIDE_SIGNALS} | {*self.kv_days}
        named: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        for of in every:
            if of.model:
                named[of[:3]].add(of.model)
        self._alone = frozenset(whose for whose, models in named.items() if len(models) == 1)
        return tuple(self._row(of) for of in sorted(every) if of.model or of[:3] not in named)

    def _row(self, of: Of) -> Served:
        hours = self._hours(of)
        first, last = (min(hours), max(hours) + HOUR_MS) if hours else (None, None)
        newest = [pods for hour, pods in hours.items() if hour >= max(hours) - HOUR_MS]
        counted = {} if self.moment else {name: self._count(of, name) for name in engines.COUNTERS}
        requests, errors, aborts = self._requests(of, counted)
        return Served(
            cluster=of.cluster,
            workload=of.workload,
            engine=of.engine,
            model=of.model[:MAX_NAME],
            source=self.source,
            pods=round(max(newest)) if newest else None,
            first=_time(first),
            last=_time(last),
            days=None if self.moment or not hours else len(hours) / DAY_HOURS,
            requests=requests,
            errors=errors,
            aborts=aborts,
            duration_p50_seconds=self._quantile(of, "duration", 0.5),
            duration_p95_seconds=self._quantile(of, "duration", 0.95),
            ttft_p50_seconds=self._quantile(of, "ttft", 0.5),
            ttft_p95_seconds=self._quantile(of, "ttft", 0.95),
            queue_p95_seconds=self._quantile(of, "queue", 0.95),
            waiting_p95=self._load(of, "waiting", "p95"),
            waiting_max=self._load(of, "waiting", "max"),
            running_p95=self._load(of, "running", "p95"),
            running_max=self._load(of, "running", "max"),
            prompt_tokens=counted.get("prompt_tokens"),
            generated_tokens=counted.get("generated_tokens"),
            preemptions=counted.get("preemptions"),
            prefix_hits=counted.get("prefix_hits"),
            prefix_queries=counted.get("prefix_queries"),
            kv_max=max(self.kv_days[of].values(), default=None) if of in self.kv_days else None,
            kv_peaks=self._peaks(of, hours),
            **self._cache(of),
        )

    def _hours(self, of: Of) -> dict[int, float]:
        return self.hours.get(of) or self.hours.get(of._replace(model=""), {})

    def _count(self, of: Of, signal: str) -> float | None:
        """Return a count; where its series name no model and the engine has only one, that is the model's."""
        own = _best(self.counts.get(Told(of, signal), {}))
        if own is not None or of[:3] not in self._alone or not of.workload:
            return own
        return _best(self.counts.get(Told(of._replace(model=""), signal), {}))

    def _requests(self, of: Of, counted: Mapping[str, float | None]) -> tuple[float | None, float | None, float | None]:
        """Return requests, errors and aborts: requests hold the errors, and what is a part of a told counter is 0."""
        if self.moment:
            return None, None, None
        engine = engines.engines()[of.engine]
        requests, errors, aborts = (counted.get(name) for name in ("requests", "errors", "aborts"))
        if requests is None:
            inf = _best({rank: rows.get(float("inf"), 0.0) for rank, rows in self._rows(of, "duration").items()})
            return inf, errors, aborts
        names = {engines.bare(name) for name in engine.requests_total}
        if errors is None and any(engines.bare(name) in names for name in engine.requests_error):
            errors = 0.0
        if aborts is None and any(engines.bare(name) in names for name in engine.aborts):
            aborts = 0.0
        return requests + (errors or 0.0 if engine.errors_apart else 0.0), errors, aborts

    def _rows(self, of: Of, signal: str) -> Mapping[int, dict[float, float]]:
        return self.buckets.get(Told(of, signal), {})

    def _quantile(self, of: Of, signal: str, q: float) -> float | None:
        rows = self._rows(of, signal)
        return quantile(q, rows[min(rows)]) if rows else None

    def _load(self, of: Of, signal: str, statistic: str) -> float | None:
        rows = self.loads.get((Told(of, signal), statistic), {})
        if not rows:
            return None
        groups = rows[min(rows)].values()
        return max(groups) if statistic == "max" else sum(groups)

    def _peaks(self, of: Of, hours: Mapping[int, float]) -> tuple[float, ...]:
        """Return the peaks of the days that were observed; what was seen on other days goes to the nearest of them."""
        days = self.kv_days.get(of, {})
        whole = [end for end in sorted(days) if _hours_of_day(end, hours) >= FULL_DAY_HOURS]
        if not whole or self.moment:
            return ()
        peaks = {end: days[end] for end in whole}
        for end in days.keys() - peaks.keys():
            nearest = min(whole, key=lambda other: (abs(other - end), other))
            peaks[nearest] = max(peaks[nearest], days[end])
        return tuple(peaks[end] for end in whole)

    def _cache(self, of: Of) -> dict[str, Any]:
        told = [row for one in (of, of._replace(model="")) for row in self.caches.get(one, ())]
        found: dict[str, Any] = {
            "kv_blocks": _smallest(row.get("num_gpu_blocks") for row in told),
            "kv_block_tokens": _smallest(row.get("block_size") for row in told),
            "kv_tokens": _smallest(row.get("kv_cache_size_tokens") for row in told),
            "memory_utilization": _largest(row.get("gpu_memory_utilization") for row in told),
        }
        for name in ("kv_blocks", "kv_block_tokens", "kv_tokens"):
            found[name] = (
                found[name] or self.least.get(Told(of, name)) or self.least.get(Told(of._replace(model=""), name))
            )
        dtypes = {row["cache_dtype"] for row in told if row.get("cache_dtype")}
        return found | {"kv_dtype": dtypes.pop()[:20] if len(dtypes) == 1 else None}


def _hours_of_day(end: int, hours: Mapping[int, float]) -> int:
    start = end - DAY_HOURS * HOUR_MS
    return sum(start - HOUR_MS < hour < end for hour in hours)


def _add(rows: dict[Any, float], key: float, value: float) -> None:
    rows[key] = rows.get(key, 0.0) + value


def _best(rows: Mapping[int, float]) -> float | None:
    return rows[min(rows)] if rows else None


def _numbers(texts: Iterable[str | None]) -> list[float]:
    found = []
    for text in texts:
        try:
            value = float(text or "")
        except ValueError:
            continue
        if 0 < value < 1e15:
            found.append(value)
    return found


def _smallest(texts: Iterable[str | None]) -> float | None:
    return min(_numbers(texts), default=None)


def _largest(texts: Iterable[str | None]) -> float | None:
    return max(_numbers(texts), default=None)


def _time(ms: int | None) -> datetime | None:
    return None if ms is None else at(ms)
