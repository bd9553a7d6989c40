"""`--input`: files and folders → one snapshot, without a cluster and without the network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec

from gpuaudit.cluster.platform import Source, SourceStatus
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.host_sources import this_host, told_in_configmaps
from gpuaudit.collect.inputs.file_kinds import FileKind, kind_of
from gpuaudit.collect.inputs.input_files import InputFile, UnreadableError, find_files, read_head
from gpuaudit.collect.inputs.intake import Intake
from gpuaudit.collect.inventory import Inventory
from gpuaudit.collect.joining.assemble import Materials, assemble
from gpuaudit.collect.joining.metric_source import count_of
from gpuaudit.collect.joining.node_merge import Told
from gpuaudit.collect.joining.placing import Placed, place_inputs
from gpuaudit.errors import UserError
from gpuaudit.knowledge.probe import probe

MAX_NAMED = 20
LARGE_BYTES = 16 << 20
HINT = "give a snapshot, what `kubectl get … -A -o json` prints, or GPU metrics; gpuaudit scan --help says more"

Progress = Callable[[str], None]


def collect_files(
    inputs: Sequence[str],
    *,
    now: datetime | None,
    window: timedelta,
    cluster_name: str | None = None,
    probe_namespace: str | None = None,
    nvml: bool = False,
    progress: Progress | None = None,
) -> Snapshot:
    """Read the inputs into a snapshot; their order does not matter. `now` replaces the newest time inside them.

    With `nvml` this host's facts are added. What the probe published counts where it is of `probe_namespace` (None =
    the usual one). What cannot be read is named in the sources. UserError when nothing can be read.
    """
    found = find_files([str(one) for one in inputs])
    intake = Intake(failed=list(found.unreadable))
    kinds = _kinds(found.files, intake)
    stored = [(file, one) for file, kind in kinds if kind is FileKind.SNAPSHOT and (one := intake.load(file))]
    others = [(file, kind) for file, kind in kinds if kind is not FileKind.SNAPSHOT]
    placed = place_inputs(others, stored, name=cluster_name)
    for file, kind in others:
        _read(intake, file, kind, placed, progress)
    if not (stored or intake.anything or intake.empty):
        raise _nothing(intake)
    if len(stored) == 1 and not intake.anything and not nvml:
        return _as_it_is(stored[0][1], _failures(intake), now)
    inventories = {name: builder.finish() for name, builder in sorted(intake.builders.items())}
    alone = len(placed.names) == 1
    told = _told(inventories, probe_namespace or probe().namespace)
    nodes = [node for one in inventories.values() for node in one.nodes]
    nodes += [node for one in placed.snapshots for node in one.nodes]
    here = this_host(nvml, nodes, cluster=placed.names[0], now=datetime.now(UTC).replace(microsecond=0))
    materials = Materials(
        names=placed.names,
        inventories=tuple(inventories.values()),
        snapshots=placed.snapshots,
        samples=intake.samples,
        metric_files=intake.metric_files,
        homes={} if alone else {file.name: placed.homes[file.path] for file, _ in others if file.path in placed.homes},
        remarks=intake.remarks,
        logs=tuple(intake.logs),
        log_files=intake.log_files,
        hosts=(*intake.hosts, *told, *here.told),
        sources=(
            *_listed(intake, inventories, stored=bool(stored)),
            *_stored(stored, placed),
            *_failures(intake),
            *here.sources,
        ),
    )
    return assemble(materials, now=now, read_at=datetime.now(UTC).replace(microsecond=0), window=window)


def _told(inventories: Mapping[str, Inventory], namespace: str) -> list[Told]:
    """Return what the probe published in ConfigMaps."""
    return [
        one
        for cluster, inventory in inventories.items()
        for one in told_in_configmaps(inventory.published, cluster, namespace=namespace)
    ]


def _kinds(files: Sequence[InputFile], intake: Intake) -> list[tuple[InputFile, FileKind]]:
    """Return the files that are of a kind to read; the others are noted."""
    kinds = []
    for file in files:
        try:
            kind = kind_of(read_head(file))
        except UnreadableError as error:
            intake.failed.append((file.name, str(error)))
            continue
        if not intake.refuse(file, kind):
            kinds.append((file, kind))
    return kinds


def _read(intake: Intake, file: InputFile, kind: FileKind, placed: Placed, progress: Progress | None) -> None:
    """Read a file. Objects need to be of one cluster; of metrics the hosts may still tell."""
    if progress and file.path.stat().st_size >= LARGE_BYTES:
        progress(f"reading {file.name}")
    home = placed.homes.get(file.path)
    if home is None and kind is FileKind.KUBERNETES:
        clusters = ", ".join(placed.names)
        reason = f"it could be of any of the clusters {clusters}: keep the files of each in a folder of its own"
        intake.failed.append((file.name, reason))
        return
    intake.read(file, kind, home or placed.names[0])


def _nothing(intake: Intake) -> UserError:
    reasons = [f"{name}: {reason}" for name, reason in intake.failed]
    reasons += [f"{name}: {reason}" for reason, names in sorted(intake.passed_over.items()) for name in names]
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return UserError(f"nothing could be read: {reasons[0] if reasons else 'no files'}{more}", hint=HINT)


def _as_it_is(snapshot: Snapshot, failures: Sequence[Source], now: datetime | None) -> Snapshot:
    """Return a stored snapshot as it was taken, so that its audit gives the same report again."""
    if now is None and not failures:
        return snapshot
    sources = tuple(sorted([*snapshot.sources, *failures], key=lambda one: (one.name, one.cluster or "", one.detail)))
    return replace(snapshot, taken_at=now or snapshot.taken_at, sources=sources)


def _listed(intake: Intake, inventories: Mapping[str, Inventory], *, stored: bool) -> list[Source]:
    """Return how reading the Kubernetes objects of each cluster went; a snapshot tells of its own."""
    if not inventories and not stored:
        detail = "no Kubernetes lists among the inputs: who holds what is known from metrics alone"
        return [Source(name="kubernetes", status="absent", detail=detail)]
    found = []
    for cluster, inventory in inventories.items():
        files = intake.kubernetes_files[cluster]
        detail = "; ".join([f"{count_of(len(files), 'file')} of Kubernetes objects", *inventory.notes])
        name = "kubernetes" if len(inventories) == 1 else f"kubernetes of {cluster}"
        status: SourceStatus = "partial" if intake.broken.get(cluster) else "ok"
        found.append(Source(name=name, status=status, detail=detail, provides=inventory.provides, cluster=cluster))
    return found


def _stored(stored: Sequence[tuple[InputFile, Snapshot]], placed: Placed) -> list[Source]:
    """Return the sources of the snapshots, each under the name of its file."""
    return [
        msgspec.structs.replace(source, name=f"{source.name} of {file.name}")
        for (file, _), one in zip(stored, placed.snapshots, strict=True)
        for source in one.sources
    ]


def _failures(intake: Intake) -> list[Source]:
    """Return the files that gave nothing: each that was named, and in one line those found in a folder."""
    found = [Source(name=name, status="failed", detail=reason) for name, reason in sorted(intake.failed)[:MAX_NAMED]]
    if len(intake.failed) > MAX_NAMED:
        left = len(intake.failed) - MAX_NAMED
        found.append(Source(name="other files", status="failed", detail=f"{left} more could not be read"))
    for reason, names in sorted(intake.passed_over.items()):
        named = ", ".join(sorted(names)[:MAX_NAMED]) + (", …" if len(names) > MAX_NAMED else "")
        detail = f"{count_of(len(names), 'file')} passed over ({reason}): {named}"
        found.append(Source(name="files in folders", status="absent", detail=detail))
    return found
