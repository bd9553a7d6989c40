"""Work that waits for MIG devices: of a profile that no node offers, or one all held while others stand free."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Waiting
from gpuaudit.demand.memory import once
from gpuaudit.demand.mig.nodes import barred, grid_of, held, installed, offered
from gpuaudit.knowledge import mig
from gpuaudit.knowledge.mig import MigProfile


@dataclass(frozen=True, kw_only=True)
class MigWait:
    """A workload that waits for `count` devices of a profile. `installed` = all that its cluster's nodes have.

    `instead` are free devices of other profiles that are at least as large; `uncut` the pools whose GPUs have the
    profile and could be cut so; `free` all free devices on GPUs that have the profile.
    """

    cluster: str
    workload: str
    resource: str
    profile: str
    count: float
    since: datetime | None
    installed: int
    instead: Mapping[str, float]
    uncut: tuple[str, ...]
    free: Mapping[str, float]
    room: bool  # the free devices of one node cover as many memory slots as one of the profile


@dataclass(frozen=True)
class _Supply:
    """What the nodes of a cluster offer around one profile; fields as in `MigWait`. `spare` = one of it is free."""

    spare: bool
    installed: int
    instead: Mapping[str, float]
    uncut: tuple[str, ...]
    free: Mapping[str, float]
    room: bool


def mig_waits(snapshot: Snapshot) -> Iterator[MigWait]:
    """Yield the waits for MIG devices that no free device of the profile could end, by workload and profile."""
    groups: dict[tuple[str, str, str], list[Waiting]] = defaultdict(list)
    for work in snapshot.waiting:
        if mig.parse_resource(work.resource):
            groups[work.cluster, work.workload, work.resource].append(work)
    supplies: dict[tuple[str, str], _Supply] = {}
    for (cluster, workload, resource), works in sorted(groups.items()):
        profile = mig.parse_resource(resource) or resource
        supply = supplies.get((cluster, profile)) or _supply(snapshot, cluster, profile)
        supplies[cluster, profile] = supply
        if supply.spare:
            continue
        yield MigWait(
            cluster=cluster,
            workload=workload,
            resource=resource,
            profile=profile,
            count=sum(work.count for work in works),
            since=min((work.since for work in works if work.since is not None), default=None),
            installed=supply.installed,
            instead=supply.instead,
            uncut=supply.uncut,
            free=supply.free,
            room=supply.room,
        )


def _supply(snapshot: Snapshot, cluster: str, profile: str) -> _Supply:
    nodes = [node for node in snapshot.gpu_nodes if node.cluster == cluster and node.listed]
    able = [node for node in nodes if (grid := grid_of(node)) and mig.profile(grid, profile) and not barred(node)]
    rows = [row for node in able[:1] if (grid := grid_of(node)) and (row := mig.profile(grid, profile))]
    wanted = rows[0] if rows else _any_row(profile)
    return _Supply(
        spare=any(_free(snapshot, node).get(profile, 0) >= 1 for node in nodes),
        installed=sum(installed(node).get(profile, 0) for node in nodes),
        instead=_summed(_larger(snapshot, node, wanted) for node in nodes),
        uncut=tuple(sorted({node.pool or node.name for node in able})),
        free=_summed(_free(snapshot, node) for node in able),
        room=any(_slots(snapshot, node) >= (wanted.size if wanted else 99) for node in able),
    )


def _free(snapshot: Snapshot, node: Node) -> Mapping[str, float]:
    """Return the devices of the node that could be given out now."""
    return _free_by_node(snapshot).get(node.key, {})


@once
def _free_by_node(snapshot: Snapshot) -> Mapping[tuple[str, str], Mapping[str, float]]:
    found = {}
    for node in snapshot.gpu_nodes:
        given = offered(node)
        if given and node.ready is not False and not node.cordoned:
            taken = held(snapshot, node)
            left = {name: count - taken.get(name, 0.0) for name, count in given.items()}
            found[node.key] = {name: count for name, count in left.items() if count > 0}
    return found


def _larger(snapshot: Snapshot, node: Node, wanted: MigProfile | None) -> Mapping[str, float]:
    """Free devices with at least the wanted one's memory and compute slices."""
    grid = grid_of(node)
    if grid is None or wanted is None:
        return {}
    return {
        name: count
        for name, count in _free(snapshot, node).items()
        if (row := mig.profile(grid, name)) and row.g >= wanted.g and _fits(wanted, row)
    }


def _fits(wanted: MigProfile, row: MigProfile) -> bool:
    """Whether the memory is as much; tables differ by a few per cent between boards of one size."""
    if wanted.memory_mib is None or row.memory_mib is None:
        return False
    return row.memory_mib >= 0.97 * wanted.memory_mib


def _slots(snapshot: Snapshot, node: Node) -> float:
    grid = grid_of(node)
    free = _free(snapshot, node) if grid else {}
    return sum(count * row.size for name, count in free.items() if grid and (row := mig.profile(grid, name)))


def _any_row(profile: str) -> MigProfile | None:
    found = (mig.profile(grid, profile) for grid in mig.all_geometries())
    return next((row for row in found if row), None)


def _summed(parts: Iterable[Mapping[str, float]]) -> Mapping[str, float]:
    total: dict[str, float] = defaultdict(float)
    for part in parts:
        for name, count in part.items():
            total[name] += count
    return dict(total)
