"""Disruption budgets over GPU pods: which allow no disruption ever, which did block a move, and what would move."""

from dataclasses import dataclass
from datetime import datetime

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.platform import Budget
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.capacity.stranding import planned_maintenance
from gpuaudit.demand.memory import once
from gpuaudit.demand.scheduling.placement import selected
from gpuaudit.knowledge import kubernetes
from gpuaudit.knowledge.scheduling import blocking_budgets, scheduling


@dataclass(frozen=True, kw_only=True)
class Blocking:
    """A budget that lets no GPU pod of its go. `always` = with every pod healthy too."""

    budget: Budget
    pods: tuple[Pod, ...]
    nodes: tuple[Node, ...]
    always: bool
    events: int  # that name it as what blocked a move
    last: datetime | None
    leaving: tuple[str, ...]  # nodes of its pods that are on their way out: `NODE: why`
    replaced: tuple[str, ...]  # pools whose provisioner replaces nodes by itself: `POOL: how`


@once
def blocking(snapshot: Snapshot) -> tuple[Blocking, ...]:
    """Return the budgets that allow no disruption of GPU pods now, sorted."""
    found = (_blocking(snapshot, budget) for budget in snapshot.budgets if budget.disruptions_allowed == 0)
    rows = [one for one in found if one is not None]
    return tuple(sorted(rows, key=lambda one: (one.budget.cluster, one.budget.namespace, one.budget.name)))


def _blocking(snapshot: Snapshot, budget: Budget) -> Blocking | None:
    pods = tuple(
        pod
        for pod in snapshot.pods
        if (pod.cluster, pod.namespace) == (budget.cluster, budget.namespace) and pod.holds
        if selected(pod.labels, budget.selector, budget.expressions)
    )
    if not pods:
        return None
    keys = sorted({(pod.cluster, pod.node or "") for pod in pods})
    nodes = tuple(snapshot.node_by_key[key] for key in keys if key in snapshot.node_by_key)
    events, last = _events(snapshot, budget, pods)
    return Blocking(
        budget=budget,
        pods=pods,
        nodes=nodes,
        always=_always(budget),
        events=events,
        last=last,
        leaving=tuple(told for node in nodes if (told := _leaving(node))),
        replaced=tuple(sorted({told for node in nodes if (told := _replaced(snapshot, node))})),
    )


def _always(budget: Budget) -> bool:
    """Whether the budget allows none even with all of its pods healthy."""
    expected = budget.expected_pods
    if budget.max_unavailable is not None:
        return budget.max_unavailable in ("0", "0%")
    if budget.min_available is None or expected is None:
        return False
    if budget.min_available.endswith("%"):
        return budget.min_available == "100%"
    return budget.min_available.isdecimal() and int(budget.min_available) >= expected > 0


def _events(snapshot: Snapshot, budget: Budget, pods: tuple[Pod, ...]) -> tuple[int, datetime | None]:
    names = {f"{pod.namespace}/{pod.name}" for pod in pods}
    total, times = 0, []
    for event in snapshot.events:
        told = blocking_budgets(event.reason, event.message) if event.cluster == budget.cluster else None
        if told is None:
            continue
        budgets, blocked = told
        own = f"{budget.namespace}/{budget.name}" in budgets or bool(names & set(blocked))
        about = event.kind == "Pod" and f"{event.namespace}/{event.name}" in names and not budgets and not blocked
        if own or about:
            total += event.count
            times += [event.last] if event.last else []
    return total, max(times, default=None)


def _leaving(node: Node) -> str | None:
    """Return why a node is on its way out."""
    planned = planned_maintenance(node)
    if planned:
        return f"{node.name}: {planned}"
    return f"{node.name}: cordoned" if node.cordoned else None


def _replaced(snapshot: Snapshot, node: Node) -> str | None:
    """Return how the pool's own provisioner moves pods off its nodes sooner or later."""
    for pool in snapshot.node_pools:
        if (pool.cluster, pool.name) == (node.cluster, node.pool) and pool.expire_after_seconds:
            return f"{pool.name}: nodes expire after {pool.expire_after_seconds / 86400:g} d"
        moves = pool.consolidation_policy in scheduling().moving_consolidation
        if (pool.cluster, pool.name) == (node.cluster, node.pool) and moves:
            return f"{pool.name}: {pool.consolidation_policy}"
    if kubernetes.gfd().driver_upgrade_state in node.labels:
        return f"{node.pool or node.name}: the GPU Operator upgrades drivers node by node"
    return None
