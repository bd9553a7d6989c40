"""What nobody holds: free GPUs of a node now, held GPUs over the window, and nodes that are empty, with since when."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.usage import NOBODY, UNKNOWN_OWNER
from gpuaudit.demand.memory import once
from gpuaudit.demand.usage.hours import device_codes, device_row, hour_number
from gpuaudit.demand.usage.tenures import Tenure, tenures
from gpuaudit.knowledge import kubernetes

NodeKey = tuple[str, str]
SEEN = 0.90  # of a node's GPU-hours: nearly all of the time


@dataclass(frozen=True)
class EmptyNode:
    """A node whose GPUs nobody holds. `since` None = nothing but the present is known."""

    node: Node
    since: datetime | None
    hours: float  # of the window, observed as held by nobody
    all_window: bool


@dataclass(frozen=True)
class HeldByHour:
    """GPUs held per hour of the window, as the metrics say; empty without pod attribution."""

    by_hour: Mapping[datetime, Mapping[NodeKey, float]]

    def peak(self, *nodes: NodeKey) -> float | None:
        """Return the most GPUs that were held on the nodes at once; None without history."""
        if not self.by_hour:
            return None
        return max(sum(held.get(node, 0.0) for node in nodes) for held in self.by_hour.values())


def whole_cards(node: Node) -> bool:
    """Whether the node hands out whole cards: no MIG, no replicas, no virtual counts."""
    shared = node.sharing is not None and node.sharing.strategy != "dra"
    return bool(node.cards) and not shared and not any(card.mig or card.mig_enabled for card in node.cards)


def lost_gpus(node: Node) -> int:
    """Return how many cards the node has but does not offer: said to be lost, or missing from what it allocates.

    0 where counts are not cards (MIG, replicas, virtual GPUs), and where the device plugin offers nothing at all.
    """
    told = sum(card.state == "lost" for card in node.cards)
    names = (kubernetes.resources().gpu, *kubernetes.resources().whole_gpus)
    resource = next((one for one in node.resources if one.name in names), None)
    if not whole_cards(node) or node.sharing is not None or resource is None or not resource.allocatable:
        return told
    return max(told, max(node.gpus, resource.capacity or 0) - resource.allocatable)


def free_gpus(snapshot: Snapshot, node: Node) -> float | None:
    """Return the physical GPUs that the node offers and nobody holds; None when a holding's size is unknown."""
    held = snapshot.held_gpus(node)
    return None if held is None else max(0.0, node.gpus - lost_gpus(node) - held)


@once
def held_by_hour(snapshot: Snapshot) -> HeldByHour:
    """Return the GPUs held per hour and node; what was not sampled is not in it. Empty without pod attribution."""
    import numpy as np

    devices = snapshot.usage.devices
    if len(devices) == 0 or "pod_attribution" not in snapshot.facts:
        return HeldByHour({})
    hourly, row = snapshot.usage.hourly, device_row(snapshot)
    seen = row >= 0
    row, hour = row[seen], hour_number(hourly["hour"])[seen]
    held = (devices["owner"] != NOBODY).to_numpy(bool)[row]
    nodes = devices.groupby(["cluster", "node"], sort=False).ngroup().to_numpy().astype("int64")
    keys = list(devices[["cluster", "node"]].itertuples(index=False, name=None))
    names = dict(zip(nodes.tolist(), keys, strict=True))
    if len(row) == 0:
        return HeldByHour({})
    first = int(hour.min())
    width = int(hour.max()) - first + 1
    sums = np.zeros(len(names) * width)
    watched = np.zeros(len(names) * width, dtype=bool)
    watched[nodes[row] * width + hour - first] = True
    _, once_each = np.unique(device_codes(devices)[row[held]] * width + hour[held] - first, return_index=True)
    kept = np.flatnonzero(held)[once_each]  # a device counts once an hour, however often it changed hands
    np.add.at(sums, nodes[row[kept]] * width + hour[kept] - first, devices["gpus"].to_numpy("float64")[row[kept]])
    by_hour: dict[datetime, dict[NodeKey, float]] = defaultdict(dict)
    for place in np.flatnonzero(watched):
        moment = datetime.fromtimestamp((first + int(place) % width) * 3600, UTC)
        by_hour[moment][names[int(place) // width]] = round(float(sums[place]), 6)
    return HeldByHour(by_hour)


@once
def tenures_by_node(snapshot: Snapshot) -> Mapping[NodeKey, tuple[Tenure, ...]]:
    """Return the tenures of each node's devices."""
    groups: dict[NodeKey, list[Tenure]] = defaultdict(list)
    for tenure in tenures(snapshot):
        groups[tenure.cluster, tenure.node].append(tenure)
    return {key: tuple(group) for key, group in groups.items()}


@once
def empty_nodes(snapshot: Snapshot) -> tuple[EmptyNode, ...]:
    """Return the GPU nodes on which no pod holds a GPU now, sorted; () when the pods are not known."""
    if "pods" not in snapshot.facts:
        return ()
    return tuple(
        _empty(snapshot, node)
        for node in sorted(snapshot.gpu_nodes, key=lambda node: node.key)
        if node.listed and not snapshot.holders(node)
    )


def _empty(snapshot: Snapshot, node: Node) -> EmptyNode:
    seen = tenures_by_node(snapshot).get(node.key, ())
    free = [tenure for tenure in seen if tenure.owner == NOBODY]
    hours = sum(tenure.gpu_hours for tenure in free) / node.gpus
    if not free or any(tenure.owner == UNKNOWN_OWNER for tenure in seen):
        return EmptyNode(node, None, 0.0, all_window=False)
    busy = [tenure.last for tenure in seen if tenure.owner != NOBODY and tenure.last is not None]
    since = max(busy, default=max(node.created or snapshot.window.start, snapshot.window.start))
    elapsed = max(0.0, (snapshot.window.end - since) / timedelta(hours=1))
    there = snapshot.present_seconds(node) / 3600
    all_window = not busy and there >= SEEN * snapshot.window_seconds / 3600 and hours >= SEEN * there
    return EmptyNode(node, since, min(hours, elapsed), all_window)
