"""All contexts that the settings name → one snapshot; one failing cluster does not sink the rest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import NamedTuple

import msgspec

from gpuaudit.cluster.platform import Source
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.host_sources import Hosts, this_host, told_by_probes
from gpuaudit.collect.inventory import Inventory
from gpuaudit.collect.joining.assemble import Materials, assemble
from gpuaudit.collect.kubernetes.connection import Connection, connections, login_hint
from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.collect.kubernetes.reading import Reading, read_cluster
from gpuaudit.collect.kubernetes.told import THROTTLED_HINT, source_of, status_of, throttled
from gpuaudit.collect.prometheus.live import Audited, Measured, measure
from gpuaudit.config import Config
from gpuaudit.errors import INTERRUPTED, UserError

Progress = Callable[[str], None]
LONGEST_DETAIL = 300


@dataclass(frozen=True)
class Live:
    """What was collected. `interrupted` by Ctrl-C: the snapshot holds what there was until then."""

    snapshot: Snapshot
    interrupted: bool


def collect_live(config: Config, *, progress: Progress | None = None) -> Live:
    """Read every context that the settings name into one snapshot.

    UserError when there is no cluster to read, or none could be read at all.
    """
    started = datetime.now(UTC).replace(microsecond=0)
    end = config.now or started
    whole = Deadline(config.max_time.total_seconds())
    if config.nvml and not config.context and config.kubeconfig is None:
        try:
            found = connections((), None, seconds=whole.remaining)
        except UserError as error:
            return Live(_alone(config, error, end), interrupted=False)
    else:
        found = connections(config.context, config.kubeconfig, seconds=whole.remaining)
    readings = _readings(found, config, whole, progress)
    _refuse_unknown(config.namespace, readings)
    inventories = [reading.builder.finish() for reading in readings]
    told = [source_of(one, two, alone=len(found) == 1) for one, two in zip(readings, inventories, strict=True)]
    if all(source.status == "failed" for source in told):
        raise _nothing(readings[0], told[0])
    kept, sources = _of_use(readings, inventories, told)
    measured = Measured(interrupted=any(reading.interrupted for reading in readings))
    hosts = Hosts()
    if not measured.interrupted:
        audited = _audited(readings, kept)
        measured = measure(config, audited, end=end, deadline=whole, progress=progress)
        hosts = _hosts(config, list(zip(audited, kept, strict=True)), end=end, deadline=whole, measured=measured)
    materials = Materials(
        names=tuple(sorted(cluster.name for one in kept for cluster in one.clusters)),
        inventories=kept,
        sources=[*sources, *measured.sources, *hosts.sources],
        measured=measured.parts,
        since=measured.since,
        hosts=hosts.told,
    )
    snapshot = assemble(materials, now=end, read_at=started, window=config.window)
    return Live(snapshot, interrupted=measured.interrupted)


def _alone(config: Config, error: UserError, end: datetime) -> Snapshot:
    """Return what this host tells, where there is no cluster to read. Raises the error when it tells of no GPU."""
    hosts = this_host(True, (), cluster=None, now=end)
    if not hosts.told:
        why = hosts.sources[0].detail if hosts.sources else ""
        raise UserError(f"{error.message}, and this host has no GPU to tell of: {why}", hint=error.hint)
    absent = Source(name="kubernetes", status="absent", detail=f"{error.message}: this host alone is audited")
    materials = Materials(names=(hosts.told[0].cluster,), sources=[absent], hosts=hosts.told)
    return assemble(materials, now=end, read_at=end, window=config.window)


def _hosts(
    config: Config,
    clusters: Sequence[tuple[Audited, Inventory]],
    *,
    end: datetime,
    deadline: Deadline,
    measured: Measured,
) -> Hosts:
    """Return what the clusters' probes and this host tell; after Ctrl-C nothing, and the measured part says so."""
    ways = [(audited.connection, inventory) for audited, inventory in clusters]
    nodes = [node for _, inventory in ways for node in inventory.nodes]
    try:
        found = told_by_probes(ways, deadline, namespace=config.probe_namespace, now=end)
        home = ways[0][1].clusters[0].name if ways else None
        here = this_host(config.nvml, nodes, cluster=home, now=end)
    except KeyboardInterrupt:
        deadline.stop()
        measured.interrupted = True
        return Hosts()
    return Hosts((*found.told, *here.told), (*found.sources, *here.sources))


def _audited(readings: Sequence[Reading], kept: Sequence[Inventory]) -> list[Audited]:
    """Return the clusters that are audited, each with the way to it."""
    ways = {reading.connection.cluster: reading.connection for reading in readings}
    return [
        Audited(
            connection=ways[cluster.name],
            name=cluster.name,
            nodes=inventory.nodes,
            pods=inventory.pods,
            workloads=inventory.workloads,
            services=inventory.services,
        )
        for inventory in kept
        for cluster in inventory.clusters
        if cluster.name in ways
    ]


def _readings(found: Sequence[Connection], config: Config, whole: Deadline, progress: Progress | None) -> list[Reading]:
    """Read the clusters one after the other; each may take its part of the time that is left."""
    readings: list[Reading] = []
    for number, connection in enumerate(found):
        part = Deadline(whole.remaining / (len(found) - number))
        readings.append(read_cluster(connection, part, namespaces=config.namespace, progress=progress))
        if readings[-1].interrupted:
            break
    return readings


def _refuse_unknown(namespaces: Sequence[str], readings: Sequence[Reading]) -> None:
    """Raise UserError for a namespace that is in none of the clusters, where all that there are could be listed."""
    known = {name for reading in readings for name in reading.builder.namespaces}
    listed = all(any(one.name == "namespaces" and one.complete for one in reading.listed) for reading in readings)
    missing = [name for name in namespaces if name not in known]
    if listed and missing:
        near = get_close_matches(missing[0], sorted(known), n=6, cutoff=0.4)
        more = f" and {len(known) - 6} more" if len(known) > 6 else ""
        hint = f"did you mean: {', '.join(near)}" if near else f"it has: {', '.join(sorted(known)[:6])}{more}"
        raise UserError(f"there is no namespace {missing[0]!r}", hint=hint)


def _of_use(
    readings: Sequence[Reading], inventories: Sequence[Inventory], told: Sequence[Source]
) -> tuple[list[Inventory], list[Source]]:
    """Return the inventories to audit together, and the sources.

    Failed clusters only have a source. A cluster that two contexts mean counts once, as whoever may read most of it
    sees it. Beside others, a cluster whose pods were not all read gives no nodes: rules would take them for empty,
    since the others' pods are there.
    """
    views = [_View(reading, inventory) for reading, inventory in zip(readings, inventories, strict=True)]
    usable = [number for number, reading in enumerate(readings) if status_of(reading) != "failed"]
    chosen: list[int] = []
    instead: dict[int, int] = {}
    for number in sorted(usable, key=lambda one: views[one].narrowness):
        other = next((one for one in chosen if views[number].overlaps(views[one])), None)
        if other is None:
            chosen.append(number)
        else:
            instead[number] = other
    sources = [
        _counted_once(source, views[number], views[instead[number]]) if number in instead else source
        for number, source in enumerate(told)
    ]
    kept = [inventories[number] for number in sorted(chosen)]
    if len(kept) > 1:
        kept = [one if {"nodes", "pods"} <= set(one.provides) else _without_nodes(one) for one in kept]
    return kept, sources


class _View(NamedTuple):
    """A cluster as a context reads it."""

    reading: Reading
    inventory: Inventory

    @property
    def name(self) -> str:
        return self.inventory.clusters[0].name

    @property
    def namespaces(self) -> frozenset[str] | None:
        """Namespaces whose pods were read, None for the whole cluster."""
        found = next((one.namespaces for one in self.reading.listed if one.name == "pods"), None)
        return None if found is None else frozenset(found)

    @property
    def narrowness(self) -> tuple[bool, bool]:
        """What puts the views that show most first."""
        return not self.inventory.clusters[0].listed, self.namespaces is not None

    def overlaps(self, other: "_View") -> bool:
        """Whether both show some of the same pods. Who may not read a cluster's UID knows it by its address."""
        uids = {self.inventory.clusters[0].uid, other.inventory.clusters[0].uid}
        same = len(uids) == 1 if None not in uids else self.reading.connection.base == other.reading.connection.base
        if not same:
            return False
        return self.namespaces is None or other.namespaces is None or bool(self.namespaces & other.namespaces)


def _counted_once(source: Source, view: _View, instead: _View) -> Source:
    """Return the source of a view of a cluster that another context shows: it gives nothing of its own."""
    detail = f"{source.detail}; the same cluster as {instead.name}: read once"
    if instead.namespaces is not None and (missing := sorted((view.namespaces or frozenset()) - instead.namespaces)):
        detail += f", without {', '.join(missing[:6])}: audit them with this context alone"
        return msgspec.structs.replace(source, detail=detail, provides=())
    return msgspec.structs.replace(source, status="ok", detail=detail, provides=())


def _without_nodes(inventory: Inventory) -> Inventory:
    clusters = tuple(msgspec.structs.replace(cluster, listed=False) for cluster in inventory.clusters)
    return replace(inventory, clusters=clusters, nodes=())


def _nothing(reading: Reading, source: Source) -> UserError:
    """Return why nothing could be audited, and what a person can do about it."""
    if reading.interrupted:
        return UserError("stopped before anything was read", hint="run it again", code=INTERRUPTED)
    if reading.fatal.startswith("401"):
        hint = login_hint(reading.connection.context)
    elif throttled(reading.listed):
        hint = THROTTLED_HINT
    elif reading.out_of_time:
        hint = "give it more time: --max-time 10m"
    elif reading.fatal:
        hint = "check the address and the way there: gpuaudit doctor"
    elif any(one.how == "not allowed" for one in reading.listed):
        tried = f" (tried: {', '.join(reading.tried[:6])})" if reading.tried else ""
        hint = f"name your namespaces with --namespace{tried}, or apply what prints: gpuaudit generate rbac"
    else:
        hint = "look closer with: gpuaudit doctor"
    detail = source.detail if len(source.detail) <= LONGEST_DETAIL else f"{source.detail[:LONGEST_DETAIL]}…"
    return UserError(f"nothing could be read: {detail}", hint=hint)
