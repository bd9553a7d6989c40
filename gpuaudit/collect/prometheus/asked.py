"""What an audit would ask of a server, template by template, and about how many samples that reads there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from gpuaudit.collect.prometheus.asking import HOUR_MS, Piece
from gpuaudit.collect.prometheus.engine_plan import EngineDialect, EnginePlan, every_series, probe
from gpuaudit.collect.prometheus.errors import QueryError
from gpuaudit.collect.prometheus.plan import Hours
from gpuaudit.collect.prometheus.questions import Inquiry
from gpuaudit.knowledge import queries
from gpuaudit.knowledge.queries import Query


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A template as an audit asks it: requests at most, samples that the server reads for it (None = unknown)."""

    name: str
    query: str
    requests: int
    samples: int | None


def product(count: int, rate: float | None, span: float) -> int | None:
    """Return samples: of so many series, so many an hour, over so many hours; None where the rate is not known."""
    if not count:
        return 0
    return None if rate is None else round(count * rate * span)


def planned_engines(
    inquiry: Inquiry, hours: Hours, *, per_hour: float | None, history: timedelta
) -> tuple[Planned, ...]:
    """Return the templates about serving engines; engines are taken to be scraped as often as the devices are."""
    try:
        dialect = probe(inquiry.asker, hours, inquiry.plan.matchers)
        counted = _counted(inquiry, dialect, hours) if dialect.names else {}
    except QueryError as error:
        inquiry.note(error)
        return ()
    plan = EnginePlan(dialect, hours, inquiry.plan.pieces())
    length = history / timedelta(hours=1)
    return tuple(_planned(query, plan, counted, per_hour, length) for query in queries.templates() if query.signals)


def _planned(
    query: Query, plan: EnginePlan, counted: Mapping[str, int], per_hour: float | None, length: float
) -> Planned:
    asked = list(plan.questions(query))
    series = sum(counted.get(name, 0) for name in {signal.name for signal, _ in asked})
    return Planned(
        name=query.name,
        query=asked[0][1].text if asked else queries.expression(query).text,
        requests=len(asked),
        samples=product(series, per_hour, length),
    )


def _counted(inquiry: Inquiry, dialect: EngineDialect, hours: Hours) -> dict[str, int]:
    """Return the series of each metric of engines, now."""
    last = hours.whole.last
    text = f"count by (__name__) ({every_series(dialect.matchers)})"
    rows = inquiry.asker.rows(text, Piece(last, last, HOUR_MS))
    return {row.metric.get("__name__", ""): _value(row.raw) for row in rows}


def _value(raw: bytes) -> int:
    from gpuaudit.collect.metrics.answers import points

    values = points([raw])[2]
    return int(values[-1]) if len(values) else 0
