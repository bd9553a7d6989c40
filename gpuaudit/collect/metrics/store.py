"""Keep the samples of many files and servers until the usage tables are made of them: bounded, compact, by series."""

import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Self

import numpy as np

from gpuaudit.collect.metrics.answers import read_answer
from gpuaudit.collect.metrics.exposition import NO_TIME, Tally, read_text
from gpuaudit.knowledge import engines, fabric, metrics, series

COMPACT_BLOCKS = 64  # about 64 MiB of text
MAX_SAMPLES = 150_000_000  # about 1.8 GB
MAX_SERIES = 1_000_000
HOUR_MS = 3_600_000
SPACING_SERIES = 200  # enough to know the typical spacing

Numbers = np.ndarray[Any, Any]


@dataclass(slots=True)
class Series:
    """One series of one source. Metrics of the usage tables keep every sample, the others count and their last one.

    `grown` is by how much a counter of a port has grown, resets undone; None unless it was seen twice.
    Those of serving engines keep what tells their rise and their load.

    `chunks` are (times in ms, values in the metric's own unit); gaps are not in them, order is as it was read.
    """

    name: str
    labels: dict[str, str]
    source: str
    sampled: bool
    chunks: list[tuple[Numbers, Numbers]] = field(default_factory=list)
    count: int = 0
    first: int | None = None
    last: int | None = None
    value: float | None = None
    grown: float | None = None
    _times: "array[int]" = field(default_factory=lambda: array("q"))
    _values: "array[float]" = field(default_factory=lambda: array("d"))

    def record(self, time: int, value: float) -> None:
        """Keep one sample (see exposition.Recorder)."""
        self._times.append(time)
        self._values.append(value)

    def record_many(self, times: Numbers, values: Numbers) -> None:
        """Keep samples at once."""
        self.compact()
        self._keep(np.asarray(times, np.int64), np.asarray(values, np.float64))

    def compact(self) -> None:
        """Move what was recorded one by one into a chunk, or into the summary."""
        if self._times:
            self._keep(np.array(self._times, np.int64), np.array(self._values, np.float64))
            self._times, self._values = array("q"), array("d")

    def times(self) -> Numbers:
        """Return the distinct times of a sampled series in order; samples without a time have none."""
        times = np.concatenate([np.empty(0, np.int64), *(times for times, _ in self.chunks)])
        return np.unique(times[times != NO_TIME])

    def _keep(self, times: Numbers, values: Numbers) -> None:
        good = ~blank(values)
        times, values = times[good], values[good]
        if not len(times):
            return
        newest = len(times) - 1 - int(np.argmax(times[::-1]))
        self.count += len(times)
        dated = times[times != NO_TIME]
        self._grow(times, values)
        if len(dated):
            self.first = min(int(dated.min()), self.first if self.first is not None else int(dated[0]))
        if self.last is None or times[newest] >= self.last:
            self.last = int(times[newest]) if len(dated) else None
            self.value = float(values[newest])
        if self.sampled:
            self.chunks.append((times, compacted(self.name, values)))
        elif self.name in engines.by_name():
            self.chunks.append(thinned(self.name, times, values))

    def _grow(self, times: Numbers, values: Numbers) -> None:
        """Add what a counter has grown by. Samples that are older than those before tell nothing."""
        if self.name not in fabric.fabric().metrics.increases:
            return
        order = np.argsort(times[times != NO_TIME], kind="stable")
        moments, readings = times[times != NO_TIME][order], values[times != NO_TIME][order]
        if self.last is not None and self.value is not None:
            later = moments > self.last
            readings = np.concatenate([[self.value], readings[later]])
        if len(readings) > 1:
            self.grown = (self.grown or 0.0) + increase(readings)


def increase(readings: Numbers) -> float:
    """Return by how much a counter grew over readings in order; a smaller one follows a reset and counts whole."""
    steps = np.diff(readings)
    return float(np.where(steps >= 0, steps, readings[1:]).sum())


def blank(values: Numbers) -> Any:
    """Return which values stand for no value: not finite, negative infinity included, or a blank number of DCGM."""
    return ~np.isfinite(values) | np.isin(values, list(metrics.blank_numbers()))


def compacted(name: str, values: Numbers) -> Numbers:
    """Return values as float32, which holds every gauge of the tables exactly enough; counters stay float64."""
    return values if series.sampled().get(name) == "energy" else values.astype(np.float32)


def is_virtual(name: str, labels: dict[str, str]) -> bool:
    """Whether a series is about an interface of pods or overlays, of which a host has hundreds."""
    known = fabric.fabric()
    device = labels.get(known.metrics.device_label, "")
    return name in fabric.port_metrics() and bool(fabric.pattern(known.ports.virtual_interfaces).match(device))


def thinned(name: str, times: Numbers, values: Numbers) -> tuple[Numbers, Numbers]:
    """Return what tells an engine's series: gauges whole, of counters each hour's ends and where they began anew."""
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    if all(one.form not in ("counter", "histogram") for one in engines.by_name()[name]):
        return times, values
    hours = times // HOUR_MS
    ends = (np.diff(hours, append=hours[-1] + 1) != 0) | (np.diff(hours, prepend=hours[0] - 1) != 0)
    falls = np.flatnonzero(np.diff(values) < 0)
    ends[falls] = True
    ends[falls + 1] = True
    return times[ends], values[ends]


class SampleStore:
    """Series of all inputs. Add inputs in any order; `gpuaudit.collect.metrics.parts.metrics_part` reads it out."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, frozenset[tuple[str, str]]], Series] = {}
        self.samples = 0  # kept one by one

    def __iter__(self) -> Iterator[Series]:
        """Go through the series in the order they were met."""
        return iter(self._series.values())

    @property
    def full(self) -> bool:
        """Whether there is no room for more samples or series."""
        return self.samples >= MAX_SAMPLES or len(self._series) >= MAX_SERIES

    def add_text(self, stream: BinaryIO, *, source: str) -> Tally:
        """Read exposition text, OpenMetrics text or `promtool tsdb dump` lines. `source` names the file in reports."""
        with _Reading(self, source) as reading:
            return read_text(stream, reading)

    def add_answer(self, text: bytes, *, source: str, metric: str | None = None) -> Tally:
        """Read a Prometheus API answer; `metric` names series without `__name__`. UserError for another shape."""
        with _Reading(self, source) as reading:
            return read_answer(text, reading, metric=metric)

    def series(self, name: str, labels: dict[str, str], source: str) -> Series:
        """Return the series of a source, made when it is new. Empty labels say nothing and are dropped."""
        kept = {sys.intern(key): sys.intern(value) for key, value in labels.items() if value}
        key = (name, source, frozenset(kept.items()))
        found = self._series.get(key)
        if found is None:
            found = Series(sys.intern(name), kept, source, sampled=name in series.sampled())
            self._series[key] = found
        return found

    def extent(self) -> tuple[int, int] | None:
        """Return from when (ms) samples speak, the first one's interval included, and the newest time; None = no times.

        A sample stands for the interval that ends with it; a single point in time speaks for none.
        """
        times = [(one.first, one.last) for one in self if one.first is not None and one.last is not None]
        if not times:
            return None
        start, end = min(first for first, _ in times), max(last for _, last in times)
        return (start - self._spacing() if start < end else start, end)

    def hosts(self) -> dict[tuple[str, str], frozenset[str]]:
        """Return the host names of device series by (value of the cluster label, source): whose they are."""
        known, facts = metrics.labels(), series.facts()
        found: dict[tuple[str, str], set[str]] = {}
        for one in self:
            if metrics.dcgm(one.name) is not None:
                label = next((one.labels[key] for key in facts.cluster if key in one.labels), "")
                names = {one.labels[key] for key in (*known.host, *known.host_fallback) if key in one.labels}
                found.setdefault((label, one.source), set()).update(names)
        return {key: frozenset(names) for key, names in found.items()}

    def _spacing(self) -> int:
        """Return the typical spacing of samples in ms, 0 when nothing was sampled twice."""
        medians: list[float] = []
        for one in self:
            if one.sampled and one.count > 1 and len(medians) < SPACING_SERIES:
                times = one.times()
                medians += [float(np.median(np.diff(times)))] if len(times) > 1 else []
        limit = series.facts().max_interval_seconds * 1000
        return round(min(float(np.median(medians)), limit)) if medians else 0


class _Reading:
    """One input on its way into the store (exposition.Sink)."""

    def __init__(self, store: SampleStore, source: str) -> None:
        self._store = store
        self._source = source
        self._known = series.known()
        self._touched: dict[int, Series] = {}
        self._blocks = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._compact()

    def wants(self, name: str) -> bool:
        return name in self._known or name.removesuffix("_total") in self._known

    def series(self, name: str, labels: dict[str, str]) -> Series | None:
        if self._store.full or is_virtual(name, labels):
            return None
        found = self._store.series(name if name in self._known else name.removesuffix("_total"), labels, self._source)
        self._touched[id(found)] = found
        return found

    def flush(self) -> bool:
        self._blocks += 1
        if self._blocks % COMPACT_BLOCKS == 0:
            self._compact()
        return not self._store.full

    def _compact(self) -> None:
        for one in self._touched.values():
            one.compact()
        self._store.samples = sum(len(times) for one in self._store for times, _ in one.chunks)
