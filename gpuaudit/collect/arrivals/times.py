"""Columns of times and durations as whole nanoseconds; what cannot be read is marked, never guessed."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpuaudit.collect.arrivals.texts import Mask, read_texts
from gpuaudit.errors import UserError
from gpuaudit.plan.replay.arrivals import EARLIEST, LATEST, LONGEST, SECOND, UNITS, Nanoseconds

_EXACT = 2.0**52  # ns, 52 days: up to here floating point tells nanoseconds apart, beyond it microseconds


class Read(NamedTuple):
    """Values in ns, which of them were given, and which of those could be read."""

    values: Nanoseconds
    given: Mask
    readable: Mask


def instants(column: pa.Array, unit: str) -> Read:
    """Read arrival times: ISO 8601 (without a zone = UTC) or numbers since 1970 in `unit`.

    Decimals in text are kept exactly; binary floating point of today's dates is rounded to the microsecond.
    """
    return _within(_read(column, UNITS[unit], dates=True), EARLIEST, LATEST)


def spans(column: pa.Array, scale: Fraction) -> Read:
    """Read durations: numbers that times `scale` are seconds. A negative one cannot be read."""
    read = _read(column, SECOND, dates=False)
    if scale == 1:
        return _within(read, 0, LONGEST)
    seconds = read.values * float(scale)
    small = np.abs(seconds) <= LONGEST
    values = np.rint(np.where(small, seconds, 0)).astype(np.int64)
    return _within(Read(values, read.given, read.readable & small), 0, LONGEST)


def _within(read: Read, least: int, most: int) -> Read:
    inside = (read.values >= least) & (read.values <= most)
    return Read(read.values, read.given, read.readable & read.given & inside)


def _read(column: pa.Array, unit: int, *, dates: bool) -> Read:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _read(column.dictionary_decode(), unit, dates=dates)
    if pa.types.is_date(kind):
        return _read(column.cast(pa.timestamp("s")), unit, dates=dates)
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return _whole(column.cast(pa.int64()), UNITS[kind.unit])
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return _whole(column.cast(pa.int64()), unit)
    if pa.types.is_floating(kind) or kind == pa.uint64():
        return _floats(column.cast(pa.float64(), safe=False), unit)
    if pa.types.is_decimal(kind) or pa.types.is_null(kind):
        column = column.cast(pa.string())
    elif not any(is_text(kind) for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)):
        raise UserError(f"a column of type {kind} holds no times", hint="name another with --timestamp-column")
    return Read(*read_texts(column, unit, dates=dates))


def _whole(column: pa.Array, unit: int) -> Read:
    given = column.is_valid().to_numpy(zero_copy_only=False)
    values: Nanoseconds = column.fill_null(0).to_numpy(zero_copy_only=False)
    fits = (values >= EARLIEST // unit) & (values <= LATEST // unit)
    return Read(np.where(fits, values, 0) * unit, given, fits)


def _floats(column: pa.Array, unit: int) -> Read:
    numbers = column.to_numpy(zero_copy_only=False)  # NaN where there is none, as tables of numbers have it
    values, fits = _rounded(numbers, unit)
    return Read(values, ~np.isnan(numbers), fits)


def _rounded(values: npt.NDArray[np.float64], unit: int) -> tuple[Nanoseconds, Mask]:
    """Return floating-point times in whole ns, and which of them are finite and fit."""
    with np.errstate(over="ignore", invalid="ignore"):
        exact = values * unit
        fits = np.abs(exact) <= LATEST  # false for NaN
    exact = np.where(fits, exact, 0)
    micro = UNITS["us"]
    coarse = np.rint(exact / micro).astype(np.int64) * micro
    return np.where(np.abs(exact) < _EXACT, np.rint(exact).astype(np.int64), coarse), fits
