"""A file of requests as arrivals: which columns hold what, and which rows cannot be used and why."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuaudit.collect.arrivals.tables import UNREADABLE, Table, open_table, unreadable
from gpuaudit.collect.arrivals.times import Read, instants, spans
from gpuaudit.errors import UserError
from gpuaudit.plan.replay.arrivals import Arrivals, Codes, Nanoseconds

MOST_ROWS = 500_000_000  # some 10 GB of memory
TIMESTAMP, MODEL, DURATION = "timestamp", "model", "duration_seconds"
_SHOWN_COLUMNS, _SHOWN_NAME = 20, 40

Mask = npt.NDArray[np.bool_]
Integer = TypeVar("Integer", np.int32, np.int64)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a file keeps what. A column that is None has its usual name; with `one_model` all rows are that model's."""

    timestamp: str | None = None
    model: str | None = None
    duration: str | None = None
    one_model: str | None = None
    unit: str = "s"  # of numeric timestamps
    scale: Fraction = Fraction(1)  # seconds for each unit of duration


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a file held: the usable requests, how many rows were left out and why, and whether it has durations."""

    arrivals: Arrivals
    skipped: Mapping[str, int]
    durations: bool
    rows: int


def read(path: Path, layout: Layout) -> Recording:
    """Read a file of requests, sorted by model. UserError when it, or all of its rows, cannot be used."""
    table = open_table(path)
    columns = _chosen(table, layout)
    gathered = _Gathered(columns, layout, table.restored)
    try:
        for piece in table.pieces(list(dict.fromkeys(columns.values()))):
            gathered.add(piece)
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    skipped = {reason: count for reason, count in {**gathered.skipped, **table.broken}.items() if count}
    rows = gathered.rows + sum(table.broken.values())
    if not gathered.used:
        why = "; ".join(f"{count:,} {reason}" for reason, count in skipped.items()) or "it has no rows"
        raise UserError(f"no request in {path} can be used: {why}", hint=_unit_hint(skipped))
    return Recording(arrivals=gathered.arrivals(), skipped=skipped, durations=DURATION in columns, rows=rows)


def _unit_hint(skipped: Mapping[str, int]) -> str:
    if any("timestamp" in reason for reason in skipped):
        return "timestamps are ISO 8601 or seconds since 1970; for others: --time-unit ms|us|ns, --timestamp-column"
    return f"each row needs a {TIMESTAMP} and a {MODEL}"


def _chosen(table: Table, layout: Layout) -> dict[str, str]:
    """Return the column that holds each thing. UserError when one that is needed is not there."""
    found = {TIMESTAMP: _column(table, layout.timestamp, TIMESTAMP, needed="--timestamp-column NAME")}
    if layout.one_model is None:
        found[MODEL] = _column(table, layout.model, MODEL, needed="--model-column NAME, or --model NAME for all rows")
    found[DURATION] = _column(table, layout.duration, DURATION, needed="")
    return {thing: name for thing, name in found.items() if name is not None}


def _column(table: Table, asked: str | None, usual: str, *, needed: str) -> str | None:
    wanted = usual if asked is None else asked
    same = [name for name in table.columns if name == wanted]
    if not same and asked is None:
        same = [name for name in table.columns if name.strip().casefold() == usual]
    if len(same) > 1:
        raise UserError(f"the file has {len(same)} columns called {same[0]!r}", hint="give one of them another name")
    if same:
        return same[0]
    if asked is None and not needed:
        return None
    has = ", ".join(name[:_SHOWN_NAME] for name in table.columns[:_SHOWN_COLUMNS]) or "none"
    hint = f"say which column it is: {needed}" if asked is None else f"the file has these: {has}"
    raise UserError(f"the file has no column {wanted!r}" + (f"; it has {has}" if asked is None else ""), hint=hint)


class _Gathered:
    """Collects usable rows piece by piece."""

    def __init__(self, columns: Mapping[str, str], layout: Layout, restored: Callable[[str], str]) -> None:
        self._columns, self._layout, self._restored = columns, layout, restored
        self._kept = Arrivals(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32), ())
        self._names: dict[str, int] = {} if layout.one_model is None else {layout.one_model: 0}
        self.skipped: dict[str, int] = {}
        self.rows = self.used = 0

    def add(self, piece: pa.RecordBatch) -> None:
        """Take in the rows of one piece that have a model, a timestamp and no nonsense for a duration."""
        count = piece.num_rows
        self.rows += count
        if self.rows > MOST_ROWS:
            raise UserError(f"more than {MOST_ROWS:,} requests", hint="split the file by model or by time")
        usable = np.ones(count, bool)
        codes = self._models(piece, usable)
        times = instants(piece.column(self._columns[TIMESTAMP]), self._layout.unit)
        self._drop(usable, ~times.given, "without a timestamp")
        self._drop(usable, ~times.readable, "with a timestamp that cannot be read")
        lengths = self._durations(piece)
        self._drop(usable, ~(lengths.readable | ~lengths.given), "with a duration that cannot be read")
        ends = times.values + np.where(lengths.given, lengths.values, 0)
        self._keep(times.values[usable], ends[usable], codes[usable])

    def arrivals(self) -> Arrivals:
        """Return all requests sorted by model; models of which no row was usable do not count."""
        pa.default_memory_pool().release_unused()  # a large file leaves more behind than its requests take
        codes = self._kept.model[: self.used]
        used = np.bincount(codes, minlength=len(self._names)) > 0
        narrowed = (np.cumsum(used) - 1).astype(np.int32)
        names = tuple(name for name, kept in zip(self._names, used.tolist(), strict=True) if kept)
        kept = (self._kept.arrival[: self.used], self._kept.end[: self.used])
        return Arrivals(*kept, narrowed[codes], names).by_model()

    def _keep(self, times: Nanoseconds, ends: Nanoseconds, codes: Codes) -> None:
        """Append to arrays that double: many small ones would leave the memory full of holes."""
        after = self.used + len(times)
        if after > len(self._kept.arrival):
            room = max(2 * len(self._kept.arrival), after)
            old = self._kept
            self._kept = Arrivals(_grown(old.arrival, room), _grown(old.end, room), _grown(old.model, room), ())
        here = slice(self.used, after)
        self._kept.arrival[here], self._kept.end[here], self._kept.model[here] = times, ends, codes
        self.used = after

    def _drop(self, usable: Mask, bad: Mask, reason: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + int((usable & bad).sum())
        usable &= ~bad

    def _durations(self, piece: pa.RecordBatch) -> Read:
        if DURATION not in self._columns:
            none = np.zeros(piece.num_rows, bool)
            return Read(np.zeros(piece.num_rows, np.int64), none, none)
        return spans(piece.column(self._columns[DURATION]), self._layout.scale)

    def _models(self, piece: pa.RecordBatch, usable: Mask) -> Codes:
        """Return the number of each row's model, 0 where it has none; those rows become unusable."""
        if self._layout.one_model is not None:
            return np.zeros(piece.num_rows, np.int32)
        column = piece.column(self._columns[MODEL])
        encoded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
        numbers = [self._number(value) for value in encoded.dictionary.to_pylist()]
        known = np.array([*numbers, -1], np.int32)
        codes: Codes = known[pc.fill_null(encoded.indices, len(numbers)).to_numpy(zero_copy_only=False)]
        self._drop(usable, codes == -1, "without a model")
        self._drop(usable, codes == -2, "with a line break in the model: is a quote left open?")
        return np.where(codes < 0, np.int32(0), codes)

    def _number(self, value: object) -> int:
        text = value.decode(errors="replace") if isinstance(value, bytes) else "" if value is None else str(value)
        name = self._restored(text).strip()
        if not name:
            return -1
        return -2 if "\n" in name else self._names.setdefault(name, len(self._names))


def _grown(values: npt.NDArray[Integer], room: int) -> npt.NDArray[Integer]:
    larger = np.empty(room, values.dtype)
    larger[: len(values)] = values
    return larger


def reasons(skipped: Mapping[str, int]) -> Sequence[str]:
    """Return the reasons with their counts, the most frequent first."""
    return [f"{count:,} {reason}" for reason, count in sorted(skipped.items(), key=lambda item: -item[1])]
