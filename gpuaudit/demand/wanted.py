"""Who else could use GPUs that nobody holds: work that waits for them, and queues that they are promised to."""

from collections.abc import Sequence

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot


def waited_for(snapshot: Snapshot, nodes: Sequence[Node]) -> float:
    """Return the GPUs that work of the same cluster waits for and that the nodes offer the resource of."""
    return sum(
        work.gpus or 0.0
        for work in snapshot.waiting
        if work.cluster == nodes[0].cluster and (work.resource in _offered(nodes) or not work.resource)
    )


def promised(snapshot: Snapshot, nodes: Sequence[Node]) -> float:
    """Return the nominal quota of the cluster's queues for the same GPU resources that nobody uses now."""
    offered = _offered(nodes)
    return sum(
        max(0.0, nominal - queue.used.get(name, 0.0))
        for queue in snapshot.queues
        if queue.cluster == nodes[0].cluster
        for name, nominal in queue.nominal.items()
        if name in offered and "gpu" in name
    )


def _offered(nodes: Sequence[Node]) -> set[str]:
    return {resource.name for node in nodes for resource in node.resources}
