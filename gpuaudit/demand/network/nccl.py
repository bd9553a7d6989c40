"""What NCCL's logs say, by workload or by file: which network a job chose, and whether it spans hosts at all."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from gpuaudit.cluster.nccl import NcclLog
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.memory import once
from gpuaudit.demand.network.fabric import node_fabric
from gpuaudit.knowledge import fabric


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The logs of one job. `rdma` None = the network is not known; `spans` None = not known whether it leaves a host.

    `workload` is None where the log names no pod that is listed.
    """

    cluster: str
    workload: str | None
    name: str  # of the file
    logs: tuple[NcclLog, ...]
    networks: tuple[str, ...]
    rdma: bool | None
    spans: bool | None
    gpudirect: bool | None


@once
def chosen(snapshot: Snapshot) -> tuple[Chosen, ...]:
    """Return what each job's logs say, by workload, else by file."""
    groups: dict[tuple[str, str, str], list[NcclLog]] = defaultdict(list)
    for log in snapshot.nccl_logs:
        groups[log.cluster, log.workload or "", "" if log.workload else log.name].append(log)
    return tuple(_chosen(logs) for _, logs in sorted(groups.items()))


def of_workload(snapshot: Snapshot, owner: str) -> Chosen | None:
    """Return what the logs of a workload say, None without any."""
    return next((one for one in chosen(snapshot) if one.workload == owner), None)


def fell_back(snapshot: Snapshot, job: Chosen) -> bool:
    """Whether a job's logs show sockets between hosts, or may, where RDMA is not known to be missing."""
    return job.rdma is False and job.spans is not False and had_rdma(snapshot, job) is not False


def had_rdma(snapshot: Snapshot, job: Chosen) -> bool | None:
    """Whether the nodes of a job have RDMA: False where one has none; None where one is not known.

    They are its logs' nodes; where a log does not name one, those that its pods are on.
    """
    keys = [(log.cluster, log.node or "") for log in job.logs]
    held = [(pod.cluster, pod.node or "") for pod in snapshot.pods_by_workload.get(job.workload or "", ()) if pod.holds]
    if held and not all(node for _, node in keys):
        keys = [key for key in keys if key[1]] + held
    nodes = [snapshot.node_by_key.get(key) for key in keys]
    told = [node_fabric(node).rdma if node is not None else None for node in nodes]
    if False in told:
        return False
    return True if any(log.devices for log in job.logs) or None not in told else None


def _chosen(logs: Sequence[NcclLog]) -> Chosen:
    networks = tuple(sorted({network for log in logs for network in log.networks}))
    told = {fabric.carries_rdma(network) for network in networks}
    direct = {log.gpudirect for log in logs}
    return Chosen(
        cluster=logs[0].cluster,
        workload=logs[0].workload,
        name=logs[0].name,
        logs=tuple(logs),
        networks=networks,
        rdma=True if True in told else False if told == {False} else None,
        spans=_spans(logs),
        gpudirect=True if True in direct else False if False in direct else None,
    )


def _spans(logs: Sequence[NcclLog]) -> bool | None:
    """Return whether a job leaves its host; None where neither numbers nor paths tell.

    Several hosts in one file may be several jobs: their ranks are then no more than the processes of one.
    """
    for log in logs:
        several = log.hosts > 1 and (log.ranks is None or log.ranks > log.processes)
        if several or (log.nodes or 1) > 1 or any(path.startswith("NET/") for path in log.paths):
            return True
    within = any(log.nodes == 1 or (log.ranks is not None and log.ranks <= log.processes) for log in logs)
    return False if within else None
