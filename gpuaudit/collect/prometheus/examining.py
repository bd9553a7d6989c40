"""Look at a Prometheus without reading it: who answers, what it holds since when, what an audit would ask of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from gpuaudit.cluster.nodes import Span
from gpuaudit.cluster.platform import Service, SourceStatus
from gpuaudit.collect.joining.metric_source import MIN_HISTORY, count_of, facts_of_names
from gpuaudit.collect.kubernetes.answers import ApiError
from gpuaudit.collect.kubernetes.connection import Connection
from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.collect.kubernetes.fetch import Fetcher
from gpuaudit.collect.metrics.identity import NOBODY_HOLDS, UNKNOWN_HOLDER, Holders
from gpuaudit.collect.metrics.seen import at
from gpuaudit.collect.prometheus.asked import Planned, planned_engines, product
from gpuaudit.collect.prometheus.asking import HOUR_MS, Asker, Piece
from gpuaudit.collect.prometheus.discovery import exporters, places
from gpuaudit.collect.prometheus.errors import QueryError, RefusedError
from gpuaudit.collect.prometheus.plan import Hours, Plan, matchers, metric_of
from gpuaudit.collect.prometheus.questions import Inquiry
from gpuaudit.collect.prometheus.reading import COUNTED, chunk, probe, recognise
from gpuaudit.collect.prometheus.rollups import Numbers
from gpuaudit.collect.prometheus.transport import direct
from gpuaudit.collect.prometheus.usage import template
from gpuaudit.config import Config
from gpuaudit.knowledge import metrics, queries
from gpuaudit.knowledge.queries import Flavour, Query

BISECTIONS = 7  # of the window, to find out how far back history reaches


@dataclass(frozen=True, kw_only=True)
class ExaminedServer:
    """What asking a server for a few hours showed. `devices` are its series by device metric."""

    server: str
    name: str = "Prometheus"  # the product and its version
    cluster: str | None = None  # in which it was found
    status: SourceStatus = "failed"
    detail: str = ""
    devices: Mapping[str, int] = field(default_factory=dict)
    interval_seconds: float | None = None
    since: datetime | None = None  # about when its history begins, within the window
    whole: bool = False  # the history reaches back over the whole window
    facts: frozenset[str] = frozenset()
    plan: tuple[Planned, ...] = ()


@dataclass(frozen=True)
class _Hour:
    """Samples of each device series in an hour, and whether one of them names its pod."""

    samples: Numbers
    named: bool = False

    @property
    def usual(self) -> float | None:
        """Samples of a series in an hour."""
        return float(np.median(self.samples)) if len(self.samples) else None


def examine_server(
    asker: Asker, *, window: Span, matching: Sequence[str] = (), cluster: str | None = None
) -> ExaminedServer:
    """Ask a server what it has: about a dozen small requests. Nothing that it does raises."""
    found = ExaminedServer(server=asker.transport.name, cluster=cluster)
    hours = Hours(round(window.start.timestamp() * 1000), round(window.end.timestamp() * 1000))
    flavour: Flavour | None = None
    try:
        flavour, version = recognise(asker)
        found = replace(found, name=f"{flavour.name} {version}".strip())
        dialect, counted = probe(asker, hours, matching)
    except QueryError as error:
        hint = flavour.hint if flavour and isinstance(error, RefusedError) else ""
        return replace(found, detail="; ".join(filter(None, (str(error), hint))))
    devices = {name: count for name, count in sorted(counted.items()) if metrics.dcgm(name) is not None and count}
    recorded = counted.keys() & {query.recorded for query in queries.templates()}
    inquiry = Inquiry(asker, Plan(dialect, hours, chunk_hours=chunk(counted), recorded=recorded), asker.transport.name)
    if not devices:
        given = frozenset(facts_of_names(name for name, count in counted.items() if count))
        return replace(found, status="partial", detail="it has no device metrics (DCGM_FI_…) now", facts=given)
    query = template(max(COUNTED, key=lambda name: counted.get(metric_of(name), 0)), "count")
    newest = _hour(inquiry, query, hours.end)
    since = _since(inquiry, query, hours) if newest.usual else None
    troubled = next(iter(inquiry.troubles), "")
    return replace(
        found,
        status="partial" if troubled else "ok",
        detail=troubled,
        devices=devices,
        interval_seconds=3600 / newest.usual if newest.usual else None,
        since=since,
        whole=since is not None and since <= window.start + timedelta(hours=2),
        facts=_facts(counted, newest, window.end - since if since else timedelta()),
        plan=(
            *_planned(inquiry.plan, counted, newest.usual, window.end - (since or window.start)),
            *planned_engines(inquiry, hours, per_hour=newest.usual, history=window.end - (since or window.start)),
        ),
    )


def _hour(inquiry: Inquiry, query: Query, end: int) -> _Hour:
    """Return what the last full hour before a time holds."""
    last = end // HOUR_MS * HOUR_MS - 1
    piece = Piece(last, last, HOUR_MS)
    parts = [found[query.name] for _, found in inquiry.hourly([query], [piece], essential=())]
    holders = Holders(inquiry.sets.series)
    named = any(holders.holder(one) not in (NOBODY_HOLDS, UNKNOWN_HOLDER) for one in inquiry.sets.series)
    return _Hour(parts[0].values, named)


def _since(inquiry: Inquiry, query: Query, hours: Hours) -> datetime:
    """Return about when history begins, by halving what is left of the window."""
    empty, there = hours.start, hours.end - HOUR_MS
    if len(_hour(inquiry, query, hours.start + 2 * HOUR_MS).samples):
        return at(hours.start)
    for _ in range(BISECTIONS):
        middle = (empty + there) // 2
        if there - empty <= HOUR_MS:
            break
        if len(_hour(inquiry, query, middle + HOUR_MS).samples):
            there = middle
        else:
            empty = middle
    return at(there // HOUR_MS * HOUR_MS)


def _facts(counted: Mapping[str, int], newest: _Hour, history: timedelta) -> frozenset[str]:
    """Return the facts that reading it would give, as far as its metrics' names and one hour tell."""
    found = facts_of_names(name for name, count in counted.items() if count)
    if any(counted.get(row.name) for row in metrics.LADDER):
        found |= {"utilization"} | ({"pod_attribution"} if newest.named else set())
    return frozenset(found | ({"history"} if history >= MIN_HISTORY else set()))


def _planned(plan: Plan, counted: Mapping[str, int], per_hour: float | None, history: timedelta) -> Iterable[Planned]:
    """Yield the templates. Samples are guessed: metrics are taken to be scraped as often as the devices are."""
    pieces = plan.pieces()
    length = history / timedelta(hours=1)
    for query in queries.templates():
        kind = queries.expression(query).kind
        if kind == "engine":
            continue
        count = counted.get(query.metric or metric_of(query.field), 0)
        if query.expression == "inventory":
            count = sum(counted.values())
        asked = plan.ranges(query) if kind == "owners" else ()
        recorded = bool(query.recorded and counted.get(query.recorded))
        once = 1.0 if kind == "owners" or recorded else 0.0
        rate = once or per_hour
        span = 1.0 if kind == "now" else length
        question = plan.of_piece(query, pieces[0]) if kind == "hourly" else plan.window(query)
        yield Planned(
            name=query.name,
            query=asked[0].text if asked else plan.now(query).text if kind == "now" else question.text,
            requests=len(pieces) if kind == "hourly" else len(asked) or 1,
            samples=count if query.expression == "inventory" else product(count, rate, span),
        )


def examine_servers(
    config: Config, clusters: Sequence[tuple[Connection, Sequence[Service]]], *, end: datetime, deadline: Deadline
) -> list[ExaminedServer]:
    """Look at the server that is named, else at the best one of each cluster. UserError as for `direct`."""
    window = Span(start=end - config.window, end=end)
    given = matchers(config.prometheus_match)
    if config.prometheus_url:
        way = direct(config.prometheus_url, headers=config.prometheus_header, ca=config.prometheus_ca)
        return [examine_server(Asker(way, deadline), window=window, matching=given)]
    found = []
    for connection, services in clusters:
        if connection.broken:
            continue
        seen = [
            examine_server(Asker(way, deadline), window=window, matching=given, cluster=connection.cluster)
            for way in places(connection, services)
        ]
        best = next((one for one in seen if one.devices), None)
        found += [best] if best else [*seen, *_exporters(connection, deadline)]
    return found


def _exporters(connection: Connection, deadline: Deadline) -> list[ExaminedServer]:
    """Return what stands in for a Prometheus: the exporters, if there are any."""
    try:
        ways = list(exporters(connection, Fetcher(connection, deadline)))
    except ApiError:
        ways = []
    detail = f"{count_of(len(ways), 'pod')} in {ways[0].name.partition('/')[0]}" if ways else ""
    if not ways:
        return []
    told = f"{detail}: a point in time, which confirms nothing about the window"
    return [ExaminedServer(server="", name="dcgm-exporter", cluster=connection.cluster, status="partial", detail=told)]
