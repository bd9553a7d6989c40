"""Templates about engines → queries of one server: its label names, its matchers, and which of the names it has."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gpuaudit.collect.engines.whose import GROUP
from gpuaudit.collect.prometheus.asking import HOUR_MS, Asker, Piece, Question
from gpuaudit.collect.prometheus.plan import Hours, duration, selector
from gpuaudit.knowledge import engines, metrics, queries, series
from gpuaudit.knowledge.engines import Signal
from gpuaudit.knowledge.queries import Query

DAY_MS = 24 * HOUR_MS
PRESENCE = (
    "running",
    "waiting",
    "kv",
    "requests",
    "generated_tokens",
    "duration",
)  # what tells that an engine is there


@dataclass(frozen=True)
class EngineDialect:
    """Which names of engines a server has, which labels their series, and the matchers that all queries carry."""

    names: frozenset[str]
    labels: frozenset[str]
    matchers: tuple[str, ...] = ()

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Return the signals that the server has."""
        return tuple(one for one in engines.signals() if one.name in self.names)

    @property
    def presence(self) -> tuple[Signal, ...]:
        """Return for each engine the signal that tells that it is there."""
        return tuple(engines.presence(self.names).values())


def probe(asker: Asker, hours: Hours, matchers: Sequence[str]) -> EngineDialect:
    """Ask which names of engines the server has and what labels them. Raises QueryError."""
    known = engines.by_name().keys()
    listed = asker.names(every_series(matchers), hours.start, hours.end)
    names = frozenset(name for name in listed if name in known)
    dialect = EngineDialect(names, _every_label(), tuple(matchers))
    if not names:
        return dialect
    told = asker.labels(_any(sorted({one.name for one in dialect.presence}), matchers), hours.start, hours.end)
    return EngineDialect(names, told or dialect.labels, tuple(matchers))


def every_series(matchers: Sequence[str]) -> str:
    """Return the selector of all series of engines, and of a few that are named like them."""
    return _any(_patterns(), matchers)


class EnginePlan:
    """Fills the templates in."""

    def __init__(self, dialect: EngineDialect, hours: Hours, pieces: Sequence[Piece]) -> None:
        """Take the window, and its pieces for what is asked hour by hour."""
        self.dialect = dialect
        self._hours = hours
        self._pieces = tuple(pieces)

    def questions(self, query: Query) -> Iterator[tuple[Signal, Question]]:
        """Yield the questions of a template: for each signal that the server has, about each piece."""
        has = self.dialect.presence if query.signals == ("presence",) else self.dialect.signals
        wanted = [one for one in has if query.signals == ("presence",) or one.signal in query.signals]
        for one in wanted:
            for piece in self._pieces_of(query):
                yield one, self._question(query, one, piece)

    def _pieces_of(self, query: Query) -> tuple[Piece, ...]:
        if query.expression == "heard":
            return self._pieces
        if query.name == "engine-kv-peaks":
            return tuple(days(self._hours))
        return (self._hours.whole,)

    def _question(self, query: Query, signal: Signal, piece: Piece) -> Question:
        def text(of: Piece, part: str) -> str:
            return self._render(query, signal, of.range_ms, part)

        return Question(text, piece)

    def _render(self, query: Query, signal: Signal, range_ms: int, part: str) -> str:
        known, pods = engines.attribution(), self._present(engines.attribution().pod)
        own = [signal.matcher] if signal.matcher else []
        own += ['le="+Inf"'] if signal.form == "histogram" and query.signals == ("presence",) else []
        clusters, spaces = series.facts().cluster, self._present(known.namespace)
        names = {
            "series": selector(signal.name, [*self.dialect.matchers, *own, *([part] if part else [])]),
            "range": duration(range_ms),
            "keys": ", ".join((*self._present(clusters), *spaces, *self._present(engines.model_labels()), GROUP)),
            "pods": ", ".join((*self._present(clusters), *spaces, *pods)) or GROUP,
            "cache": ", ".join(known.cache),
            "copies": ", ".join((*metrics.labels().replica, *known.copies)),
            "opened": "label_replace(" * (len(pods) + 1) if pods else "(",
            "closed": _grouping(pods),
        }
        return re.sub(r"\$([a-z_]+)", lambda match: names[match[1]], queries.expression(query).text)

    def _present(self, labels: Iterable[str]) -> tuple[str, ...]:
        return tuple(name for name in labels if name in self.dialect.labels)


def days(hours: Hours) -> Iterator[Piece]:
    """Yield the window in days that end where it ends, and what is left before them."""
    whole = (hours.end - hours.start) // DAY_MS
    last = hours.whole.last
    if whole:
        yield Piece(last - (whole - 1) * DAY_MS, last, DAY_MS)
    left = hours.end - hours.start - whole * DAY_MS
    if left:
        end = last - whole * DAY_MS
        yield Piece(end, end, left)


def _grouping(pods: Sequence[str]) -> str:
    """Return what follows a vector to give it the label of its pods' group, the best label last."""
    if not pods:
        return ")"
    made = [f', "{GROUP}", "$1", "{name}", "(.+)")' for name in reversed(pods)]
    return "".join([*made, f', "{GROUP}", "$1", "{GROUP}", "{engines.attribution().group}")'])


def _patterns() -> list[str]:
    """Return patterns of the names of all engines: by prefix, or each where there is none."""
    prefixes = {start for engine in engines.engines().values() for start in (engine.prefix, *engine.aliases) if start}
    plain = [name for name in engines.by_name() if not name.startswith(tuple(prefixes))]
    return sorted([f"{re.escape(start)}.+" for start in prefixes] + plain)


def _any(patterns: Sequence[str], matchers: Sequence[str]) -> str:
    named = '__name__=~"' + "|".join(patterns) + '"'
    return "{" + ",".join([named, *matchers]) + "}"


def _every_label() -> frozenset[str]:
    known = engines.attribution()
    return frozenset((*known.pod[:2], *known.namespace[:2], *engines.model_labels(), *series.facts().cluster))
