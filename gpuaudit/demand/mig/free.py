"""MIG devices that nobody holds, now and at the window's busiest hour, and those that a pool keeps free on purpose."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.usage import NOBODY
from gpuaudit.demand.capacity.free import NodeKey, tenures_by_node
from gpuaudit.demand.capacity.reserve import surge_pods
from gpuaudit.demand.memory import once
from gpuaudit.demand.mig.nodes import held, offered, slices
from gpuaudit.demand.usage.hours import device_codes, device_row, hour_number
from gpuaudit.knowledge import mig

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Bools = npt.NDArray[np.bool_]
    Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class FreeDevices:
    """One profile on a group of nodes, in devices. `peak` None = no history; `kept` = room for a failure, a surge."""

    profile: str
    offered: int
    held: float
    peak: float | None
    kept: float
    waited_for: float
    gpus_each: float | None  # physical GPUs of one device

    @property
    def beyond(self) -> float:
        """Devices that stayed free at the busiest hour, less the reserve and what work waits for already."""
        return max(0.0, self.offered - max(self.held, self.peak or 0.0) - self.kept - self.waited_for)

    @property
    def gpus(self) -> float:
        """Physical GPUs of `beyond`; 0 where a device's part is not known."""
        return self.beyond * (self.gpus_each or 0.0)


@dataclass(frozen=True)
class MigHours:
    """MIG devices held, by node and profile, and whether a node's devices were seen; one element an hour."""

    held: Mapping[tuple[str, str, str], "Ints"]
    watched: Mapping[NodeKey, "Bools"]

    def peak(self, nodes: Iterable[Node], profile: str) -> float | None:
        """Return the most devices of the profile that were held on the nodes at once; None without history."""
        seen = [node for node in nodes if node.key in self.watched]
        rows = [row for node in seen if (row := self.held.get((*node.key, profile))) is not None]
        if not seen:
            return None
        return float(sum(rows).max()) if rows else 0.0  # type: ignore[union-attr]

    def hours(self, nodes: Iterable[Node]) -> int:
        """Return in how many hours all of the nodes were seen."""
        rows = [self.watched.get(node.key) for node in nodes]
        seen = [row for row in rows if row is not None]
        if not seen or len(seen) < len(rows):
            return 0
        return int((sum(row.astype(int) for row in seen) == len(rows)).sum())  # type: ignore[union-attr]


def free_of(snapshot: Snapshot, nodes: Sequence[Node]) -> list[FreeDevices]:
    """Return the profiles that the nodes offer, each with what is held, kept and free; the largest part first."""
    names = {name for node in nodes for name in offered(node)}
    found = [_free(snapshot, nodes, name) for name in sorted(names)]
    return sorted(found, key=lambda one: (-one.gpus, one.profile))


@once
def mig_hours(snapshot: Snapshot) -> MigHours:
    """Return the MIG devices held per hour as the metrics say; empty without pod attribution."""
    import numpy as np

    devices = snapshot.usage.devices
    sliced = (devices["profile"] != "").to_numpy(bool) if len(devices) else np.zeros(0, bool)
    if not sliced.any() or "pod_attribution" not in snapshot.facts:
        return MigHours({}, {})
    row, hour = device_row(snapshot), hour_number(snapshot.usage.hourly["hour"])
    seen = (row >= 0) & sliced[np.maximum(row, 0)]
    row, hour = row[seen], hour[seen]
    hour -= hour.min(initial=hour[0] if len(hour) else 0)
    width = int(hour.max(initial=0)) + 1
    is_held = (devices["owner"] != NOBODY).to_numpy(bool)[row]
    _, once_each = np.unique(device_codes(devices)[row[is_held]] * width + hour[is_held], return_index=True)
    kept = np.flatnonzero(is_held)[once_each]  # a device counts once an hour, however often it changed hands
    held: dict[tuple[str, str, str], Ints] = {}
    for (cluster, node, profile), places in _rows_by(devices, row[kept], ["cluster", "node", "profile"]):
        held[cluster, node, mig.canonical(profile) or profile] = np.bincount(hour[kept[places]], minlength=width)
    watched: dict[NodeKey, Bools] = {}
    for (cluster, node), places in _rows_by(devices, row, ["cluster", "node"]):
        watched[cluster, node] = np.bincount(hour[places], minlength=width) > 0
    return MigHours(held, watched)


def _rows_by(devices: "pd.DataFrame", row: "Ints", names: list[str]) -> Iterator[tuple[tuple[str, ...], "Ints"]]:
    """Yield the values of the named columns with the places in `row` that have them."""
    import numpy as np

    if len(row) == 0:
        return
    group = devices.groupby(names, sort=False).ngroup().to_numpy().astype("int64")
    keys = dict(zip(group.tolist(), devices[names].itertuples(index=False, name=None), strict=True))
    order = np.argsort(group[row], kind="stable")
    found, first = np.unique(group[row][order], return_index=True)
    for number, places in zip(found.tolist(), np.split(order, first[1:]), strict=True):
        yield keys[number], places


def free_mig_devices(snapshot: Snapshot, node: Node) -> tuple[str, ...]:
    """Return the MIG devices of the node that nobody holds, as far as the metrics name them."""
    seen = tenures_by_node(snapshot).get(node.key, ())
    return tuple(sorted({one.device for one in seen if one.profile and one.owner == NOBODY and one.current}))


def empty_mig_cards(snapshot: Snapshot, node: Node) -> int | None:
    """Return how many cut cards have no held device: these can be cut anew. None when the metrics do not tell."""
    current = [one for one in tenures_by_node(snapshot).get(node.key, ()) if one.profile and one.current]
    cards = {one.card for one in current}
    return len(cards - {one.card for one in current if one.owner != NOBODY}) if cards else None


def _free(snapshot: Snapshot, nodes: Sequence[Node], profile: str) -> FreeDevices:
    given = {node.name: offered(node).get(profile, 0) for node in nodes}
    taken = {node.name: held(snapshot, node).get(profile, 0.0) for node in nodes}
    free = {name: max(0.0, given[name] - taken[name]) for name in given}
    fullest = max(taken, key=lambda name: (taken[name], name))
    elsewhere = sum(count for name, count in free.items() if name != fullest)
    waiting = sum(
        work.count
        for work in snapshot.waiting
        if work.cluster == nodes[0].cluster and mig.parse_resource(work.resource) == profile
    )
    parts = [part for node in nodes if given[node.name] and (part := slices(node, profile)) is not None]
    return FreeDevices(
        profile=profile,
        offered=sum(given.values()),
        held=sum(taken.values()),
        peak=mig_hours(snapshot).peak(nodes, profile),
        kept=min(taken[fullest], elsewhere) + _surge(snapshot, nodes, profile),
        waited_for=waiting,
        gpus_each=min(parts, default=None),
    )


def _surge(snapshot: Snapshot, nodes: Sequence[Node], profile: str) -> int:
    """Devices of the extra pods that the largest roll-out of this profile starts."""
    pods: dict[str, int] = defaultdict(int)
    for node in nodes:
        for pod in snapshot.holders(node):
            if any(one.profile and (mig.canonical(one.profile) or one.profile) == profile for one in pod.holdings):
                pods[pod.workload] += 1
    return max((surge_pods(snapshot.workload_by_id.get(name), count) for name, count in pods.items()), default=0)
