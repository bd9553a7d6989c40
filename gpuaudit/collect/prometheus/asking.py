"""Ask one Prometheus: few requests at a time, patient when it is busy, in pieces when a question is too heavy.

Answers are decoded by more threads than may ask at a time, so that the server does not wait for them.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import msgspec

from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.collect.prometheus.errors import (
    BusyError,
    GoneError,
    OutOfTimeError,
    QueryError,
    RefusedError,
    TooMuchError,
)
from gpuaudit.collect.prometheus.transport import Transport
from gpuaudit.knowledge import queries

HOUR_MS = 3_600_000
T = TypeVar("T")
R = TypeVar("R")


class _Series(msgspec.Struct):
    """One series of an answer; points are still text (see `answers.points`)."""

    value: msgspec.Raw = msgspec.Raw(b"")
    values: msgspec.Raw = msgspec.Raw(b"")

    @property
    def raw(self) -> bytes:
        """Return `[[seconds, "value"], …]`, of a vector too."""
        return bytes(self.values) or b"[" + bytes(self.value) + b"]"


class Row(_Series):
    """One series with its labels."""

    metric: dict[str, str] = {}


class TextRow(_Series):
    """One series whose labels are still text: answer after answer has the same (see `LabelSets`)."""

    metric: msgspec.Raw = msgspec.Raw(b"{}")


AnyRow = TypeVar("AnyRow", Row, TextRow)


class _Data(msgspec.Struct, Generic[AnyRow]):
    result: list[AnyRow]


class _Answer(msgspec.Struct, Generic[AnyRow]):
    status: str
    data: _Data[AnyRow] | None = None
    error: str = ""


class _Listed(msgspec.Struct):
    data: list[str] = []


_ANSWER = msgspec.json.Decoder(_Answer[Row])  # made before threads share them: see collect.decode
_TEXT_ANSWER = msgspec.json.Decoder(_Answer[TextRow])
_LISTED = msgspec.json.Decoder(_Listed)
_LABELS = msgspec.json.Decoder(dict[str, str])


def labels_of(text: bytes) -> dict[str, str]:
    """Return the labels of a row whose labels are text. QueryError for what is none."""
    try:
        return _LABELS.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise QueryError(f"not an answer of Prometheus: {str(error)[:100]}") from error


@dataclass(frozen=True)
class Piece:
    """Times to evaluate at: from `first` to `last` in ms, `range_ms` apart, each reaching `range_ms` back.

    `whole` = the range is one that a statistic was asked of; halves of it are other statistics.
    """

    first: int
    last: int
    range_ms: int
    whole: bool = False

    @property
    def steps(self) -> int:
        """How many times there are."""
        return (self.last - self.first) // self.range_ms + 1

    def halves(self) -> tuple["Piece", ...]:
        """Return two shorter pieces; nothing when it is short already."""
        if self.whole:
            half = self.range_ms // 2
            early = Piece(self.first - half, self.last - half, self.range_ms - half, whole=True)
            return (early, Piece(self.first, self.last, half, whole=True)) if half >= HOUR_MS else ()
        if self.steps < 2:
            return ()
        middle = self.first + (self.steps // 2 - 1) * self.range_ms
        return (Piece(self.first, middle, self.range_ms), Piece(middle + self.range_ms, self.last, self.range_ms))


@dataclass(frozen=True)
class Question:
    """An expression (by range and matcher) about a piece, for all series or the part that a matcher takes."""

    expression: Callable[[Piece, str], str]
    piece: Piece
    parts: tuple[str, ...] = ()  # matchers that together take all series
    part: str = ""

    @property
    def text(self) -> str:
        """Return the expression as it is sent."""
        return self.expression(self.piece, self.part)

    def smaller(self) -> list["Question"]:
        """Return questions that together ask the same: shorter times first, unless that changes the statistic."""
        in_time = [replace(self, piece=half) for half in self.piece.halves()]
        by_part = [replace(self, part=part) for part in self.parts] if not self.part else []
        return (by_part or in_time) if self.piece.whole else (in_time or by_part)


@dataclass
class Asker:
    """Asks one server. `requests`, `received` (bytes) and `halved` count what it took."""

    transport: Transport
    deadline: Deadline
    parameters: dict[str, str] = field(default_factory=dict)  # of the flavour
    requests: int = 0
    received: int = 0
    halved: int = 0
    most_steps: int = sys.maxsize  # that a question may have: what the server found too long, halved
    gone: QueryError | None = None  # the server cannot be reached any more: nobody needs to ask
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _turns: threading.Semaphore = field(
        default_factory=lambda: threading.Semaphore(queries.limits().in_flight), repr=False
    )

    def rows(self, expression: str, piece: Piece) -> list[Row]:
        """Return the rows of a piece, in one request. Raises QueryError."""
        return _decoded(self._answer(expression, piece), _ANSWER)

    def text_rows(self, expression: str, piece: Piece) -> list[TextRow]:
        """Return the rows of a piece with labels as text, in one request. Raises QueryError."""
        return _decoded(self._answer(expression, piece), _TEXT_ANSWER)

    def _answer(self, expression: str, piece: Piece) -> bytearray:
        parameters = self.parameters | {"query": expression, "timeout": f"{round(queries.limits().query_seconds)}s"}
        if piece.steps == 1:
            return self._ask("/api/v1/query", parameters | {"time": _seconds(piece.last)})
        span = {"start": _seconds(piece.first), "end": _seconds(piece.last), "step": _seconds(piece.range_ms)}
        return self._ask("/api/v1/query_range", parameters | span)

    def labels(self, selector: str, start: int, end: int) -> frozenset[str]:
        """Return the label names that series of a selector have."""
        return self._listed("/api/v1/labels", selector, start, end)

    def names(self, selector: str, start: int, end: int) -> frozenset[str]:
        """Return the metric names that series of a selector have."""
        return self._listed("/api/v1/label/__name__/values", selector, start, end)

    def _listed(self, path: str, selector: str, start: int, end: int) -> frozenset[str]:
        body = self._ask(path, {"match[]": selector, "start": _seconds(start), "end": _seconds(end)})
        try:
            return frozenset(_LISTED.decode(body).data)
        except msgspec.DecodeError as error:
            raise QueryError(f"not an answer of Prometheus: {str(error)[:100]}") from error

    def build(self) -> dict[str, str]:
        """Return what the server says it is; nothing when it does not say."""
        try:
            answer = msgspec.json.decode(self._ask("/api/v1/status/buildinfo", {}), type=dict[str, Any])
        except (QueryError, msgspec.DecodeError) as error:
            if isinstance(error, RefusedError | GoneError | OutOfTimeError):
                raise
            return {}
        data = answer.get("data")
        return {str(key): str(value)[:100] for key, value in data.items()} if isinstance(data, dict) else {}

    def fits(self, expression: str) -> bool:
        """Whether a query is short enough for the way to the server."""
        from urllib.parse import quote_plus

        limit = self.transport.max_query_bytes
        return not limit or len(quote_plus(expression)) + 200 <= limit

    def _ask(self, path: str, parameters: dict[str, str]) -> bytearray:
        """Return the answer; a turn is kept while a busy server is given time."""
        with self._turns:
            return self._patiently(path, parameters)

    def _patiently(self, path: str, parameters: dict[str, str]) -> bytearray:
        limits = queries.limits()
        for attempt in range(limits.retries + 1):
            if self.gone is not None:
                raise self.gone
            if self.deadline.over:
                raise OutOfTimeError("the time for collecting was over")
            self._count(requests=1)
            try:
                body = self.transport.ask(path, parameters, self.deadline)
            except BusyError as error:
                if attempt == limits.retries:
                    raise
                self.deadline.sleep(error.wait if error.wait is not None else 0.5 * 2**attempt)
            except (GoneError, RefusedError) as error:
                if isinstance(error, RefusedError) or attempt >= 1:
                    self.gone = error
                    raise
                self.deadline.sleep(1.0)
            else:
                self._count(received=len(body))
                return body
        raise QueryError("no answer")

    def _count(self, *, requests: int = 0, received: int = 0, halved: int = 0) -> None:
        with self._lock:
            self.requests += requests
            self.received += received
            self.halved += halved

    def note_halved(self, piece: Piece) -> None:
        """Remember a question that had to be cut."""
        self._count(halved=1)
        if not piece.whole and piece.steps > 1:
            with self._lock:
                self.most_steps = min(self.most_steps, max(1, piece.steps // 2))


def answers(
    asker: Asker, question: Question, ask: Callable[[str, Piece], list[AnyRow]]
) -> Iterator[tuple[Question, list[AnyRow]] | QueryError]:
    """Yield the answer, or those to smaller questions as often as the server finds it too much, or what went wrong.

    What the server once found too long is not tried again: later questions begin with shorter times.
    """
    work = [(question, 0)]
    while work:
        asked, depth = work.pop()
        if not asked.piece.whole and asked.piece.steps > asker.most_steps:
            work += [(one, depth) for one in reversed(asked.smaller())]
            continue
        try:
            rows = ask(asked.text, asked.piece)
        except TooMuchError as error:
            smaller = asked.smaller() if depth < queries.limits().halvings else []
            asker.note_halved(asked.piece)
            work += [(one, depth + 1) for one in reversed(smaller)]
            if not smaller:
                yield error
        except QueryError as error:
            yield error
        else:
            yield asked, rows


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"


def _decoded(body: bytearray, decoder: "msgspec.json.Decoder[_Answer[AnyRow]]") -> list[AnyRow]:
    try:
        answer = decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise QueryError(f"not an answer of Prometheus: {str(error)[:100]}") from error
    if answer.status != "success" or answer.data is None:
        raise QueryError(f"the server answered: {answer.error[:200]}")
    return answer.data.result
