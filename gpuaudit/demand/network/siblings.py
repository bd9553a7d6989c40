"""Ports that differ from the same port of the other nodes of a pool: down, slower, or failing where most do not."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from gpuaudit.cluster.nodes import Interface, Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.memory import once
from gpuaudit.knowledge import fabric

LEAST_NODES = 3  # so that most of them can differ from one


@dataclass(frozen=True, kw_only=True)
class OddPort:
    """A port that most of its siblings are unlike. `usual_gbps` is what they run at, `others` how many they are."""

    node: Node
    port: Interface
    down: bool
    disabled: bool  # somebody switched it off
    usual_gbps: float | None
    others: int


@dataclass(frozen=True, kw_only=True)
class FailingPort:
    """A port whose counters grew as those of its siblings did not; amounts within the window."""

    node: Node
    port: Interface
    grew: Mapping[str, float]
    usual: Mapping[str, float]  # median of the siblings


@once
def odd_ports(snapshot: Snapshot) -> tuple[OddPort, ...]:
    """Return the ports of GPU nodes that are down or slower than the same port of most nodes of the pool.

    What is the same on all or on half of them is design, and so is a pool of fewer than three nodes.
    """
    return tuple(odd for _, ports in _same_ports(snapshot) for odd in _odd(ports))


def failing_ports(
    snapshot: Snapshot, names: Iterable[str], *, least: float, times: float = 10.0
) -> Iterator[FailingPort]:
    """Yield the ports of which one of these counters grew by `least` or more, and `times` the siblings' median.

    With fewer than two siblings nothing can be compared, and the amount alone decides.
    """
    wanted = tuple(names)
    for _, ports in _same_ports(snapshot, least_nodes=1):
        for node, port in ports:
            others = [other for home, other in ports if home.name != node.name]
            usual = {
                name: median([one.increases.get(name, 0.0) for one in others]) if others else 0.0 for name in wanted
            }
            grew = {
                name: port.increases[name]
                for name in wanted
                if port.increases.get(name, 0.0) >= max(least, times * usual[name])
            }
            if grew and len(others) != 1:
                yield FailingPort(node=node, port=port, grew=grew, usual={name: usual[name] for name in grew})


Ports = Sequence[tuple[Node, Interface]]


def _same_ports(snapshot: Snapshot, *, least_nodes: int = LEAST_NODES) -> Iterator[tuple[tuple[str, ...], Ports]]:
    """Yield the ports of one name on alike nodes of a pool, in order."""
    virtual = fabric.pattern(fabric.fabric().ports.virtual_interfaces)
    groups: dict[tuple[str, ...], list[tuple[Node, Interface]]] = defaultdict(list)
    for node in snapshot.gpu_nodes:
        model = node.cards[0].model or ""
        for port in node.interfaces:
            if not virtual.match(port.name):
                key = (node.cluster, node.pool or "", node.instance_type or "", model, str(node.gpus), port.name)
                groups[key].append((node, port))
    for name, ports in sorted(groups.items()):
        if len(ports) >= least_nodes:
            yield name, ports


def _odd(ports: Ports) -> Iterator[OddPort]:
    up = [port.up is not False for _, port in ports if port.up is not None]
    mostly_up = 2 * sum(up) > len(ports)
    speeds = Counter(port.speed_gbps for _, port in ports if port.speed_gbps and port.up is not False)
    usual, often = speeds.most_common(1)[0] if speeds else (None, 0)
    for node, port in ports:
        down = port.up is False and mostly_up and sum(up) >= LEAST_NODES - 1
        slower = (
            usual is not None and port.up is not False and bool(port.speed_gbps) and 2 * often > len(ports)
            and (port.speed_gbps or usual) < usual
        )  # fmt: skip
        if down or slower:
            yield OddPort(
                node=node,
                port=port,
                down=down,
                disabled=bool(port.disabled),
                usual_gbps=usual,
                others=sum(up) if down else often,
            )
