"""Rule empty-gpu-node."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta

from gpuaudit.cluster.nodes import Node, Tenant
from gpuaudit.cluster.snapshot import Snapshot, device_id
from gpuaudit.demand import EmptyNode, empty_nodes, planned_maintenance, pool_zone, reserve, usable
from gpuaudit.demand.subjects import amount, count, duration, listed, node_groups, node_subject, place
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule

ORDER: tuple[Confidence, ...] = ("confirmed", "likely", "investigate")


@rule(Severity.MEDIUM, needs={"nodes", "pods"})
def empty_gpu_node(
    snapshot: Snapshot, *, hours: float = 24.0, likely_hours: float = 72.0, confirmed_hours: float = 168.0
) -> Iterator[Finding]:
    """GPU nodes stand empty, beyond the reserve.

    A node is paid for as a whole, whether its GPUs are held or not. Kept out are the empty nodes that the pool and
    zone need so that the fullest node's work finds a place when it fails, with room for one roll-out; declared spares
    are kept first. Empty for the whole window is confirmed; empty at this moment alone needs a look.

    Lower what sets the number of nodes (the pool's minimum, a NodePool limit, consolidation), or fill them: a reserved
    or owned node saves nothing by standing empty. Declare a spare with the annotation gpuaudit.io/role: spare.
    """
    empty = {one.node.key: one for one in empty_nodes(snapshot) if _beyond_reserve(snapshot, one.node)}
    for group in node_groups(one.node for one in empty.values()):
        sure: dict[Confidence, list[EmptyNode]] = defaultdict(list)
        for node in group:
            confidence = _confidence(snapshot, empty[node.key], hours, likely_hours, confirmed_hours)
            if confidence is not None:
                sure[confidence].append(empty[node.key])
        best = next((confidence for confidence in ORDER if sure[confidence]), None)
        if best is not None:
            later = [one for confidence in ORDER if confidence != best for one in sure[confidence]]
            yield _finding(snapshot, sure[best], later, best)


def _beyond_reserve(snapshot: Snapshot, node: Node) -> bool:
    """Whether the node is in service and the reserve does not need it; others are stranded-gpu's."""
    if planned_maintenance(node) or not usable(snapshot, node):
        return False
    return node.name not in reserve(snapshot)[pool_zone(node)].kept


def _confidence(
    snapshot: Snapshot, one: EmptyNode, hours: float, likely_hours: float, confirmed_hours: float
) -> Confidence | None:
    """How sure it is that the node is empty for long; None = too young to say."""
    if one.since is None:
        there = one.node.created is None or snapshot.taken_at - one.node.created >= timedelta(hours=hours)
        return "investigate" if there else None
    if one.hours < hours:
        return None
    if one.all_window and one.hours >= confirmed_hours:
        return "confirmed"
    return "likely" if one.hours >= likely_hours else "investigate"


def _finding(snapshot: Snapshot, empty: Sequence[EmptyNode], later: Sequence[EmptyNode], sure: Confidence) -> Finding:
    nodes = [one.node for one in empty]
    gpus = sum(node.gpus for node in nodes)
    moving = [tenant for node in nodes for tenant in _movable(node)]
    names = listed([node.name for node in nodes])
    pool = nodes[0].pool
    size = sum(node.key[0] == nodes[0].cluster and node.pool == pool for node in snapshot.gpu_nodes)
    return Finding(
        subject=node_subject(nodes, devices=(device_id(n, c) for n in nodes for c in n.cards), gpus=float(gpus)),
        message=f"{_stand(nodes)} empty in {place(nodes)}{_since(empty)}: {names}, {amount(gpus)}{_but(moving)}",
        evidence=tuple(_evidence(snapshot, empty, later, moving)),
        confidence=sure,
        act=Act(
            kind="release_node",
            target=pool or nodes[0].name,
            from_=count(size, "node"),
            to=count(size - len(nodes), "node"),
        ),
        fix=Fix(note="lower the pool's minimum or limit, so that the node does not come back; fill what is committed"),
        releases=tuple(node.name for node in nodes if not _movable(node)),
        refutation="a reserve, a launch or a recovery plan that the cluster does not show, or a peak that the window "
        "did not see",
    )


def _stand(nodes: Sequence[Node]) -> str:
    return f"{count(len(nodes), 'GPU node')} {'stands' if len(nodes) == 1 else 'stand'}"


def _movable(node: Node) -> tuple[Tenant, ...]:
    return tuple(tenant for tenant in node.tenants if not tenant.daemon)


def _since(empty: Sequence[EmptyNode]) -> str:
    if all(one.all_window for one in empty):
        return " for the whole window"
    if any(one.since is None for one in empty):
        return " at this moment"
    return f" for {duration(min(one.hours for one in empty))}"


def _but(moving: Sequence[Tenant]) -> str:
    names = sorted({tenant.workload.rpartition("/")[2] for tenant in moving})
    return f"; {listed(names)} would have to move" if names else ""


def _evidence(
    snapshot: Snapshot, empty: Sequence[EmptyNode], later: Sequence[EmptyNode], moving: Sequence[Tenant]
) -> Iterator[Evidence]:
    for one in empty:
        yield Evidence(
            name=f"held by nobody: {one.node.name}",
            value=round(one.hours, 1) if one.since else 0.0,
            unit="GPUs held" if one.since is None else "hours",
            statistic="now" if one.since is None else "sum",
            window_seconds=None if one.since is None else snapshot.window_seconds,
            source="kubernetes" if one.since is None else "metrics",
        )
    for key in sorted({pool_zone(one.node) for one in empty}, key=str):
        kept = reserve(snapshot)[key]
        name = f"reserve in {key[1] or 'no pool'}, zone {key[2] or 'unknown'}"
        yield Evidence(name=name, value=kept.nodes, unit="nodes kept", statistic="max", source="kubernetes")
    for tenant in moving:
        name = f"runs there: {tenant.workload}"
        yield Evidence(name=name, value=tenant.cpu_cores, unit="cores", statistic="now", source="kubernetes")
    for one in later:
        name = f"empty too, for less: {one.node.name}"
        yield Evidence(name=name, value=round(one.hours, 1), unit="hours", statistic="sum", source="metrics")
    paid = "+".join(sorted({one.node.purchase for one in empty}))
    yield Evidence(name="purchase option", value=paid, source="kubernetes")
