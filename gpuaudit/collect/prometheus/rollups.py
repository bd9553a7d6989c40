"""Answers → arrays: which series (as a code), which hour, which value. Many points, few objects."""

import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpuaudit.collect.metrics.answers import points
from gpuaudit.collect.metrics.store import Series, blank
from gpuaudit.collect.prometheus.asking import HOUR_MS, TextRow, labels_of
from gpuaudit.knowledge import metrics, series

Numbers = np.ndarray[Any, Any]


@dataclass
class LabelSets:
    """Numbers the label sets of all answers; a device's labels are the same series under whatever metric they came."""

    source: str
    series: list[Series] = field(default_factory=list)
    closed: bool = False  # no more are numbered: who they are about was worked out
    _codes: dict[tuple[tuple[str, str], ...], int] = field(default_factory=dict)
    _texts: dict[bytes, int] = field(default_factory=dict)  # as they came, which most come again as
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def codes(self, rows: Sequence[TextRow], metric: str) -> Numbers:
        """Return the numbers of the label sets that a metric was answered with; -1 for new ones once they are closed.

        QueryError for what is no label set.
        """
        texts = [bytes(row.metric) for row in rows]
        with self._lock:
            for text in texts:
                if text not in self._texts:
                    self._texts[text] = self._new(text, metric)
            return np.array([self._texts[text] for text in texts], np.int32)

    def _new(self, text: bytes, metric: str) -> int:
        """Return the number of a label set that came in other words than before, or not before."""
        kept = {sys.intern(name): sys.intern(value) for name, value in sorted(labels_of(text).items())}
        key = tuple(kept.items())
        if key not in self._codes and self.closed:
            return -1
        if key not in self._codes:
            self._codes[key] = len(self.series)
            named = metric if metric == series.facts().node.metric else metrics.LADDER[0].name
            self.series.append(Series(named, kept, self.source, sampled=True))
        return self._codes[key]


@dataclass(frozen=True)
class Points:
    """Values by series code and hour (ms of its start); gaps are not in them."""

    codes: Numbers
    hours: Numbers
    values: Numbers

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, chosen: Numbers) -> "Points":
        """Return the points of a mask."""
        return Points(self.codes[chosen], self.hours[chosen], self.values[chosen])


NO_POINTS = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float32))


def joined(parts: Sequence[Points]) -> Points:
    """Return all points of several answers."""
    if not parts:
        return NO_POINTS
    return Points(
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.hours for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def read(rows: Sequence[TextRow], sets: LabelSets, metric: str, *, name: str = "") -> Points:
    """Return the points of an answer in the unit of the field, what is no value or out of range left out.

    `name` is the field of the usage tables, "" for a count. Raises QueryError.
    """
    counts, times, values = points([row.raw for row in rows])
    codes = np.repeat(sets.codes(rows, metric), counts)
    good = ~blank(values) & (values >= 0) & np.isfinite(times) & (codes >= 0)
    if name:
        values = values * series.scales()[name]
        if name in series.ratios():
            good &= values <= 1 + 1e-6
            values = np.minimum(values, 1.0)
    hours = np.rint(np.where(good, times, 0) * 1000).astype(np.int64) // HOUR_MS * HOUR_MS
    return Points(codes[good], hours[good], values[good].astype(np.float32))


def starts_of(*columns: Numbers) -> Numbers:
    """Return where groups begin in columns that are sorted together."""
    if not len(columns[0]):
        return np.empty(0, np.int64)
    changes = np.zeros(len(columns[0]), bool)
    changes[0] = True
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changes)


def lengths_of(hours: Numbers, short: Mapping[int, int]) -> Numbers:
    """Return the length in ms of each hour; `short` are those that are not full ones."""
    lengths = np.full(len(hours), float(HOUR_MS))
    for hour, length in short.items():
        lengths[hours == hour] = length
    return lengths
