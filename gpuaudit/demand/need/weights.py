"""How long a server's weights take over its node's link at best, and what says that they do not come that way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod, Workload
from gpuaudit.demand.need.told import flag_values, serving_containers
from gpuaudit.knowledge import fabric, loading, models, prices


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """The weights of one workload over the slowest link of its nodes. `seconds` at the link's full speed, at best.

    `measured` is the quickest start that was seen, None = none; `together` how many pods started on one node at once.
    """

    workload: Workload
    node: Node
    model: str
    dtype: str
    dtype_told: bool
    gb: float
    gbps: float
    seconds: float
    starts: int
    together: int
    measured: float | None


def fetches(snapshot: Snapshot) -> Iterator[Fetch]:
    """Yield the servers whose model and link are known, whose weights are not on the node, and that started at all."""
    for workload in snapshot.workloads:
        pods = [pod for pod in snapshot.pods_by_workload.get(workload.id, ()) if pod.holds]
        if workload.model and workload.engine and pods and not _is_local(snapshot, workload.model, pods):
            found = _fetch(snapshot, workload, workload.model, pods)
            if found is not None:
                yield found


def plain_gbps(node: Node) -> float | None:
    """Return the speed of a node's ordinary network: its fastest plain ports, else what its instance type has."""
    virtual = fabric.pattern(fabric.fabric().ports.virtual_interfaces)
    ports = [one for one in node.interfaces if one.kind == "ethernet" and not virtual.match(one.name)]
    speeds = [one.speed_gbps for one in ports if one.up is not False and one.speed_gbps]
    if speeds:
        return max(speeds)
    offer = prices.find(node.provider, node.instance_type) if node.instance_type else None
    return offer.network_gbps if offer else None


def _fetch(snapshot: Snapshot, workload: Workload, model: str, pods: Sequence[Pod]) -> Fetch | None:
    known = models.find(model)
    nodes = [node for pod in pods if (node := snapshot.node_by_key.get((pod.cluster, pod.node or "")))]
    links = [(speed, node.name, node) for node in nodes if (speed := plain_gbps(node))]
    starts = _starts(snapshot, pods)
    if known is None or known.params_b is None or not links or len(links) < len(nodes) or not starts:
        return None
    flags = flag_values(serving_containers(pods), fabric.fabric().weights.dtype_flags)
    told = models.dtype_of(*flags, model)
    dtype = told or fabric.fabric().weights.usual_dtype
    size = loading.bytes_per_param(dtype)
    if size is None:
        return None
    gbps, _, node = min(links, key=lambda one: one[:2])
    gb = known.params_b * size
    together = _together(pods)
    times = [start for pod in pods if (start := _start_seconds(pod)) is not None]
    return Fetch(
        workload=workload,
        node=node,
        model=model,
        dtype=dtype,
        dtype_told=told is not None,
        gb=gb,
        gbps=gbps,
        seconds=gb * 8 / gbps * together,
        starts=starts,
        together=together,
        measured=min(times, default=None),
    )


def _is_local(snapshot: Snapshot, model: str, pods: Sequence[Pod]) -> bool:
    """Whether the weights lie on the node: in the image, on its disk, or on a volume of its own."""
    names = {(pod.cluster, pod.namespace, claim) for pod in pods for claim in pod.claims}
    if not names:
        return model.startswith(("/", "."))
    volumes = [one for one in snapshot.volume_claims if (one.cluster, one.namespace, one.name) in names]
    patterns = [fabric.pattern(one) for one in fabric.fabric().weights.local_provisioners]
    texts = [text for one in volumes for text in (one.provisioner, one.storage_class) if text]
    return any(one.search(text.casefold()) for one in patterns for text in texts)


def _starts(snapshot: Snapshot, pods: Sequence[Pod]) -> int:
    """Return how often its present pods started within the window."""
    begun = sum(pod.started is not None and pod.started >= snapshot.window.start for pod in pods)
    return begun + sum(container.restarts for pod in pods for container in pod.containers if not container.init)


def _start_seconds(pod: Pod) -> float | None:
    """Return how long a pod took from its start to ready: no part of it can have taken longer."""
    begun, ready = pod.initialized_at or pod.started, pod.ready_at
    restarted = any(container.restarts for container in pod.containers)
    return (ready - begun).total_seconds() if begun and ready and ready > begun and not restarted else None


def _together(pods: Sequence[Pod]) -> int:
    """Return how many pods of a node started within a few minutes: they share its link. At least one."""
    span = timedelta(minutes=fabric.fabric().weights.together_minutes)
    most = 1
    for node in sorted({pod.node or "" for pod in pods}):
        times = sorted(pod.started for pod in pods if pod.node == node and pod.started)
        most = max([most, *(sum(first <= time <= first + span for time in times) for first in times)])
    return most
