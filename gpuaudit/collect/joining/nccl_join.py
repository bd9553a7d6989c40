"""Say whose NCCL's logs are: a host is a pod's name, an indexed job's host name or a node; else nobody's."""

from collections.abc import Iterable, Sequence

import msgspec

from gpuaudit.cluster.nccl import NcclLog
from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.platform import Source
from gpuaudit.cluster.workloads import Pod, Workload
from gpuaudit.collect.joining.hosts import HostIndex
from gpuaudit.collect.joining.metric_source import count_of
from gpuaudit.knowledge import series

NAME = "NCCL logs"


def join_logs(
    logs: Iterable[NcclLog], nodes: Sequence[Node], pods: Sequence[Pod], workloads: Sequence[Workload]
) -> tuple[NcclLog, ...]:
    """Return the logs with pod, workload and node where the host names exactly one, by cluster, file and host."""
    index = _Index(nodes, pods, workloads)
    found = {(log.cluster, log.name, log.host): index.placed(log) for log in logs}
    return tuple(found[key] for key in sorted(found))


def logs_source(logs: Sequence[NcclLog], files: int) -> Source:
    """Return how reading the logs went, and what they do not tell."""
    known = sum(log.workload is not None or log.node is not None for log in logs)
    said = [f"{count_of(files, 'file')}, {count_of(len(logs), 'host')}, {known} of them known to Kubernetes"]
    if logs and not any(log.networks for log in logs):
        said.append("none names the network that was chosen: NCCL_DEBUG=INFO prints it")
    return Source(name=NAME, status="ok", detail="; ".join(said), provides=("nccl_logs",))


class _Index:
    def __init__(self, nodes: Sequence[Node], pods: Sequence[Pod], workloads: Sequence[Workload]) -> None:
        self._hosts = HostIndex(nodes)
        self._pods: dict[tuple[str, str], list[Pod]] = {}
        self._workloads: dict[tuple[str, str, str], list[Workload]] = {}
        for pod in pods:
            for name in {pod.name, pod.name.rpartition("-")[0]} - {""}:
                self._pods.setdefault((pod.cluster, name), []).append(pod)
        for workload in workloads:
            self._workloads.setdefault((workload.cluster, workload.kind, workload.name), []).append(workload)

    def placed(self, log: NcclLog) -> NcclLog:
        """Return the log with whose it is."""
        name = log.pod.rpartition("/")[2] if log.pod else log.host.partition(".")[0]
        pod = self._pod(log.cluster, name)
        if pod is not None:
            return msgspec.structs.replace(
                log, pod=f"{pod.namespace}/{pod.name}", workload=pod.workload or None, node=pod.node
            )
        node = self._hosts.find(log.host, clusters=frozenset({log.cluster}))
        return msgspec.structs.replace(
            log, workload=None if node else self._gone(log.cluster, name), node=node[1] if node else None
        )

    def _pod(self, cluster: str, name: str) -> Pod | None:
        """Return the pod of this name; else the only pod whose name is this and a random ending (an indexed job's)."""
        found = self._pods.get((cluster, name), [])
        exact = [pod for pod in found if pod.name == name]
        chosen = exact or found
        return chosen[0] if len(chosen) == 1 else None

    def _gone(self, cluster: str, name: str) -> str | None:
        """Return the listed workload whose pods, of which this one is gone, bear such names."""
        for kind, owner in series.owner_candidates(name):
            found = self._workloads.get((cluster, kind, owner), [])
            if len(found) == 1:
                return found[0].id
        return None
