"""Which cluster each input is of, before anything is read in full."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.inputs.file_kinds import FileKind
from gpuaudit.collect.inputs.input_files import InputFile, UnreadableError, read_whole
from gpuaudit.collect.joining.fleet import Fleet, Witness, sort_out
from gpuaudit.collect.joining.renaming import rename_clusters
from gpuaudit.collect.joining.witness import witness_of_text, witnesses_of_snapshot

Sorted = Sequence[tuple[InputFile, FileKind]]


@dataclass(frozen=True)
class Placed:
    """The clusters, the cluster of each file (one that could be of several is missing), the snapshots renamed."""

    names: tuple[str, ...]
    homes: Mapping[Path, str]
    snapshots: tuple[Snapshot, ...]


def place_inputs(files: Sorted, snapshots: Sequence[tuple[InputFile, Snapshot]], *, name: str | None) -> Placed:
    """Return where the inputs belong. `name` is the cluster's when there is one only."""
    told = [witnesses_of_snapshot(one, _folder(file)) for file, one in snapshots]
    several = bool(snapshots) or len({_folder(file) for file, _ in files}) > 1
    witnesses = [witness for own in told for witness in own]
    start = len(witnesses)
    fleet = sort_out([*witnesses, *(_witness(file, kind, ask=several) for file, kind in files)], name=name)
    places = enumerate(fleet.cluster_of[start:])
    homes = {files[number][0].path: fleet.names[place] for number, place in places if place is not None}
    return Placed(fleet.names, homes, _renamed([one for _, one in snapshots], fleet))


def _renamed(snapshots: Sequence[Snapshot], fleet: Fleet) -> tuple[Snapshot, ...]:
    found, start = [], 0
    for one in snapshots:
        places = fleet.cluster_of[start : start + len(one.clusters)]
        start += len(one.clusters)
        names = {
            cluster.name: fleet.names[place]
            for cluster, place in zip(one.clusters, places, strict=True)
            if place is not None
        }
        found.append(rename_clusters(one, names))
    return tuple(found)


def _folder(file: InputFile) -> Path:
    return file.path.absolute().parent


def _witness(file: InputFile, kind: FileKind, *, ask: bool) -> Witness:
    """Return what a file says of its cluster. With one folder and no snapshot there is nothing to ask."""
    if kind is not FileKind.KUBERNETES or not ask:
        return Witness(_folder(file))
    try:
        return witness_of_text(read_whole(file), _folder(file))
    except UnreadableError:
        return Witness(_folder(file))
