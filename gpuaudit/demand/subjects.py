"""How findings name what they are about: nodes one by one or as a pool's, workloads with their devices."""

from collections.abc import Iterable, Sequence

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot, device_id
from gpuaudit.cluster.usage import NOBODY
from gpuaudit.demand.capacity.free import free_gpus, tenures_by_node
from gpuaudit.rule import Subject


def node_groups(nodes: Iterable[Node]) -> list[tuple[Node, ...]]:
    """Group nodes whose names a cloud made up by cluster, pool, instance type and role; others stand alone. Sorted."""
    groups: dict[tuple[str, str, str], list[Node]] = {}
    for node in sorted(nodes, key=lambda node: node.key):
        groups.setdefault((node.cluster, _name(node), node.role or ""), []).append(node)
    return [tuple(group) for _, group in sorted(groups.items())]


def node_subject(nodes: Sequence[Node], *, devices: Iterable[str] = (), gpus: float | None = None) -> Subject:
    """Return the subject of a group: a single node by its name, several as POOL/INSTANCE_TYPE."""
    single = nodes[0] if len(nodes) == 1 else None
    return Subject(
        cluster=nodes[0].cluster,
        kind="Node",
        name=single.name if single else _name(nodes[0]),
        node=single.name if single else None,
        devices=tuple(devices),
        gpus=gpus,
    )


def free_devices(snapshot: Snapshot, node: Node) -> tuple[str, ...]:
    """Return the devices of the node that nobody holds, as far as it is known which they are."""
    if free_gpus(snapshot, node) == node.gpus:
        return tuple(device_id(node, card) for card in node.cards)
    seen = tenures_by_node(snapshot).get(node.key, ())
    free = {tenure.card for tenure in seen if tenure.owner == NOBODY and tenure.current}
    return tuple(device_id(node, card) for card in node.cards if device_id(node, card) in free)


def place(nodes: Sequence[Node]) -> str:
    """Return where the nodes are in words: pool and role, else instance type, else the single node's name."""
    if nodes[0].pool:
        return f"pool {nodes[0].pool}{f' ({nodes[0].role})' if nodes[0].role else ''}"
    if len(nodes) == 1:
        return nodes[0].name
    return nodes[0].instance_type or "nodes without a pool"


def listed(names: Sequence[str], *, most: int = 4) -> str:
    """Return `a, b and 3 more`."""
    if len(names) <= most:
        return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"


def amount(gpus: float) -> str:
    """Return a number of GPUs in words: `1 GPU`, `0.14 GPU`, `2.5 GPUs`."""
    text = f"{gpus:.2f}".rstrip("0").rstrip(".")
    return f"{text} GPU" if 0 < gpus <= 1 else f"{text} GPUs"


def count(number: int, thing: str) -> str:
    """Return `1 node`, `3 nodes`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def duration(hours: float) -> str:
    """Return hours in words: `40 min`, `7 h`, `5 d`."""
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} d"


def _name(node: Node) -> str:
    return f"{node.pool or ''}/{node.instance_type or ''}" if node.provider else node.name
