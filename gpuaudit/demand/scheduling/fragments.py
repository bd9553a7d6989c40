"""Free GPUs in pieces: enough in sum for a pod that is asked for, or usually is, and no piece of them large enough."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.capacity.free import whole_cards
from gpuaudit.demand.capacity.reserve import usable
from gpuaudit.demand.memory import once
from gpuaudit.demand.scheduling.asks import Ask, asks, obstacles
from gpuaudit.demand.scheduling.blames import beyond_reserve, broken_pieces, free_now
from gpuaudit.demand.scheduling.placement import free_units
from gpuaudit.knowledge import kubernetes

PoolKey = tuple[str, str | None, str | None]  # cluster, pool, instance type


@dataclass(frozen=True, kw_only=True)
class Fragments:
    """Pieces of free GPUs by node, of one pool first. `asked` = GPUs of the pod that does not fit."""

    pieces: Mapping[tuple[str, str], float]
    nodes: tuple[Node, ...]  # of the pool that has most of them
    others: tuple[Node, ...]  # in other pools
    asked: float
    waiting: tuple[Ask, ...] = ()  # () = nobody waits now: pods of this size are usual here

    @property
    def free(self) -> float:
        """GPUs free in sum, in every pool that counts here."""
        return sum(self.pieces.values())


@once
def fragments(snapshot: Snapshot) -> tuple[Fragments, ...]:
    """Return the fragmented pools: those that something waits for, then those whose usual pod would not fit."""
    found = _waited_for(snapshot)
    told = {node.key for one in found for node in (*one.nodes, *one.others)}
    return (*found, *(one for one in _unusable(snapshot) if not told & {node.key for node in one.nodes}))


def _waited_for(snapshot: Snapshot) -> tuple[Fragments, ...]:
    by_pool: dict[PoolKey, list[tuple[Ask, tuple[Node, ...]]]] = defaultdict(list)
    for ask in asks(snapshot):
        if not ask.shapes or ask.waiting.resource not in kubernetes.resources().whole_gpus or ask.each < 2:
            continue
        by = obstacles(snapshot, ask)
        pieces = broken_pieces(snapshot, ask, by.get("room", ()))
        if by.get("none") or sum(free_units(snapshot, n, ask.waiting.resource) for n in pieces) < ask.each:
            continue
        by_pool[_most(snapshot, pieces)].append((ask, tuple(pieces)))
    return tuple(_merged(snapshot, key, rows) for key, rows in sorted(by_pool.items(), key=str))


def _merged(snapshot: Snapshot, key: PoolKey, rows: Sequence[tuple[Ask, tuple[Node, ...]]]) -> Fragments:
    nodes = {node.key: node for _, pieces in rows for node in pieces}
    return Fragments(
        pieces={name: free_now(snapshot, node) for name, node in sorted(nodes.items())},
        nodes=tuple(node for _, node in sorted(nodes.items()) if _pool(node) == key),
        others=tuple(node for _, node in sorted(nodes.items()) if _pool(node) != key),
        asked=min(ask.each for ask, _ in rows),
        waiting=tuple(ask for ask, _ in rows),
    )


def _unusable(snapshot: Snapshot) -> tuple[Fragments, ...]:
    """Pools whose free GPUs beyond the reserve would do for a usual pod, were they on one node."""
    pools: dict[PoolKey, list[Node]] = defaultdict(list)
    for node in snapshot.gpu_nodes:
        if node.listed and whole_cards(node) and not node.role and usable(snapshot, node):
            pools[_pool(node)].append(node)
    found = []
    for _, nodes in sorted(pools.items(), key=str):
        free = {node.key: _beyond(snapshot, node) for node in nodes}
        pieces = {key: amount for key, amount in free.items() if amount >= 1}
        usual = _usual(snapshot, nodes)
        if usual >= 2 and len(pieces) > 1 and max(pieces.values()) < usual <= sum(pieces.values()):
            own = tuple(node for node in nodes if node.key in pieces)
            found.append(Fragments(pieces=pieces, nodes=own, others=(), asked=usual))
    return tuple(found)


def _beyond(snapshot: Snapshot, node: Node) -> float:
    return beyond_reserve(snapshot, [node])


def _usual(snapshot: Snapshot, nodes: Sequence[Node]) -> float:
    """Return the size of the pod that holds the middle one of the GPUs in use; 0 while none is, or one is unknown."""
    sizes = [pod.gpus for node in nodes for pod in snapshot.holders(node)]
    known = sorted(size for size in sizes if size)
    reached, half = 0.0, sum(known) / 2
    for size in known:
        reached += size
        if reached >= half and None not in sizes:
            return size
    return 0.0


def _most(snapshot: Snapshot, pieces: Sequence[Node]) -> PoolKey:
    sums: dict[PoolKey, float] = defaultdict(float)
    for node in pieces:
        sums[_pool(node)] += beyond_reserve(snapshot, [node]) + free_now(snapshot, node)
    return max(sums, key=lambda key: (sums[key], str(key)))


def _pool(node: Node) -> PoolKey:
    return (node.cluster, node.pool, node.instance_type if node.provider else node.name)
