"""node_exporter's series → the ports of each host: state, speed, MTU now, and what its counters grew by."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from gpuaudit.cluster.nodes import Interface, LinkKind, Node
from gpuaudit.collect.metrics.store import Series
from gpuaudit.knowledge import fabric, prices

NodeKey = tuple[str, str]  # cluster and name
Place = Callable[[Series], NodeKey | None]  # of a series: its node, None = of none that is known
MAX_PORTS = 256  # of a host
BITS = 8 / 1e9  # bytes to Gbit
KINDS: tuple[LinkKind, ...] = ("infiniband", "roce", "efa", "omnipath")


def ports(store: Iterable[Series], place: Place) -> dict[NodeKey, tuple[Interface, ...]]:
    """Return the ports by node, sorted by name. A port that tells nothing but counters that stand still is left out."""
    known = fabric.port_metrics()
    rows: dict[NodeKey, dict[tuple[str, str], dict[str, Any]]] = {}
    for one in sorted((one for one in store if one.name in known), key=lambda one: (one.last or 0, one.source)):
        node, device = place(one), one.labels.get(fabric.fabric().metrics.device_label, "")
        if node is None or not device or one.value is None:
            continue
        of_node = rows.setdefault(node, {})
        key = (device[:64], one.labels.get(fabric.fabric().metrics.port_label, "")[:8])
        if key in of_node or len(of_node) < MAX_PORTS:
            _learn(of_node.setdefault(key, {}), one, one.value)
    return {node: _named(found) for node, found in rows.items()}


def with_kinds(node: Node, found: Iterable[Interface]) -> tuple[Interface, ...]:
    """Return the ports, RDMA devices of unknown link layer with the kind of the node's instance type."""
    offer = prices.find(node.provider, node.instance_type) if node.instance_type else None
    told = fabric.kind_of(offer.rdma if offer else None)
    kind = next((one for one in KINDS if one == told), None)
    return tuple(msgspec.structs.replace(port, kind=kind) if kind and port.kind == "other" else port for port in found)


def _learn(row: dict[str, Any], one: Series, value: float) -> None:
    """Add what a series tells to the fields of a port."""
    names, states = fabric.fabric().metrics, fabric.fabric().ports
    if one.name in names.increases:
        if one.grown:
            grown = row.setdefault("increases", {})
            key = names.increases[one.name]
            grown[key] = max(grown.get(key, 0.0), one.grown)
    elif one.name in (names.rate, names.speed):
        row["speed_gbps"] = round(value * BITS, 3) if value > names.unknown_speed_below else None
    elif one.name == names.state:
        row["up"] = int(value) == states.active_state_id
    elif one.name == names.physical_state:
        row["disabled"] = int(value) == states.disabled_physical_state_id
    elif one.name == names.up:
        row["up"] = value == 1
    elif one.name == names.mtu:
        row["mtu_bytes"] = int(value)


def _named(found: Mapping[tuple[str, str], dict[str, Any]]) -> tuple[Interface, ...]:
    """Return the interfaces; a device with several ports gives each its number."""
    several = {device for device, port in found if port and port != "1"}
    made = []
    for (device, port), row in sorted(found.items()):
        if row:
            name = f"{device}/{port}" if device in several else device
            made.append(Interface(name=name, kind=_kind(device, port), **row))
    return tuple(sorted(made, key=lambda one: one.name))


def _kind(device: str, port: str) -> LinkKind:
    """Return what a port is: without a port number it is a plain interface; of RDMA devices few names tell."""
    if not port:
        return "ethernet"
    told = fabric.kind_of_device(device)
    return next((one for one in KINDS if one == told), "other")


def listed_place(nodes: Iterable[Node], cluster: Callable[[Series], str]) -> Place:
    """Return what finds the listed node of a series by any name or address that its labels give."""
    from gpuaudit.collect.joining.hosts import HostIndex
    from gpuaudit.collect.metrics.identity import host_names

    index = HostIndex(nodes)

    def place(one: Series) -> NodeKey | None:
        own = frozenset({cluster(one)})
        return next((key for name in host_names(one) if (key := index.find(name, clusters=own))), None)

    return place
