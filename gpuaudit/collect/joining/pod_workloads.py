"""Which workload a pod of the metrics is of, by the pods that are listed."""

from collections.abc import Sequence

from gpuaudit.cluster.workloads import Pod
from gpuaudit.collect.metrics.owners import OwnerOf


def pod_workloads(pods: Sequence[Pod]) -> OwnerOf:
    """Return what tells the workload of a pod; without a namespace, of the only pod of that name on the node."""
    exact = {pod.key: pod.workload for pod in pods}
    placed: dict[tuple[str, str, str], set[str]] = {}
    for pod in pods:
        placed.setdefault((pod.cluster, pod.node or "", pod.name), set()).add(pod.workload)

    def owner_of(cluster: str, namespace: str, pod: str, node: str) -> str | None:
        if namespace:
            return exact.get((cluster, namespace, pod))
        found = placed.get((cluster, node, pod), set())
        return next(iter(found)) if len(found) == 1 else None

    return owner_of
