"""Where a quota counts: the nodes that its flavors mean, and what of a resource stands free on each of them."""

import json
from collections.abc import Collection, Mapping, Sequence

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.capacity.reserve import usable
from gpuaudit.demand.memory import once
from gpuaudit.knowledge import kubernetes


def is_gpu(resource: str) -> bool:
    """Whether the resource is a whole GPU or a MIG device."""
    names = kubernetes.resources()
    return resource in names.whole_gpus or resource.startswith(names.mig_prefix)


def flavor_nodes(snapshot: Snapshot, cluster: str, flavors: Collection[str]) -> tuple[list[Node], bool]:
    """Return the GPU nodes in service that the flavors mean (all without flavors), and whether that is known."""
    nodes = [node for node in snapshot.gpu_nodes if node.cluster == cluster and usable(snapshot, node)]
    if not flavors:
        return nodes, True
    labels = [_labels(snapshot).get((cluster, flavor)) for flavor in flavors]
    known = [one for one in labels if one is not None]
    if len(known) < len(labels):
        return nodes, False
    return [node for node in nodes if any(one.items() <= node.labels.items() for one in known)], True


def offered_units(nodes: Sequence[Node], resource: str) -> float:
    """Return how many of the resource the nodes offer."""
    return sum(_offered(node, resource) for node in nodes)


def free_units(snapshot: Snapshot, nodes: Sequence[Node], resource: str) -> list[float]:
    """Return how many of the resource nobody holds, by node."""
    free = []
    for node in nodes:
        holdings = (holding for pod in snapshot.holders(node) for holding in pod.holdings)
        held = sum(holding.count for holding in holdings if holding.resource == resource)
        free.append(max(0.0, _offered(node, resource) - held))
    return free


def _offered(node: Node, resource: str) -> float:
    return sum(float(one.allocatable or 0) for one in node.resources if one.name == resource)


@once
def _labels(snapshot: Snapshot) -> Mapping[tuple[str, str], Mapping[str, str]]:
    """Return the node labels of each Kueue flavor, by cluster and name."""
    found = {}
    for item in snapshot.custom_objects:
        if item.kind == "ResourceFlavor":
            try:
                labels = json.loads(item.fields.get("spec.nodeLabels") or "{}")
            except ValueError:
                continue
            if isinstance(labels, dict):
                found[item.cluster, item.name] = {str(key): str(value) for key, value in labels.items()}
    return found
