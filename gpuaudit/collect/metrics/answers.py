"""Read what a Prometheus API answers to `query` and `query_range`, one series at a time.

Samples are decoded in bulk; what that cannot take (text in place of a value) is decoded point by point.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from gpuaudit.collect.metrics.exposition import Sink, Tally
from gpuaudit.errors import UserError

Numbers = np.ndarray[Any, Any]
BLOCK_SERIES = 500  # decoded at once: what stands between text and numbers stays small
_SHAPE_HINT = "give the JSON that /api/v1/query or /api/v1/query_range answers"


class _Series(msgspec.Struct):
    metric: dict[str, str] = {}
    value: msgspec.Raw = msgspec.Raw(b"")
    values: msgspec.Raw = msgspec.Raw(b"")


class _Data(msgspec.Struct):
    result: list[_Series] | msgspec.UnsetType = msgspec.UNSET


class _Answer(msgspec.Struct):
    status: str = "success"
    data: _Data | None = None
    result: list[_Series] | msgspec.UnsetType = msgspec.UNSET
    error: str = ""
    warnings: list[str] = []


_NUMBERS = msgspec.json.Decoder(list[float | None])  # made before threads share it: see collect.decode


def read_answer(text: bytes, sink: Sink, *, metric: str | None = None) -> Tally:
    """Read an answer into the sink. `metric` names the series that carry no `__name__`.

    UserError for JSON of another shape, an answer that says error, and series that nobody names.
    """
    tally = Tally()
    unnamed = 0
    for series in _decode(text):
        tally.lines += 1
        labels = dict(series.metric)
        name = labels.pop("__name__", None) or metric
        unnamed += name is None
        if name is None or not sink.wants(name):
            tally.unwanted += 1
            continue
        recorder = sink.series(name, labels)
        if recorder is None:
            tally.full = True
            break
        times, values = _points(bytes(series.values) or b"[" + bytes(series.value) + b"]", tally)
        recorder.record_many(times, values)
        tally.samples += len(values)
        if not sink.flush():
            tally.full = True
            break
    if unnamed and unnamed == tally.lines:
        raise UserError("the answer's series have no metric name", hint="name it: --input METRIC=FILE")
    return tally


def _decode(text: bytes) -> list[_Series]:
    try:
        if text.lstrip()[:1] == b"[":  # promtool query -o json prints the bare result
            return msgspec.json.decode(text, type=list[_Series])
        answer = msgspec.json.decode(text, type=_Answer)
    except (msgspec.DecodeError, RecursionError) as broken:
        raise UserError(f"not a Prometheus answer: {str(broken)[:200]}", hint=_SHAPE_HINT) from None
    if answer.status != "success":
        raise UserError(f"Prometheus answered with an error: {answer.error[:200]}", hint=_SHAPE_HINT)
    result = answer.data.result if answer.data is not None else answer.result
    if isinstance(result, msgspec.UnsetType):
        raise UserError("not a Prometheus answer: it has no result", hint=_SHAPE_HINT)
    return result


def points(raws: Sequence[msgspec.Raw | bytes]) -> tuple[Numbers, Numbers, Numbers]:
    """Return how many points each `[[seconds, "value"], …]` has, and times and values of all; NaN where text stands."""
    counts, pairs = [np.empty(0, np.int64)], [np.empty((0, 2))]
    for start in range(0, len(raws), BLOCK_SERIES):
        block = [bytes(raw) for raw in raws[start : start + BLOCK_SERIES]]
        count = np.array([raw.count(b"[") - 1 for raw in block], np.int64)
        found = _fast_points(b",".join(raw for raw in block if len(raw) > 2), int(count.sum()))
        if found is None:
            slow = [_slow_points(raw) for raw in block]
            count = np.array([len(part) for part in slow], np.int64)
            found = np.concatenate(slow)
        counts.append(count)
        pairs.append(found)
    whole = np.concatenate(pairs)
    return np.concatenate(counts), whole[:, 0], whole[:, 1]


def _points(raw: bytes, tally: Tally) -> tuple[Numbers, Numbers]:
    """Return times in ms and values; points without a number are counted as blank."""
    _, times, values = points([raw])
    good = np.isfinite(times) & np.isfinite(values) & (np.abs(times) < 1e12)
    tally.blank += int(len(times) - good.sum())
    return np.rint(times[good] * 1000).astype(np.int64), values[good]


def _fast_points(raw: bytes, expected: int) -> Numbers | None:
    """Return the points as one long list of numbers, which they are once brackets and quotes are gone."""
    if not expected:
        return np.empty((0, 2))
    text = raw.translate(None, b'[]" \t\r\n')
    try:
        numbers = np.array(_NUMBERS.decode(b"[%b]" % text.replace(b"NaN", b"null")), np.float64)
    except msgspec.DecodeError:
        return None
    return numbers.reshape(-1, 2) if len(numbers) == 2 * expected else None


def _slow_points(raw: bytes) -> Numbers:
    try:
        points = msgspec.json.decode(raw, type=list[tuple[float, Any]])
    except msgspec.DecodeError:
        points = []
    return np.array([(time, _number(value)) for time, value in points], dtype=np.float64).reshape(-1, 2)


def _number(text: object) -> float:
    try:
        return float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
