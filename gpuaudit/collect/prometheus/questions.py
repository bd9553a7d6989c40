"""Ask a server all templates of a window, a few at a time, and note which hours went unanswered."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from gpuaudit.collect.in_flight import in_flight
from gpuaudit.collect.memory import give_back
from gpuaudit.collect.metrics.store import Series
from gpuaudit.collect.prometheus.asking import HOUR_MS, Asker, Piece, Question, Row, answers
from gpuaudit.collect.prometheus.errors import QueryError
from gpuaudit.collect.prometheus.plan import Plan, hour_of, metric_of
from gpuaudit.collect.prometheus.rollups import LabelSets, Numbers, Points, joined, read
from gpuaudit.collect.prometheus.spread import Told
from gpuaudit.knowledge import queries
from gpuaudit.knowledge.queries import Query

Progress = Callable[[str], None]
LAST_PIECES = 2  # of hours, behind the questions about the whole window
GIVE_BACK = 8  # answers after which freed memory goes back to the system
T = TypeVar("T")
R = TypeVar("R")


@dataclass
class OverWindow:
    """Templates about the whole window, asked among the hours, and what was `told`, by field and statistic.

    They take longest. Behind them come the oldest hours, so that the server does not end with one long question alone;
    the newest come first, in case that the time is over.
    """

    wanted: Sequence[Query]
    told: dict[tuple[str, str], list[Told]] = field(default_factory=dict)


@dataclass
class Inquiry:
    """One server's answers to the plan. `lost` are hours (ms) that an essential question got no answer about."""

    asker: Asker
    plan: Plan
    source: str
    progress: Progress | None = None
    lost: set[int] = field(default_factory=set)
    troubles: dict[str, int] = field(default_factory=dict)  # how often, by text
    sets: LabelSets = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.sets = LabelSets(self.source)

    def hourly(
        self,
        wanted: Sequence[Query],
        pieces: Sequence[Piece],
        *,
        essential: Collection[Query],
        over: OverWindow | None = None,
    ) -> Iterator[tuple[Piece, dict[str, Points]]]:
        """Yield the hourly values of piece after piece, by the name of the template; `over` is filled meanwhile."""
        asked: list[tuple[Query, Piece | None]] = [(query, piece) for piece in pieces for query in wanted]
        place = len(wanted) * (len(pieces) - LAST_PIECES)
        asked[max(0, place) : max(0, place)] = [(query, None) for query in over.wanted] if over else []

        def work(item: tuple[Query, Piece | None]) -> tuple[Query, Piece | None, list[tuple[Piece, Points]]]:
            query, piece = item
            question = self.plan.window(query) if piece is None else self.plan.of_piece(query, piece)
            metric, name = query.metric or metric_of(query.field), "" if query.statistic == "count" else query.field
            return query, piece, list(self._read(question, metric, name, essential=query in essential))

        found: dict[str, Points] = {}
        done = self._do(work, asked, "hours", empty=lambda result: not any(len(points) for _, points in result[2]))
        for query, piece, parts in done:
            if piece is not None:
                found[query.name] = joined([points for _, points in parts])
                if len(wanted) == len(found):
                    yield piece, found
                    found = {}
            elif over is not None:
                over.told[query.field, query.statistic] = [
                    Told(points.codes, points.values, of.range_ms) for of, points in parts
                ]

    def all_hours(self, wanted: Sequence[Query], *, essential: Collection[Query]) -> dict[str, Points]:
        """Return the hourly values of the whole window by the name of the template."""
        parts = [found for _, found in self.hourly(wanted, self.plan.pieces(), essential=essential)]
        return {query.name: joined([part[query.name] for part in parts]) for query in wanted}

    def answered(self, points: Points) -> Points:
        """Leave out the hours that went unanswered: what is left of them would look like a gap of some devices."""
        return points.take(~np.isin(points.hours, list(self.lost))) if self.lost else points

    def series(self, wanted: Sequence[tuple[Query, Question]]) -> dict[str, list[Series]]:
        """Return rows as series with their newest value, by the name of the template."""
        found: dict[str, list[Series]] = {query.name: [] for query, _ in wanted}

        def work(item: tuple[Query, Question]) -> tuple[str, list[Series]]:
            query, question = item
            rows = [row for _, rows in self._answered(question) for row in rows]
            return query.name, [self._as_series(query.metric, row, question.piece.last) for row in rows]

        for name, rows in self._do(work, wanted, "cards and owners"):
            found[name] += rows
        return found

    def daily(self, query: Query) -> list[Series]:
        """Return rows as series with their newest value, and by how much each grew from day to day."""
        from gpuaudit.collect.metrics.answers import points

        found: dict[tuple[tuple[str, str], ...], list[tuple[Numbers, Numbers]]] = {}
        for _, rows in self._answered(self.plan.daily(query)):
            for row in rows:
                _, times, values = points([row.raw])
                found.setdefault(tuple(sorted(row.metric.items())), []).append((times, values))
        return [_over_days(dict(labels), parts, self.source) for labels, parts in found.items()]

    def rows(self, wanted: Sequence[tuple[T, Question]], what: str) -> Iterator[tuple[T, Piece, list[Row]]]:
        """Yield the rows of each question, and which piece of it they are about; nothing where none came."""

        def work(item: tuple[T, Question]) -> list[tuple[T, Piece, list[Row]]]:
            return [(item[0], question.piece, rows) for question, rows in self._answered(item[1])]

        for found in self._do(work, wanted, what):
            yield from found

    def counted(self, query: Query) -> dict[str, int]:
        """Return series by metric, of the inventory."""
        rows = [row for _, rows in self._answered(self.plan.now(query)) for row in rows]
        return {row.metric.get("__name__", ""): int(_value(row)) for row in rows}

    def times(self, metric: str, labels: Mapping[str, str], end: int) -> Numbers:
        """Return the distinct times in ms of one series' raw samples in the hour before `end`."""
        from gpuaudit.collect.metrics.answers import points

        piece = Piece(end - 1, end - 1, HOUR_MS)
        question = Question(lambda of, _: self.plan.raw(metric, labels, of.range_ms), piece)
        rows = [row for _, rows in self._answered(question) for row in rows]
        _, times, _ = points([row.raw for row in rows[:1]])
        return np.unique(np.rint(times * 1000).astype(np.int64))

    def _read(self, question: Question, metric: str, name: str, *, essential: bool) -> Iterator[tuple[Piece, Points]]:
        """Yield the points of the field `name` ("" = counts) that came, and which piece they are about."""
        for answer in answers(self.asker, question, self.asker.text_rows):
            try:
                if isinstance(answer, QueryError):
                    raise answer
                yield answer[0].piece, read(answer[1], self.sets, metric, name=name)
            except QueryError as error:
                self.note(error, question.piece if essential else None)

    def _answered(self, question: Question) -> Iterable[tuple[Question, list[Row]]]:
        for answer in answers(self.asker, question, self.asker.rows):
            if isinstance(answer, QueryError):
                self.note(answer)
            else:
                yield answer

    def note(self, error: QueryError, piece: Piece | None = None) -> None:
        """Note what went wrong, and the hours that an essential question got no answer about."""
        with self._lock:
            text = str(error) or type(error).__name__
            self.troubles[text] = self.troubles.get(text, 0) + 1
            if piece is not None:
                self.lost |= {hour_of(time) for time in range(piece.first, piece.last + 1, piece.range_ms)}

    def _do(
        self, work: Callable[[T], R], items: Sequence[T], what: str, *, empty: Callable[[R], bool] = lambda _: False
    ) -> Iterator[R]:
        """Yield what comes of each item. More are worked on than may be asked at a time: answers take time as well."""
        at_once = 2 * queries.limits().in_flight
        for number, result in enumerate(in_flight(work, items, at_once=at_once, empty=empty), start=1):
            if self.progress is not None:
                self.progress(f"{self.source}: {what}, {number} of {len(items)}")
            if number % GIVE_BACK == 0:
                give_back()
            yield result
        give_back()

    def _as_series(self, metric: str, row: Row, time: int) -> Series:
        one = Series(metric, row.metric, self.source, sampled=False)
        one.count, one.first, one.last, one.value = 1, time, time, _value(row)
        return one


def _over_days(labels: dict[str, str], parts: Sequence[tuple[Numbers, Numbers]], source: str) -> Series:
    name = labels.pop("__name__", "")
    one = Series(name, labels, source, sampled=False)
    times = np.concatenate([times for times, _ in parts])
    values = np.concatenate([values for _, values in parts])
    one.record_many(np.rint(times * 1000).astype(np.int64), values)
    return one


def _value(row: Row) -> float:
    from gpuaudit.collect.metrics.answers import points

    _, _, values = points([row.raw])
    return float(values[-1]) if len(values) and values[-1] == values[-1] else 0.0


def hours_of(pieces: Iterable[Piece]) -> dict[int, int]:
    """Return the length in ms of the hours that are not full ones, by hour."""
    return {hour_of(piece.last): piece.range_ms for piece in pieces if piece.range_ms != HOUR_MS}
