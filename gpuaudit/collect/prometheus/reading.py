"""One Prometheus over a window → what metrics say (MetricsPart): the same as from files, read as roll-ups."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from gpuaudit.cluster.nodes import Node, Span
from gpuaudit.cluster.platform import Metric
from gpuaudit.cluster.usage import UNKNOWN_OWNER, Usage
from gpuaudit.collect.memory import map_large
from gpuaudit.collect.metrics.identity import ClusterOf, Holders, Places, is_device
from gpuaudit.collect.metrics.owners import OwnerOf, Owners
from gpuaudit.collect.metrics.parts import MetricsPart, join_ratio
from gpuaudit.collect.metrics.ports import listed_place, ports
from gpuaudit.collect.metrics.seen import at, cards, host_spans
from gpuaudit.collect.metrics.store import Series
from gpuaudit.collect.metrics.timeline import spacing
from gpuaudit.collect.prometheus.asking import HOUR_MS, Asker
from gpuaudit.collect.prometheus.engine_reading import Join, read_engines
from gpuaudit.collect.prometheus.errors import QueryError, RefusedError
from gpuaudit.collect.prometheus.fleet import Fleet, fleet
from gpuaudit.collect.prometheus.measure import Measure, base_counts, densest, intervals, measure
from gpuaudit.collect.prometheus.plan import Dialect, Hours, Plan, metric_of
from gpuaudit.collect.prometheus.presence import presence
from gpuaudit.collect.prometheus.questions import Inquiry, Progress, hours_of
from gpuaudit.collect.prometheus.rollups import Points
from gpuaudit.collect.prometheus.usage import UsageMaker, template
from gpuaudit.knowledge import fabric, metrics, queries, series
from gpuaudit.knowledge.queries import Flavour

INVENTORY = ("inventory-devices", "inventory-others")
MAX_SCRAPERS = 4  # whose interval is measured of raw samples
COUNTED = ("sm_active", "gr_engine_active", "gpu_util", "memory")  # what can tell that a device was sampled, best first


@dataclass(frozen=True, kw_only=True)
class Known:
    """What Kubernetes says, to join the metrics to (see metrics.parts.metrics_part).

    `clusters` makes of a server's device series what names the cluster of each. A server with devices of no cluster
    in `only` is joined to nothing.
    """

    clusters: Callable[[Sequence[Series]], ClusterOf]
    nodes: Collection[Node] = ()
    owner_of: OwnerOf | None = None
    workloads: Collection[str] = ()
    only: Collection[str] = ()  # clusters; a shared store's others are left out


@dataclass(frozen=True, kw_only=True)
class PrometheusReading:
    """What a server said. `since` is when its history begins, None without any; `troubles` are lines for a person.

    `lost_hours` of `hours` went unanswered: they are unknown, not idle. `flavour` is None if it never answered.
    """

    part: MetricsPart
    since: datetime | None = None
    flavour: Flavour | None = None
    version: str = ""
    recorded: int = 0  # roll-ups of recording rules that were used
    hours: int = 0
    lost_hours: int = 0
    troubles: tuple[str, ...] = ()
    refused: bool = False


def read_prometheus(
    asker: Asker, *, window: Span, known: Known, matchers: Sequence[str] = (), progress: Progress | None = None
) -> PrometheusReading:
    """Read the window from a server. Nothing that the server does raises: what is missing is said in the reading."""
    map_large()
    hours = Hours(_ms(window.start), _ms(window.end))
    try:
        flavour, version = recognise(asker)
        dialect, counted = probe(asker, hours, matchers)
    except QueryError as error:
        refused = isinstance(error, RefusedError)
        return PrometheusReading(part=MetricsPart(), troubles=(str(error),), refused=refused)
    recorded = counted.keys() & {query.recorded for query in queries.templates()}
    plan = Plan(dialect, hours, chunk_hours=chunk(counted), recorded=recorded)
    inquiry = Inquiry(asker, plan, asker.transport.name, progress)
    part, since = _read(inquiry, hours, known, counted)
    return PrometheusReading(
        part=part,
        since=since,
        flavour=flavour,
        version=version,
        recorded=len(recorded),
        hours=sum(piece.steps for piece in plan.pieces()),
        lost_hours=len(inquiry.lost),
        troubles=tuple(f"{text} ({count} times)" if count > 1 else text for text, count in inquiry.troubles.items()),
    )


def recognise(asker: Asker) -> tuple[Flavour, str]:
    """Return which product a server is, and its version; it is asked as that product wants from now on."""
    build = asker.build()
    host = asker.transport.name.partition("/")[0].partition(":")[0]
    flavour = queries.flavour_of_host(host) or queries.flavour_of_build(" ".join(build.values()))
    asker.parameters = dict(flavour.parameters)
    return flavour, build.get("version", "")


def probe(asker: Asker, hours: Hours, matchers: Sequence[str]) -> tuple[Dialect, dict[str, int]]:
    """Find out label names and metrics; a server that does not list labels is asked with all that are known."""
    every = Dialect(_every_label(), tuple(matchers), metrics.device_fields().gpu_util.metric)
    inquiry = Inquiry(asker, Plan(every, hours, chunk_hours=1), asker.transport.name)
    counted: dict[str, int] = {}
    for name in INVENTORY:
        counted |= inquiry.counted(queries.named(name))
    if asker.gone is not None:
        raise asker.gone
    if sum(inquiry.troubles.values()) == len(INVENTORY):  # neither was answered
        raise QueryError(next(iter(inquiry.troubles)))
    sampled = {name: counted.get(name, 0) for name, feed in series.sampled().items() if feed != "node"}
    holding = max(sampled, key=lambda name: sampled[name]) if any(sampled.values()) else every.holding
    named = f'__name__=~"{"|".join(sampled)}"'
    try:
        labels = asker.labels(f"{{{','.join([named, *matchers])}}}", hours.start, hours.end)
    except QueryError:
        labels = frozenset()
    return replace(every, labels=labels or every.labels, holding=holding), counted


def _every_label() -> frozenset[str]:
    known, facts = metrics.labels(), series.facts()
    rows = (known.uuid, known.mig_instance, known.mig_profile, known.gpu_index, known.device, known.model, known.host)
    more = (known.host_fallback, known.pod, known.namespace, known.container, known.replica, facts.cluster)
    return frozenset(name for row in (*rows, *more) for name in row) | {facts.job}


def chunk(counted: Mapping[str, int]) -> int:
    """Return how many hours one answer may hold."""
    limits = queries.limits()
    most = max((counted.get(name, 0) for name in series.sampled()), default=0)
    return max(1, min(limits.chunk_hours, limits.answer_points // max(1, most)))


def _read(
    inquiry: Inquiry, hours: Hours, known: Known, counted: Mapping[str, int]
) -> tuple[MetricsPart, datetime | None]:
    lengths = hours_of(inquiry.plan.pieces())
    counting = [template(name, "count") for name in COUNTED]
    answered = inquiry.all_hours([*counting, queries.named("nodes")], essential=counting)
    counts = {query.field: answered[query.name] for query in counting}
    listed = answered["nodes"]
    states, owned = _states(inquiry), _owner_series(inquiry, counted)
    sets = inquiry.sets.series
    devices = [one for one in sets if is_device(one)]
    cluster_of = known.clusters(devices)
    places = Places([*sets, *states], cluster_of, known.nodes)
    owners = Owners(owned, cluster_of=cluster_of, owner_of=known.owner_of, workloads=known.workloads)
    holders = Holders(sets)
    found = fleet(sets, places, holders, owners, only=known.only)
    inquiry.sets.closed = True  # what only later answers tell of was not counted: unknown, as its hours are
    del answered
    chosen, usage = _measured(inquiry, found, counts, hours, lengths)
    served = read_engines(inquiry, hours, Join(cluster_of, owners, known.workloads, known.only))
    sampled = [(one, device) for one, device in found.placed if one.count]
    part = MetricsPart(
        usage=usage,
        cards=cards([*sampled, *((one, device) for one in states if (device := places.device(one)))]),
        present=presence(sets, listed, places, lengths),
        heard=host_spans(sampled, now=hours.end),
        ports=ports(_ports(inquiry, counted), listed_place(known.nodes, places.cluster)),
        metrics=_inventory(inquiry.source, counted, sampled, chosen),
        served=served if sampled or not known.only or any(row.workload for row in served) else (),
        attributed=bool((usage.devices["owner"] != UNKNOWN_OWNER).any()),
        history=bool(len(usage.hourly)),
        join_ratio=join_ratio(sampled, holders, owners, places) if sampled or not (devices and known.only) else 0.0,
        unplaced_series=found.unplaced,
    )
    return part, _since(usage)


def _measured(
    inquiry: Inquiry, found: Fleet, counts: dict[str, Points], hours: Hours, lengths: Mapping[int, int]
) -> tuple[Measure, Usage]:
    """Return what measures the devices, and the tables. Counts are let go as soon as they are used: they are large."""
    chosen = measure(found, counts)
    base = inquiry.answered(base_counts(found, chosen, counts))
    counts.clear()
    spacings = _spacings(inquiry, found, chosen, base)
    chosen = replace(chosen, interval_ms=intervals(found, base, lengths, spacings))
    _date(found.label_sets, base, lengths, hours)
    maker = UsageMaker(inquiry, found, chosen, hours, lengths)
    told = maker.ask(base)
    del base
    return chosen, maker.usage(told)


def _spacings(inquiry: Inquiry, found: Fleet, chosen: Measure, base: Points) -> dict[int, float]:
    """Return the median spacing of raw samples in ms of a few scrapers: of each the busiest hour of one series."""
    spacings = {}
    for scraper, (code, hour) in list(densest(found, base).items())[:MAX_SCRAPERS]:
        field_of = chosen.fields[chosen.field_of[found.device_of[code]]]
        times = inquiry.times(metric_of(field_of), found.label_sets[code].labels, hour + HOUR_MS)
        spacings[scraper] = spacing(times)
    return {scraper: told for scraper, told in spacings.items() if told > 0}


def _states(inquiry: Inquiry) -> list[Series]:
    """Return what the cards are and their faults, as series."""
    plan, asked = inquiry.plan, []
    for query in queries.templates():
        if query.expression in ("last", "worst"):
            asked.append((query, plan.now(query) if query.expression == "last" else plan.window(query)))
    return [one for rows in inquiry.series(asked).values() for one in rows]


def _ports(inquiry: Inquiry, counted: Mapping[str, int]) -> list[Series]:
    """Return what node_exporter tells of ports, as far as it is in the store."""
    return inquiry.daily(queries.named("ports")) if fabric.port_metrics() & counted.keys() else []


def _owner_series(inquiry: Inquiry, counted: Mapping[str, int]) -> list[Series]:
    """Return the owners of the pods that held a GPU, as far as kube-state-metrics is in the store."""
    owning = [q for q in queries.templates() if queries.expression(q).kind == "owners" and counted.get(q.metric)]
    asked = [(query, question) for query in owning for question in inquiry.plan.ranges(query)]
    return [one for rows in inquiry.series(asked).values() for one in rows]


def _date(sets: Sequence[Series], base: Points, lengths: Mapping[int, int], hours: Hours) -> None:
    """Note how often and when each label set was sampled, to the hour."""
    firsts = np.full(len(sets), np.iinfo(np.int64).max)
    lasts = np.zeros(len(sets), np.int64)
    np.minimum.at(firsts, base.codes, base.hours)
    np.maximum.at(lasts, base.codes, base.hours)
    samples = np.bincount(base.codes, base.values, len(sets))
    for code in np.flatnonzero(samples).tolist():
        sets[code].count = int(samples[code])
        sets[code].first = max(int(firsts[code]), hours.start)
        sets[code].last = min(int(lasts[code]) + lengths.get(int(lasts[code]), HOUR_MS), hours.end)


def _inventory(
    source: str, counted: Mapping[str, int], sampled: Sequence[tuple[Series, object]], chosen: Measure
) -> tuple[Metric, ...]:
    known = chosen.interval_ms[~np.isnan(chosen.interval_ms)]
    first = min((one.first for one, _ in sampled if one.first is not None), default=None)
    last = max((one.last for one, _ in sampled if one.last is not None), default=None)
    counting = {name for name, feed in series.sampled().items() if feed in chosen.fields}
    rows = []
    for name, count in sorted(counted.items()):
        dated = name in counting and first is not None and last is not None
        rows.append(
            Metric(
                name=name,
                source=source,
                series=count,
                interval_seconds=float(np.median(known)) / 1000 if dated and len(known) else None,
                first=at(first) if dated and first is not None else None,
                last=at(last) if dated and last is not None else None,
            )
        )
    return tuple(rows)


def _since(usage: Usage) -> datetime | None:
    if not len(usage.devices):
        return None
    first: datetime = usage.devices["first"].min().to_pydatetime()
    return first


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
