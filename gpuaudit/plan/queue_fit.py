"""Which nodes waiting GPU work could run on; what cannot be told counts as could."""

from collections.abc import Sequence

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod, Waiting


def could_run(snapshot: Snapshot, work: Waiting, node: Node) -> bool:
    """Whether the node offers the resource, is large enough for a pod, and its labels meet the node selector."""
    offered = {resource.name: resource.allocatable or resource.capacity or 0 for resource in node.resources}
    if work.cluster != node.cluster or (work.is_offered and work.resource not in offered):
        return False
    pods = _pending(snapshot, work)
    return not pods or any(_fits(pod, node, offered.get(work.resource, 0), work.resource) for pod in pods)


def _pending(snapshot: Snapshot, work: Waiting) -> Sequence[Pod]:
    pods = snapshot.pods_by_workload.get(work.workload, ())
    return [pod for pod in pods if pod.node is None and not pod.ended]


def _fits(pod: Pod, node: Node, offered: int, resource: str) -> bool:
    if pod.requests.get(resource, 0) > offered:
        return False
    return all(node.labels.get(key) == value for key, value in pod.node_selector.items())
