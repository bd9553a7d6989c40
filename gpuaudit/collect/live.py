"""All contexts that the settings name → one snapshot; one failing cluster does not sink the rest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gpuaudit.cluster.platform import Source
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.host_sources import Hosts, this_host, told_by_probes
from gpuaudit.collect.inventory import Inventory
from gpuaudit.collect.joining.assemble import Materials, assemble
from gpuaudit.collect.joining.renaming import rename_clusters
from gpuaudit.collect.kubernetes.connection import Connection, connections, login_hint
from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.collect.kubernetes.reading import Reading, read_cluster
from gpuaudit.collect.kubernetes.told import THROTTLED_HINT, pods_of, source_of, throttled
from gpuaudit.collect.prometheus.live import Audited, Measured, measure
from gpuaudit.collect.views import View, of_use, own_names
from gpuaudit.config import Config
from gpuaudit.errors import INTERRUPTED, UserError, near_hint

Progress = Callable[[str], None]
LONGEST_DETAIL = 300
MOST_NAMED = 3  # contexts that could not be read


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
    views = [_view(reading, alone=len(found) == 1) for reading in readings]
    if all(view.source.status == "failed" for view in views):
        raise _nothing(views)
    kept, sources = of_use(views)
    measured = Measured(interrupted=any(reading.interrupted for reading in readings))
    hosts = Hosts()
    if not measured.interrupted:
        audited = _audited(readings, kept)
        measured = measure(config, audited, end=end, deadline=whole, progress=progress)
        hosts = _hosts(config, list(zip(audited, kept, strict=True)), end=end, deadline=whole, measured=measured)
    materials = Materials(
        names=tuple(sorted(cluster.name for one in kept for cluster in one.clusters)),
        inventories=kept,
        sources=[*sources, *_unread(config.namespace, readings), *measured.sources, *hosts.sources],
        measured=measured.parts,
        since=measured.since,
        hosts=hosts.told,
    )
    snapshot = assemble(materials, now=end, read_at=started, window=config.window)
    return Live(rename_clusters(snapshot, own_names(views, materials.names)), interrupted=measured.interrupted)


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


def _view(reading: Reading, *, alone: bool) -> View:
    inventory = reading.builder.finish()
    return View(reading, inventory, source_of(reading, inventory, alone=alone))


def _refuse_unknown(namespaces: Sequence[str], readings: Sequence[Reading]) -> None:
    """Raise UserError for a namespace that is in none of the clusters, where all that there are could be listed."""
    known = {name for reading in readings for name in reading.builder.namespaces}
    listed = all(any(one.name == "namespaces" and one.complete for one in reading.listed) for reading in readings)
    missing = [name for name in namespaces if name not in known]
    if listed and missing:
        raise UserError(f"there is no namespace {missing[0]!r}", hint=near_hint(missing[0], known))


def _unread(namespaces: Sequence[str], readings: Sequence[Reading]) -> list[Source]:
    """Return a failed source for each namespace that was asked for and whose pods could be read in no cluster."""
    if any(listed.complete for listed in map(pods_of, readings) if listed):
        return []
    read = {name for listed in map(pods_of, readings) if listed for name in listed.namespaces or ()}
    told = "its pods could not be read: not allowed, or there is no such namespace"
    return [Source(name=f"namespace {name}", status="failed", detail=told) for name in namespaces if name not in read]


def _nothing(views: Sequence[View]) -> UserError:
    """Return why nothing could be audited, and what a person can do about it: about the first, of several."""
    reading = views[0].reading
    named = views[:MOST_NAMED]
    told = " · ".join(_shortened(view.source.detail, LONGEST_DETAIL // len(named)) for view in named)
    told += f" · and {len(views) - MOST_NAMED} contexts more" if len(views) > MOST_NAMED else ""
    if reading.interrupted:
        return UserError("stopped before anything was read", hint="run it again", code=INTERRUPTED)
    if reading.fatal.startswith("401"):
        hint = login_hint(reading.connection.context, reading.connection.kubeconfig)
    elif throttled(reading.listed, reading.fatal):
        hint = THROTTLED_HINT
    elif reading.out_of_time:
        hint = "give it more time, with --max-time, or look where it goes: gpuaudit doctor"
    elif "without TLS" in reading.fatal:
        hint = "check the server's address in the kubeconfig: its port, and http or https"
    elif reading.fatal.startswith("TLS"):
        hint = "check the cluster's certificate-authority in the kubeconfig"
    elif reading.fatal:
        hint = "check the address and the way there: gpuaudit doctor"
    elif any(one.how == "not allowed" for one in reading.listed):
        tried = f" (tried: {', '.join(reading.tried[:6])})" if reading.tried else ""
        hint = f"name your namespaces with --namespace{tried}, or apply what prints: gpuaudit generate rbac"
    else:
        hint = "look closer with: gpuaudit doctor"
    return UserError(f"nothing could be read: {told}", hint=hint)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
