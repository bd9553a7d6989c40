"""Machines that are paid for whether they are used or not: how much of them nobody held, hour by hour."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.capacity.free import held_by_hour, lost_gpus
from gpuaudit.demand.capacity.reserve import pool_zone, reserve, usable
from gpuaudit.demand.capacity.stranding import planned_maintenance
from gpuaudit.demand.memory import once


@dataclass(frozen=True, kw_only=True)
class Committed:
    """Committed nodes of one pool, term and role; GPUs are physical, hours are those that the metrics saw."""

    nodes: tuple[Node, ...]
    hours: float
    gpu_hours: float  # that could have been held
    unused_gpu_hours: float  # held by nobody, beyond the reserve
    never_used: float  # GPUs that stayed free at the busiest hour too
    kept: float  # GPUs of the reserve for a node's failure and a roll-out
    end: datetime | None  # the first to end

    @property
    def unused(self) -> float:
        """Share of the GPU-hours that nobody held."""
        return self.unused_gpu_hours / self.gpu_hours if self.gpu_hours else 0.0

    @property
    def unused_gpus(self) -> float:
        """GPUs that nobody held, on average."""
        return self.unused_gpu_hours / self.hours if self.hours else 0.0


@once
def committed(snapshot: Snapshot) -> tuple[Committed, ...]:
    """Return the committed nodes in service that the metrics saw, by cluster, pool, reservation and role."""
    groups: dict[tuple[str, ...], list[Node]] = defaultdict(list)
    for node in sorted(snapshot.gpu_nodes, key=lambda node: node.key):
        if term(node) is not None and node.listed and _in_service(node):
            machine = node.instance_type or node.cards[0].model or ""
            paid = (term(node) or "", node.reservation or "")
            groups[node.cluster, node.pool or "", machine, *paid, node.role or ""].append(node)
    found = (_committed(snapshot, nodes) for _, nodes in sorted(groups.items()))
    return tuple(one for one in found if one is not None)


def term(node: Node) -> str | None:
    """Return how the node is paid for when that does not end with its use: reserved, owned, lease ...; else None."""
    if node.commitment is not None:
        return node.commitment
    return node.purchase if node.purchase in ("reserved", "owned") else None


def _in_service(node: Node) -> bool:
    return node.ready is not False and not node.cordoned and planned_maintenance(node) is None


def _committed(snapshot: Snapshot, nodes: Sequence[Node]) -> Committed | None:
    reserves = reserve(snapshot)
    held_back = {node.key: reserves[pool_zone(node)].held_back.get(node.name, 0.0) for node in nodes}
    offered = {node.key: float(node.gpus - lost_gpus(node)) for node in nodes if usable(snapshot, node)}
    hours = total = unused = 0.0
    never: float | None = None
    for held in held_by_hour(snapshot).by_hour.values():
        seen = [key for key in offered if key in held]
        if not seen:
            continue
        free = max(0.0, sum(offered[key] - held[key] - held_back[key] for key in seen))
        hours, total, unused = hours + 1, total + sum(offered[key] for key in seen), unused + free
        never = free if never is None else min(never, free)
    if never is None:
        return None
    ends = [end for node in nodes if (end := node.commitment_end or node.reservation_end) is not None]
    return Committed(
        nodes=tuple(node for node in nodes if node.key in offered),
        hours=hours,
        gpu_hours=total,
        unused_gpu_hours=unused,
        never_used=never,
        kept=sum(held_back[key] for key in offered),
        end=min(ends, default=None),
    )
