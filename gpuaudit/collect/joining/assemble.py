"""Inventory and samples → snapshot: one clock, one window, machines and owners joined, coverage said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta

from gpuaudit import __version__
from gpuaudit.cluster.nccl import NcclLog
from gpuaudit.cluster.nodes import Cluster, Node, Span
from gpuaudit.cluster.platform import Metric, Source
from gpuaudit.cluster.serving import Served
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.usage import NOBODY, UNKNOWN_OWNER, Usage
from gpuaudit.cluster.workloads import Workload
from gpuaudit.collect.engines.by_model import by_model
from gpuaudit.collect.inventory import Inventory
from gpuaudit.collect.joining.holding_owners import own_by_holdings
from gpuaudit.collect.joining.machines import join_machines
from gpuaudit.collect.joining.merging import inventory_of_snapshot, merge
from gpuaudit.collect.joining.metric_source import foreign, metric_source
from gpuaudit.collect.joining.nccl_join import join_logs, logs_source
from gpuaudit.collect.joining.node_merge import Told, merge_hosts
from gpuaudit.collect.joining.node_usage import usage_of_hosts
from gpuaudit.collect.joining.pod_workloads import pod_workloads
from gpuaudit.collect.joining.series_clusters import SeriesClusters
from gpuaudit.collect.joining.usage_merge import merge_usage
from gpuaudit.collect.metrics.parts import MetricsPart, combined, metrics_part
from gpuaudit.collect.metrics.seen import at
from gpuaudit.collect.metrics.store import SampleStore
from gpuaudit.store import canonical

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)  # nothing is older: Go writes its zero time, of year 1, where there is none
_PLACED = ("nodes", "workloads", "clusters", "nccl_logs")  # fields of the inventory that metrics add to


@dataclass(frozen=True, kw_only=True)
class Materials:
    """All that was read. `homes` is the cluster of a metric file where its folder tells, `names` are the clusters.

    `measured` is what servers said of metrics, joined and judged already, and `since` when their history begins.
    """

    names: tuple[str, ...]
    inventories: Sequence[Inventory] = ()
    snapshots: Sequence[Snapshot] = ()
    samples: SampleStore = field(default_factory=SampleStore)
    metric_files: Sequence[str] = ()
    homes: Mapping[str, str] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    sources: Sequence[Source] = ()
    hosts: Sequence[Told] = ()
    logs: Sequence[NcclLog] = ()
    log_files: int = 0
    measured: Sequence[MetricsPart] = ()
    since: datetime | None = None


def assemble(materials: Materials, *, now: datetime | None, read_at: datetime, window: timedelta) -> Snapshot:
    """Return the snapshot. `read_at` is its time when neither `now` nor anything read tells one."""
    newest = _newest(materials)
    taken_at = now or newest or read_at
    span = _window(materials, taken_at, newest or taken_at, window)
    merged = merge([*materials.inventories, *map(inventory_of_snapshot, materials.snapshots)])
    inventory = merged.inventory
    part = _part(materials, inventory, span, taken_at)
    source = metric_source(part, materials.metric_files, materials.remarks)
    if foreign(part):
        part = MetricsPart(join_ratio=part.join_ratio)
    listed = frozenset(cluster.name for cluster in inventory.clusters if cluster.listed)
    hosts = merge_hosts(join_machines(inventory.nodes, part, listed=listed), materials.hosts, taken_at=taken_at)
    nodes, pods = hosts.nodes, inventory.pods
    usage = merge_usage([*(one.usage for one in materials.snapshots), own_by_holdings(part.usage, nodes, pods)])
    if hosts.fresh:
        moment = usage_of_hosts(hosts.fresh, nodes, pods, known=usage, window=span)
        usage = merge_usage([usage, own_by_holdings(moment, nodes, pods)])
    sources = [*materials.sources, *_measured(materials, source), *_notes(merged.doubled, newest, now)]
    sources += [hosts.source] if hosts.source else []
    workloads = _workloads(inventory.workloads, usage)
    logs = join_logs([*inventory.nccl_logs, *materials.logs], nodes, pods, workloads)
    sources += [logs_source(logs, materials.log_files)] if materials.log_files else []
    kept = {one.name: getattr(inventory, one.name) for one in fields(Inventory) if one.name in _fields()}
    joined = Snapshot(
        **kept,
        taken_at=taken_at,
        window=span,
        tool_version=__version__,
        clusters=_clusters(inventory.clusters, nodes, materials.names),
        nodes=nodes,
        workloads=workloads,
        nccl_logs=logs,
        metrics=_metrics(materials, part),
        served=_served(materials, part, inventory.workloads),
        sources=tuple(sorted(sources, key=lambda one: (one.name, one.cluster or "", one.detail))),
        join_ratio=_join_ratio(materials, part),
        usage=usage,
    )
    return canonical(joined)


def _fields() -> frozenset[str]:
    return frozenset(one.name for one in fields(Snapshot)) - frozenset(_PLACED)


def _newest(materials: Materials) -> datetime | None:
    """Return the newest time inside the inputs."""
    times = [one.newest for one in materials.inventories] + [one.taken_at for one in materials.snapshots]
    times += [told.facts.taken_at for told in materials.hosts]
    extent = materials.samples.extent()
    times.append(at(extent[1]) if extent else None)
    return max((time for time in times if time and time > EARLIEST), default=None)


def _window(materials: Materials, taken_at: datetime, newest: datetime, length: timedelta) -> Span:
    """Return the window: as long as there is history, at most `length`; without any, `length`."""
    starts = [one.window.start for one in materials.snapshots]
    if materials.since is not None:
        starts.append(max(taken_at - length, materials.since))
    extent = materials.samples.extent()
    history = any(one.chunks and one.first and one.last and one.first < one.last for one in materials.samples)
    if extent and history:
        starts.append(max(_before(min(newest, taken_at), length), at(extent[0])))
    earlier = [start for start in starts if start < taken_at]
    return Span(start=min(earlier, default=_before(taken_at, length)), end=taken_at)


def _before(time: datetime, length: timedelta) -> datetime:
    return EARLIEST + max(timedelta(), time - EARLIEST - length)


def _part(materials: Materials, inventory: Inventory, window: Span, taken_at: datetime) -> MetricsPart:
    if not materials.metric_files:
        return combined(materials.measured)
    nodes = tuple(node for node in inventory.nodes if node.listed)
    cluster_of = SeriesClusters(materials.samples, nodes, clusters=materials.names, homes=materials.homes)
    return metrics_part(
        materials.samples,
        window=window,
        taken_at=taken_at,
        cluster_of=cluster_of,
        nodes=nodes,
        owner_of=pod_workloads(inventory.pods),
        workloads=[workload.id for workload in inventory.workloads],
    )


def _clusters(listed: Sequence[Cluster], nodes: Sequence[Node], names: Sequence[str]) -> tuple[Cluster, ...]:
    """Return the listed clusters, and one for each that only metrics know."""
    found = {cluster.name: cluster for cluster in listed}
    wanted = {node.cluster for node in nodes} or set(names)
    for name in wanted - found.keys():
        found[name] = Cluster(name=name, listed=False)
    return tuple(found[name] for name in sorted(found))


def _workloads(listed: Sequence[Workload], usage: Usage) -> tuple[Workload, ...]:
    """Return the listed workloads, and those that metrics name besides."""
    found = {workload.id: workload for workload in listed}
    for owner in usage.devices["owner"].unique():
        parts = str(owner).rsplit("/", 3)
        if owner not in (NOBODY, UNKNOWN_OWNER) and owner not in found and len(parts) == 4:
            cluster, kind, namespace, name = parts
            found[owner] = Workload(id=owner, cluster=cluster, kind=kind, namespace=namespace, name=name, listed=False)
    return tuple(found[key] for key in sorted(found))


def _metrics(materials: Materials, part: MetricsPart) -> tuple[Metric, ...]:
    every = [*(metric for one in materials.snapshots for metric in one.metrics), *part.metrics]
    found = {(metric.source, metric.name): metric for metric in every}
    return tuple(found[key] for key in sorted(found))


def _served(materials: Materials, part: MetricsPart, workloads: Sequence[Workload]) -> tuple[Served, ...]:
    """Return what engines told; of a key in several inputs, what was told over the longest time."""
    found: dict[tuple[str, str, str, str], Served] = {}
    for one in (
        *(row for snapshot in materials.snapshots for row in snapshot.served),
        *by_model(part.served, workloads),
    ):
        before = found.get(one.key)
        if before is None or (one.days or 0.0) >= (before.days or 0.0):
            found[one.key] = one
    return tuple(found[key] for key in sorted(found))


def _measured(materials: Materials, source: Source) -> list[Source]:
    """Return the metrics' source; a snapshot brings its own, so that none is missing beside one."""
    return [] if source.status == "absent" and (materials.snapshots or materials.measured) else [source]


def _notes(doubled: int, newest: datetime | None, now: datetime | None) -> list[Source]:
    found = []
    if doubled:
        detail = f"{doubled:,} objects stand in several inputs: the newest counts"
        found.append(Source(name="inputs", status="ok", detail=detail))
    if newest is None and now is None:
        detail = "no input holds a time: it was taken when it was read (--now sets it)"
        found.append(Source(name="clock", status="partial", detail=detail))
    return found


def _join_ratio(materials: Materials, part: MetricsPart) -> float | None:
    told = [one.join_ratio for one in materials.snapshots if one.join_ratio is not None]
    return min([*told, *([part.join_ratio] if part.join_ratio is not None else [])], default=None)
