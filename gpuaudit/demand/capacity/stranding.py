"""Free GPUs that cannot be given out, and why: not ready, cordoned, tainted, or no CPU, memory or pods left."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Literal

from gpuaudit.cluster.nodes import Node, Taint, Tenant
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.capacity.free import NodeKey, free_gpus, whole_cards
from gpuaudit.demand.memory import once
from gpuaudit.knowledge import kubernetes
from gpuaudit.knowledge.kubernetes import matches

Cause = Literal["not_ready", "cordoned", "tainted", "cpu", "memory", "pods"]


@dataclass(frozen=True, kw_only=True)
class Stranding:
    """Why free GPUs of a node cannot be given out. `planned` names the mark of a maintenance, None = none seen."""

    node: Node
    cause: Cause
    gpus: float
    detail: str
    since: datetime | None = None
    planned: str | None = None
    blockers: tuple[Tenant, ...] = ()  # what would have to move, the largest first


@dataclass(frozen=True)
class Need:
    """CPU and memory that GPU pods ask for beside one GPU: the usual pod of a pool, by GPUs held."""

    cpu_cores: float
    memory_bytes: float


def stranding(snapshot: Snapshot, node: Node) -> Stranding | None:
    """Return why the node's free GPUs, or some of them, cannot be given out; None = they can, or none is free."""
    return strandings(snapshot).get(node.key)


@once
def strandings(snapshot: Snapshot) -> Mapping[NodeKey, Stranding]:
    """Return the strandings by node."""
    found: dict[NodeKey, Stranding] = {}
    for node in snapshot.gpu_nodes:
        free = free_gpus(snapshot, node)
        if free is not None and free >= 1:
            stranded = _closed(snapshot, node, free) or _exhausted(snapshot, node, free)
            if stranded is not None:
                found[node.key] = stranded
    return found


def planned_maintenance(node: Node) -> str | None:
    """Return the taint or label that says that the node is out of use on purpose, None when nothing does.

    A cordon alone does not say so.
    """
    marks = kubernetes.maintenance()
    for taint in node.taints:
        marked = taint.key in marks.taints or matches(marks.taint_patterns, taint.key)
        if marked and taint.key != CORDON_TAINT:
            return f"taint {taint.key}"
    state = node.labels.get(kubernetes.gfd().driver_upgrade_state, "")
    if state not in kubernetes.gfd().driver_upgrade_done:
        return f"driver upgrade {state}"
    label = next((key for key in sorted(node.labels) if matches(marks.label_patterns, key)), None)
    return f"label {label}" if label else None


FAIR_PART = (
    0.75  # of a node's CPU and memory: with that much beside its GPUs it strands none, whatever pods asked so far
)
CORDON_TAINT = "node.kubernetes.io/unschedulable"


def _closed(snapshot: Snapshot, node: Node, free: float) -> Stranding | None:
    planned = planned_maintenance(node)
    if node.ready is False:
        return Stranding(
            node=node, cause="not_ready", gpus=free, detail="not ready", since=node.ready_since, planned=planned
        )
    if node.cordoned:
        return Stranding(
            node=node, cause="cordoned", gpus=free, detail="cordoned", since=node.cordoned_since, planned=planned
        )
    taint = next((taint for taint in node.taints if _shuts_out(snapshot, node, taint)), None)
    if taint is None:
        return None
    detail = f"tainted {taint.key}{'=' + taint.value if taint.value else ''}:{taint.effect}"
    return Stranding(node=node, cause="tainted", gpus=free, detail=detail, since=taint.since, planned=planned)


def _shuts_out(snapshot: Snapshot, node: Node, taint: Taint) -> bool:
    """Whether no GPU pod of the cluster tolerates the taint; unknown while there is no GPU pod to judge by."""
    if taint.effect not in ("NoSchedule", "NoExecute"):
        return False
    marks = kubernetes.maintenance()
    if taint.key in marks.taints or taint.key in marks.health_taints or matches(marks.taint_patterns, taint.key):
        return True
    if snapshot.holders(node):
        return False
    asking = _gpu_pods(snapshot).get(node.cluster, ())
    return bool(asking) and not any(tolerates(pod, taint) for pod in asking)


def tolerates(pod: Pod, taint: Taint) -> bool:
    """Whether the pod tolerates the taint (`key`, `key=value`, either with `:effect`; nothing or * = everything)."""
    for toleration in pod.tolerations:
        body, _, effect = toleration.partition(":")
        key, has_value, value = body.partition("=")
        if effect not in ("", "*", taint.effect):
            continue
        if key in ("", "*") or (key == taint.key and (not has_value or value in ("*", taint.value))):
            return True
    return False


@once
def _gpu_pods(snapshot: Snapshot) -> Mapping[str, tuple[Pod, ...]]:
    groups: dict[str, list[Pod]] = {}
    for pod in snapshot.pods:
        if pod.holdings and not pod.ended:
            groups.setdefault(pod.cluster, []).append(pod)
    return {cluster: tuple(pods) for cluster, pods in groups.items()}


def _exhausted(snapshot: Snapshot, node: Node, free: float) -> Stranding | None:
    if not whole_cards(node):
        return None  # what a slice needs beside it says nothing about the next one
    need = _needs(snapshot).get((node.cluster, node.pool)) or _needs(snapshot).get((node.cluster, ANY_POOL))
    for cause, left, one in _left(node, need):
        if one > 0 and left is not None and left < one * free - 1e-9:
            usable = max(0, int(left / one + 1e-9))
            stranded = free - min(free, usable)
            if stranded >= 1:
                return Stranding(
                    node=node,
                    cause=cause,
                    gpus=stranded,
                    detail=_said(cause, left),
                    blockers=_blockers(node, cause, one * free - left),
                )
    return None


def _said(cause: Cause, left: float) -> str:
    if cause == "pods":
        return "no pod slot left"
    return f"{left:.1f} CPU cores left" if cause == "cpu" else f"{left / 2**30:.0f} GiB of memory left"


def _left(node: Node, need: Need | None) -> Iterator[tuple[Cause, float | None, float]]:
    """Yield each resource with what is left of it and what one GPU usually needs beside it."""
    if node.pods_allocatable is not None and node.pods_bound is not None:
        yield "pods", float(node.pods_allocatable - node.pods_bound), 1.0 if _full(node) else 0.0
    if need is None:
        return
    part = FAIR_PART / node.gpus
    if node.cpu_cores is not None and node.cpu_requested_cores is not None:
        left = max(0.0, node.cpu_cores - node.cpu_requested_cores)
        yield "cpu", left, min(need.cpu_cores, part * node.cpu_cores)
    if node.memory_bytes is not None and node.memory_requested_bytes is not None:
        left = float(max(0, node.memory_bytes - node.memory_requested_bytes))
        yield "memory", left, min(need.memory_bytes, part * node.memory_bytes)


def _full(node: Node) -> bool:
    return (node.pods_allocatable or 0) - (node.pods_bound or 0) <= 0


def _blockers(node: Node, cause: Cause, missing: float) -> tuple[Tenant, ...]:
    """Return the fewest movable tenants, the largest first, whose leaving would make room for every free GPU."""

    def size(tenant: Tenant) -> float:
        return tenant.memory_bytes if cause == "memory" else tenant.pods if cause == "pods" else tenant.cpu_cores

    chosen: list[Tenant] = []
    for tenant in sorted((t for t in node.tenants if not t.daemon), key=lambda t: (-size(t), t.workload)):
        if missing <= 1e-9 or size(tenant) <= 0:
            break
        chosen.append(tenant)
        missing -= size(tenant)
    return tuple(chosen)


ANY_POOL = "*"


@once
def _needs(snapshot: Snapshot) -> Mapping[tuple[str, str | None], Need]:
    """Return CPU and memory per GPU of the usual pod by (cluster, pool), and by (cluster, `*`) over all pools."""
    pods: dict[tuple[str, str | None], list[tuple[float, float, float]]] = {}
    for pod in snapshot.pods:
        node = snapshot.node_by_key.get((pod.cluster, pod.node or ""))
        if node is None or not pod.holds or not pod.gpus:
            continue
        row = (pod.gpus, pod.requests.get("cpu", 0.0) / pod.gpus, pod.requests.get("memory", 0.0) / pod.gpus)
        for pool in (node.pool, ANY_POOL):
            pods.setdefault((pod.cluster, pool), []).append(row)
    return {key: Need(_usual(rows, 1), _usual(rows, 2)) for key, rows in pods.items()}


def _usual(rows: list[tuple[float, float, float]], column: int) -> float:
    """Return the median over GPUs: a pod of eight counts eight times."""
    return median(row[column] for row in rows for _ in range(max(1, round(row[0]))))
