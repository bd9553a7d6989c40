"""Checks a node release again, from the snapshot alone; shares no code with what proposed it."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.usage import NOBODY

NodeKey = tuple[str, str]
SEEN = 0.9  # of the window's device-hours must be observed as held by nobody


def violations(snapshot: Snapshot, nodes: Sequence[Node]) -> Iterator[tuple[NodeKey, str]]:
    """Yield the nodes that must stay, each with the first reason.

    A node may go when it is in the cluster, was for the whole window, no pod holds a GPU of it, the metrics saw its
    devices held by nobody for nearly all of the window, and the rest of its pool and zone could still take the
    work of the fullest node there.
    """
    quiet = _unheld_ratio(snapshot)
    gone: set[NodeKey] = set()
    for node in nodes:
        reason = _alone(snapshot, node, quiet.get(node.key, 0.0)) or _without(snapshot, node, gone)
        if reason:
            yield node.key, reason
        else:
            gone.add(node.key)


def _alone(snapshot: Snapshot, node: Node, unheld: float) -> str | None:
    if node.gone is not None or not node.listed:
        return "it is not in the node list"
    if node.role is not None:
        return f"its role is {node.role}"
    if snapshot.present_seconds(node) < SEEN * snapshot.window_seconds:
        return "it was not there for the whole window"
    if any(pod.holds for pod in snapshot.pods_by_node.get(node.key, ())):
        return "a pod holds a GPU of it now"
    if unheld < SEEN:
        return f"its GPUs were seen unheld for {unheld:.0%} of the window only"
    return None


def _unheld_ratio(snapshot: Snapshot) -> dict[NodeKey, float]:
    """Share of the window's GPU-hours of each node that the metrics saw held by nobody; 0 once anybody held one."""
    devices = snapshot.usage.devices
    held = set(zip(*(devices.loc[devices["owner"] != NOBODY, column] for column in ("cluster", "node")), strict=True))
    free = devices[devices["owner"] == NOBODY]
    hours = (free["samples"] * free["interval_seconds"] * free["gpus"] / 3600).fillna(0.0)  # NaN: a point in time
    sums = hours.groupby([free["cluster"], free["node"]]).sum().to_dict()
    window_hours = snapshot.window_seconds / 3600
    return {
        node.key: min(1.0, float(sums.get(node.key, 0.0)) / (node.gpus * window_hours))
        for node in snapshot.nodes
        if node.cards and node.key not in held
    }


def _without(snapshot: Snapshot, node: Node, gone: set[NodeKey]) -> str | None:
    """Say what breaks when this node goes too: the fullest node's work must still fit on the others."""
    peers = [
        other
        for other in snapshot.nodes
        if (other.cluster, other.pool, other.zone) == (node.cluster, node.pool, node.zone)
        and other.cards
        and other.gone is None
        and other.key not in gone
        and other.key != node.key
    ]
    loads = {other.key: snapshot.held_gpus(other) for other in peers}
    if any(load is None for load in loads.values()):
        return "what is held in its pool and zone is not fully known"
    for failed in peers:
        load = loads[failed.key] or 0.0
        free = sum(
            other.gpus - (loads[other.key] or 0.0)
            for other in peers
            if other.key != failed.key and other.ready is not False and not other.cordoned
        )
        if load > free:
            return f"if {failed.name} failed, its {load:g} GPUs of work would not fit in the pool and zone"
    return None
