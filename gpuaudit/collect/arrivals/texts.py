"""Times written as text: decimal numbers kept to the last digit, ISO 8601 dates, and odder forms one by one."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import isfinite

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpuaudit.plan.replay.arrivals import LATEST, Nanoseconds

Mask = npt.NDArray[np.bool_]
Part = tuple[Nanoseconds, Mask]  # values, and which could be read

_NAIVE = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?$"
_ZONED = r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_TEXT = 64  # characters of anything that may be a time
_DIGITS = 19  # of a 64-bit number


def read_texts(column: pa.Array, unit: int, *, dates: bool) -> tuple[Nanoseconds, Mask, Mask]:
    """Return values in ns (a number counts `unit` ns), which are not blank, and which could be read."""
    text = pc.ascii_trim_whitespace(_as_strings(column))
    given = ~pc.fill_null(pc.equal(text, ""), True).to_numpy(zero_copy_only=False)
    values, readable = np.zeros(len(text), np.int64), np.zeros(len(text), bool)
    for pattern, read in _readers(unit, dates=dates):
        rows = given & ~readable
        if not rows.any():
            break
        if pattern:
            rows &= pc.fill_null(pc.match_substring_regex(text, pattern), False).to_numpy(zero_copy_only=False)
        values[rows], readable[rows] = read(text if rows.all() else text.filter(pa.array(rows)))
    return values, given, readable


def _readers(unit: int, *, dates: bool) -> Iterator[tuple[str, Callable[[pa.Array], Part]]]:
    """Yield the forms that are known, the fast ones first, and the reader of each; no pattern = whatever is left."""
    decimals = len(str(unit)) - 1  # down to the nanosecond
    fraction = rf"(\.\d{{1,{decimals}}})?" if decimals else ""
    yield rf"^-?\d{{1,{_DIGITS - decimals}}}{fraction}$", lambda part: _decimal_numbers(part, decimals)
    if dates:
        yield _NAIVE, lambda part: _dates(part, pa.timestamp("ns"))
        yield _ZONED, lambda part: _dates(part, pa.timestamp("ns", "UTC"))
    yield "", lambda part: _one_by_one(part, unit, dates=dates)


def _as_strings(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:  # bytes that are no UTF-8
        replaced = [None if raw is None else raw.decode(errors="replace") for raw in column.to_pylist()]
        return pa.array(replaced, pa.string())


def _decimal_numbers(text: pa.Array, decimals: int) -> Part:
    """Read decimals as scaled integers: a decimal of Arrow is 128 bits, of which the low half is the value."""
    scaled = text.cast(pa.decimal128(_DIGITS + 1, decimals))
    words = np.frombuffer(scaled.buffers()[1], np.int64, count=2 * len(scaled), offset=16 * scaled.offset)
    low, high = words[::2], words[1::2]
    return low.copy(), high == low >> 63


def _dates(text: pa.Array, kind: pa.DataType) -> Part:
    try:
        read = text.cast(kind)
    except pa.ArrowInvalid:  # a 13th month, a year out of range: find out which
        return _one_by_one(text, 1, dates=True)
    return read.cast(pa.int64()).to_numpy(zero_copy_only=False), np.ones(len(text), bool)


def _one_by_one(text: pa.Array, unit: int, *, dates: bool) -> Part:
    values, readable = np.zeros(len(text), np.int64), np.zeros(len(text), bool)
    for row, word in enumerate(text.to_pylist()):
        value = _value(word, unit, dates=dates)
        if value is not None and abs(value) <= LATEST:
            values[row], readable[row] = value, True
    return values, readable


def _value(word: str, unit: int, *, dates: bool) -> int | None:
    """Read one number or date that has no common form; None when it is neither."""
    if len(word) > _LONGEST_TEXT or "_" in word or not word.isascii():
        return None
    try:
        number = float(word)
    except ValueError:
        return _date(word) if dates else None
    if not isfinite(number) or abs(number) * unit > LATEST:
        return None
    return round(number * unit)


def _date(word: str) -> int | None:
    try:
        moment = datetime.fromisoformat(word)
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (zoned - _EPOCH) // timedelta(microseconds=1) * 1000
    except (ValueError, OverflowError):
        return None
