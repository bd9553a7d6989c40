"""What clusters were measured by: the Prometheus that is named, else the one found in each, else its exporters."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gpuaudit.cluster.nodes import Node, Span
from gpuaudit.cluster.platform import Service, Source
from gpuaudit.cluster.workloads import Pod, Workload
from gpuaudit.collect.in_flight import in_flight
from gpuaudit.collect.joining.metric_source import foreign
from gpuaudit.collect.joining.pod_workloads import pod_workloads
from gpuaudit.collect.joining.series_clusters import SeriesClusters
from gpuaudit.collect.kubernetes.answers import ApiError
from gpuaudit.collect.kubernetes.connection import Connection
from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.collect.kubernetes.fetch import Fetcher
from gpuaudit.collect.metrics.identity import ClusterOf
from gpuaudit.collect.metrics.parts import MetricsPart, metrics_part
from gpuaudit.collect.metrics.store import SampleStore, Series
from gpuaudit.collect.prometheus.asking import Asker
from gpuaudit.collect.prometheus.discovery import exporters, places
from gpuaudit.collect.prometheus.errors import QueryError
from gpuaudit.collect.prometheus.plan import matchers
from gpuaudit.collect.prometheus.reading import Known, PrometheusReading, read_prometheus
from gpuaudit.collect.prometheus.told import exporters_source, prometheus_source
from gpuaudit.collect.prometheus.transport import Proxied, Transport, direct, headers_of
from gpuaudit.config import Config
from gpuaudit.knowledge import queries

Progress = Callable[[str], None]
MAX_EXPORTERS = 2000
MAX_EXPORTER_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Audited:
    """A cluster as Kubernetes told it, and the way there."""

    connection: Connection
    name: str
    nodes: Sequence[Node] = ()
    pods: Sequence[Pod] = ()
    workloads: Sequence[Workload] = ()
    services: Sequence[Service] = ()


@dataclass
class Measured:
    """What metrics say of all clusters; parts of another cluster are left out, their sources say so."""

    parts: list[MetricsPart] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    since: datetime | None = None  # the earliest history
    interrupted: bool = False

    def add(self, part: MetricsPart, source: Source, since: datetime | None = None) -> None:
        """Take a part and its source."""
        self.sources.append(source)
        self.parts.append(MetricsPart(join_ratio=part.join_ratio) if foreign(part) else part)
        if since is not None and not foreign(part):
            self.since = min(since, self.since or since)


def measure(
    config: Config,
    clusters: Sequence[Audited],
    *,
    end: datetime,
    deadline: Deadline,
    progress: Progress | None = None,
) -> Measured:
    """Read what clusters were measured by. UserError for a URL, header or matcher that is none."""
    measured = Measured()
    window = Span(start=end - config.window, end=end)
    given = matchers(config.prometheus_match)
    url = config.prometheus_url
    headers_of(config.prometheus_header)  # a broken one is refused, also where none is sent
    way = direct(url, headers=config.prometheus_header, ca=config.prometheus_ca) if url else None
    try:
        if way is not None:
            reading = _ask(way, clusters, window, deadline, matching=given, progress=progress)
            measured.add(reading.part, prometheus_source(reading, way.name), reading.since)
            return measured
        for cluster in clusters:
            _measure_one(measured, cluster, window, deadline, matching=given, progress=progress)
    except KeyboardInterrupt:
        deadline.stop()
        measured.interrupted = True
    return measured


def _measure_one(
    measured: Measured,
    cluster: Audited,
    window: Span,
    deadline: Deadline,
    *,
    matching: Sequence[str],
    progress: Progress | None,
) -> None:
    """Read the best Prometheus of a cluster; without one that has its devices, its exporters."""
    failed: list[tuple[Proxied, PrometheusReading]] = []
    for way in places(cluster.connection, cluster.services):
        reading = _ask(way, [cluster], window, deadline, matching=matching, progress=progress)
        if len(reading.part.usage.devices):
            measured.add(reading.part, prometheus_source(reading, way.name, cluster=cluster.name), reading.since)
            return
        failed.append((way, reading))
    part, source = _exporters(cluster, window, deadline)
    for way, reading in failed:
        told = MetricsPart(served=reading.part.served)  # of engines, though it has no devices
        measured.add(told, prometheus_source(reading, way.name, cluster=cluster.name))
    if source is not None:
        measured.add(part, source)
    elif not failed:
        detail = "no Prometheus and no dcgm-exporter found among the cluster's services and pods"
        measured.add(part, Source(name="prometheus", status="absent", detail=detail, cluster=cluster.name))


def _ask(
    way: Transport,
    clusters: Sequence[Audited],
    window: Span,
    deadline: Deadline,
    *,
    matching: Sequence[str],
    progress: Progress | None,
) -> PrometheusReading:
    known = _known(clusters)
    return read_prometheus(Asker(way, deadline), window=window, known=known, matchers=matching, progress=progress)


def _known(clusters: Sequence[Audited]) -> Known:
    nodes = [node for cluster in clusters for node in cluster.nodes if node.listed]
    names = tuple(cluster.name for cluster in clusters)

    def of_series(devices: Sequence[Series]) -> ClusterOf:
        return SeriesClusters(devices, nodes, clusters=names, homes={})

    return Known(
        clusters=of_series,
        nodes=nodes,
        owner_of=pod_workloads([pod for cluster in clusters for pod in cluster.pods]),
        workloads=[workload.id for cluster in clusters for workload in cluster.workloads],
        only=names if nodes else (),
    )


def _exporters(cluster: Audited, window: Span, deadline: Deadline) -> tuple[MetricsPart, Source | None]:
    """Read the exporters' pages of now; None when there are none."""
    try:
        ways = list(exporters(cluster.connection, Fetcher(cluster.connection, deadline)))[:MAX_EXPORTERS]
    except ApiError:
        return MetricsPart(), None
    if not ways:
        return MetricsPart(), None
    store, troubles = SampleStore(), _Troubles()
    for way, page in in_flight(
        lambda way: (way, troubles.page(way, deadline)), ways, at_once=queries.limits().in_flight
    ):
        if page is not None:
            store.add_text(io.BytesIO(page), source=way.name)
    known = _known([cluster])
    part = metrics_part(
        store,
        window=window,
        taken_at=window.end,
        cluster_of=lambda _label, _source: cluster.name,
        nodes=known.nodes,
        owner_of=known.owner_of,
        workloads=known.workloads,
    )
    return part, exporters_source(part, asked=len(ways), troubles=troubles.texts, cluster=cluster.name)


@dataclass
class _Troubles:
    texts: list[str] = field(default_factory=list)

    def page(self, way: Proxied, deadline: Deadline) -> bytearray | None:
        try:
            page = way.ask("/metrics", {}, deadline)
        except QueryError as error:
            self.texts.append(str(error))
            return None
        return page[:MAX_EXPORTER_BYTES]
