"""What serving engines told a Prometheus over a window, rolled up there: constant questions, however many pods."""

from collections.abc import Callable, Collection, Iterator, Mapping
from math import isfinite
from typing import NamedTuple

from gpuaudit.cluster.serving import Served
from gpuaudit.collect.engines.gathered import Gathered, Of
from gpuaudit.collect.engines.whose import Whose
from gpuaudit.collect.metrics.answers import points
from gpuaudit.collect.metrics.identity import ClusterOf
from gpuaudit.collect.metrics.owners import Owners
from gpuaudit.collect.prometheus.asking import Piece, Row
from gpuaudit.collect.prometheus.engine_plan import EnginePlan, probe
from gpuaudit.collect.prometheus.errors import QueryError
from gpuaudit.collect.prometheus.plan import Hours, hour_of
from gpuaudit.collect.prometheus.questions import Inquiry
from gpuaudit.knowledge import engines, queries
from gpuaudit.knowledge.engines import Signal


class Join(NamedTuple):
    """How series are joined to clusters and workloads; with `only`, those of other clusters are left out."""

    cluster_of: ClusterOf
    owners: Owners
    workloads: Collection[str] = ()
    only: Collection[str] = ()


def read_engines(inquiry: Inquiry, hours: Hours, join: Join) -> tuple[Served, ...]:
    """Return what engines told; () without any. What goes unanswered is noted in the inquiry and stays unknown."""
    try:
        dialect = probe(inquiry.asker, hours, inquiry.plan.matchers)
    except QueryError as error:
        inquiry.note(error)
        return ()
    if not dialect.signals:
        return ()
    plan = EnginePlan(dialect, hours, inquiry.plan.pieces())
    whose = Whose(join.cluster_of, join.owners, workloads=join.workloads)
    taker = _Taker(Gathered(inquiry.source), whose, inquiry.source, join.only)
    for query in queries.templates():
        take = taker.by_expression.get(query.expression)
        if take is not None:
            for signal, piece, rows in inquiry.rows(list(plan.questions(query)), "engines"):
                take(signal, piece, rows)
    return taker.gathered.served()


class _Taker:
    """Puts rows of answers where they belong."""

    def __init__(self, gathered: Gathered, whose: Whose, source: str, only: Collection[str]) -> None:
        self.gathered = gathered
        self._whose = whose
        self._source = source
        self._only = frozenset(only)
        self.by_expression: Mapping[str, Callable[[Signal, Piece, list[Row]], None]] = {
            "speakers": self._pods,
            "heard": self._hours,
            "counted": self._counts,
            "bucketed": self._buckets,
            "peak": self._peaks,
            "load": self._loads,
            "size": self._sizes,
            "config": self._caches,
        }

    def _of(self, signal: Signal, row: Row) -> Of | None:
        of = self._whose.of(signal.engine, row.metric, self._source)
        return of if not self._only or of.cluster in self._only else None

    def _pods(self, _: Signal, __: Piece, rows: list[Row]) -> None:
        for row in rows:
            self._whose.learn(row.metric, self._source)

    def _each(self, signal: Signal, rows: list[Row]) -> Iterator[tuple[Row, Of, int, float]]:
        """Yield every value of every row that is about a cluster of these, with whom it is about and its time in ms."""
        for row in rows:
            of = self._of(signal, row)
            if of is not None:
                yield from ((row, of, time, value) for time, value in _values(row))

    def _hours(self, signal: Signal, _: Piece, rows: list[Row]) -> None:
        for _row, of, time, value in self._each(signal, rows):
            self.gathered.seen(of, hour_of(time), value)

    def _counts(self, signal: Signal, _: Piece, rows: list[Row]) -> None:
        for _row, of, _time, value in self._each(signal, rows):
            self.gathered.count(of, signal, value)

    def _buckets(self, signal: Signal, _: Piece, rows: list[Row]) -> None:
        for row, of, _time, value in self._each(signal, rows):
            bound = _number(row.metric.get("le", ""))
            if bound is not None:
                self.gathered.bucket(of, signal, bound, value)

    def _peaks(self, signal: Signal, _: Piece, rows: list[Row]) -> None:
        for _row, of, time, value in self._each(signal, rows):
            if signal.signal == "kv":
                self.gathered.kv(of, time + 1, value)
            else:
                self.gathered.load(of, signal, "max", value)

    def _loads(self, signal: Signal, _: Piece, rows: list[Row]) -> None:
        for row, of, _time, value in self._each(signal, rows):
            self.gathered.load(of, signal, "p95", value, group=repr(sorted(row.metric.items())))

    def _sizes(self, signal: Signal, _: Piece, rows: list[Row]) -> None:
        for _row, of, _time, value in self._each(signal, rows):
            self.gathered.smallest(of, signal, value)

    def _caches(self, signal: Signal, _: Piece, rows: list[Row]) -> None:
        for row in rows:
            of = self._of(signal, row)
            if of:
                told = {name: row.metric[name] for name in engines.attribution().cache if name in row.metric}
                self.gathered.caches[of].append(told)


def _values(row: Row) -> list[tuple[int, float]]:
    """Return times (ms) and values, what is no number left out."""
    _, times, values = points([row.raw])
    found = zip(times.tolist(), values.tolist(), strict=True)
    return [(round(time * 1000), value) for time, value in found if isfinite(value)]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
