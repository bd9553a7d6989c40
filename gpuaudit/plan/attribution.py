"""Chargeback: every GPU-hour and every cent of a node belongs to an owner, to spare, to nobody, or was not observed.

Held GPU-hours come from the metrics where they name pods; where they do not, from the pods that hold now, since they
were started. Both are bounded by the node's own GPU-hours, so that nothing is counted twice.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.usage import NOBODY, UNKNOWN_OWNER
from gpuaudit.demand import Tenure

SPARE = "(spare)"
UNALLOCATED = "(unallocated)"
UNOBSERVED = "(unobserved)"


@dataclass(frozen=True, kw_only=True)
class NodeShares:
    """GPU-hours of one node: by holding workload, held by nobody, declared spare, and not observed."""

    node: Node
    gpu_hours: float
    held: Mapping[str, float] = field(default_factory=dict)
    unallocated: float = 0.0
    spare: float = 0.0
    unobserved: float = 0.0


def node_shares(snapshot: Snapshot, tenures: Sequence[Tenure]) -> tuple[NodeShares, ...]:
    """Divide the GPU-hours of every node with cards; the parts of a node add up to its GPU-hours."""
    seen: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for tenure in tenures:
        seen[tenure.cluster, tenure.node][tenure.owner] += tenure.gpu_hours
    return tuple(
        _shares(snapshot, node, seen.get(node.key, {}))
        for node in sorted(snapshot.nodes, key=lambda n: n.key)
        if node.cards
    )


def _shares(snapshot: Snapshot, node: Node, seen: Mapping[str, float]) -> NodeShares:
    total = max(node.gpus * snapshot.present_seconds(node) / 3600, sum(seen.values()))
    held = {owner: hours for owner, hours in seen.items() if owner not in (NOBODY, UNKNOWN_OWNER)}
    left = total - sum(seen.values())
    for owner, hours in sorted(_held_now(snapshot, node).items()):
        more = min(max(0.0, hours - held.get(owner, 0.0)), left)
        if more > 0:
            held[owner] = held.get(owner, 0.0) + more
            left -= more
    free = seen.get(NOBODY, 0.0)
    spare = free if node.role == "spare" else 0.0
    return NodeShares(
        node=node,
        gpu_hours=total,
        held=held,
        unallocated=free - spare,
        spare=spare,
        unobserved=max(0.0, left) + seen.get(UNKNOWN_OWNER, 0.0),
    )


def _held_now(snapshot: Snapshot, node: Node) -> dict[str, float]:
    """GPU-hours in the window of the pods that hold now, from when they were bound."""
    hours: dict[str, float] = defaultdict(float)
    for pod in snapshot.holders(node):
        since = pod.scheduled or pod.started or pod.created
        if pod.gpus is None or since is None:
            continue
        span = max(timedelta(), snapshot.window.end - max(since, snapshot.window.start))
        hours[pod.workload] += pod.gpus * span.total_seconds() / 3600
    return hours
