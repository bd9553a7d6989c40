"""Who else could use GPUs that nobody holds: work that waits for them, and queues that they are promised to."""

from collections.abc import Sequence

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.scheduling.quota_places import flavor_nodes, is_gpu


def waited_for(snapshot: Snapshot, nodes: Sequence[Node]) -> float:
    """Return the GPUs of these nodes that waiting work of the cluster could fill, at most."""
    return sum(
        work.most_gpus
        for work in snapshot.waiting
        if work.cluster == nodes[0].cluster and (work.resource in _offered(nodes) or not work.is_offered)
    )


def promised(snapshot: Snapshot, nodes: Sequence[Node]) -> float:
    """Return the quota of the cluster's queues for the same GPU resources, where it counts, that nobody uses now."""
    offered = {name for name in _offered(nodes) if is_gpu(name)}
    keys = {node.key for node in nodes}
    total = 0.0
    for queue in snapshot.queues:
        if queue.cluster != nodes[0].cluster:
            continue
        if not queue.flavors:
            total += sum(
                max(0.0, nominal - queue.used.get(name, 0.0))
                for name, nominal in queue.nominal.items()
                if name in offered
            )
        for one in queue.flavors:
            meant = {node.key for node in flavor_nodes(snapshot, queue.cluster, (one.flavor,))[0]}
            if one.resource in offered and meant & keys:
                total += max(0.0, one.nominal - (one.used or 0.0))
    return total


def _offered(nodes: Sequence[Node]) -> set[str]:
    return {resource.name for node in nodes for resource in node.resources}
