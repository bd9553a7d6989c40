"""Ports of RDMA devices and of plain network interfaces."""

import re
from collections.abc import Iterator
from typing import Any, Literal

from gpuaudit.cluster.node_facts import PortFacts
from gpuaudit.collect.fabric.lossless import lossless
from gpuaudit.collect.fabric.pci import address_of, pcie_link
from gpuaudit.collect.fabric.tree import Tree

Kind = Literal["infiniband", "roce", "efa", "omnipath", "ethernet", "other"]
NET, RDMA = "/sys/class/net", "/sys/class/infiniband"
_RATE = re.compile(r"([\d.]+)\s*Gb/sec")
_STATE = re.compile(r"\d+:\s*(\S+)")
MB_PER_GB = 1000
IWARP = "RNIC"  # node_type of a device that speaks iWARP, which needs no lossless network
_NET_COUNTERS = ("rx_errors", "tx_errors", "rx_dropped", "tx_dropped", "rx_crc_errors")


def ports(tree: Tree) -> Iterator[PortFacts]:
    """Yield RDMA ports first, then physical network interfaces that no RDMA device owns."""
    owned: set[str] = set()
    for device in tree.names(RDMA):
        for number in tree.names(f"{RDMA}/{device}/ports"):
            if number.isdigit():
                port = _rdma_port(tree, device, int(number))
                owned.add(port.interface or "")
                yield port
    for name in tree.names(NET):
        if name not in owned and tree.exists(f"{NET}/{name}/device"):
            yield _interface(tree, name)


def _rdma_port(tree: Tree, device: str, number: int) -> PortFacts:
    folder = f"{RDMA}/{device}"
    port = f"{folder}/ports/{number}"
    interface = _interface_of(tree, device, number)
    driver = tree.target(f"{folder}/device/driver")
    type_ = _word(tree.text(f"{folder}/node_type"))
    told = _of_interface(tree, interface)
    return PortFacts(
        device=device,
        port=number,
        kind=_kind(device, driver, tree.text(f"{port}/link_layer"), type_),
        interface=interface,
        state=_word(tree.text(f"{port}/state")),
        physical_state=_word(tree.text(f"{port}/phys_state")),
        rate_gbps=_rate(tree.text(f"{port}/rate")),
        mtu_bytes=tree.integer(f"{NET}/{interface}/mtu") if interface else None,
        firmware=tree.text(f"{folder}/fw_ver"),
        driver=driver,
        gids=_gids(tree, port),
        counters=_counters(tree, port) | told.pop("counters", {}),
        **_place(tree, f"{folder}/device"),
        **told,
    )


def _interface(tree: Tree, name: str) -> PortFacts:
    speed = tree.integer(f"{NET}/{name}/speed")
    told = _of_interface(tree, name)
    return PortFacts(
        device=name,
        kind="ethernet",
        interface=name,
        state=(tree.text(f"{NET}/{name}/operstate") or "").upper() or None,
        rate_gbps=None if speed is None else speed / MB_PER_GB,
        mtu_bytes=tree.integer(f"{NET}/{name}/mtu"),
        driver=tree.target(f"{NET}/{name}/device/driver"),
        counters=_net_counters(tree, name) | told.pop("counters", {}),
        **_place(tree, f"{NET}/{name}/device"),
        **told,
    )


def _place(tree: Tree, device: str) -> dict[str, Any]:
    """Return where a device sits: address, NUMA node, link, virtual functions."""
    return {
        "pci": address_of(tree, device),
        "numa": tree.integer(f"{device}/numa_node"),
        "pcie": pcie_link(tree, device),
        "virtual_functions": tree.integer(f"{device}/sriov_numvfs"),
        "max_virtual_functions": tree.integer(f"{device}/sriov_totalvfs"),
        "physical_function": address_of(tree, f"{device}/physfn"),
    }


def _of_interface(tree: Tree, name: str | None) -> dict[str, Any]:
    """Return what a network interface tells beside its device: its bond and whether it is lossless."""
    if name is None:
        return {}
    bond = tree.target(f"{NET}/{name}/master")
    mode = (tree.text(f"{NET}/{bond}/bonding/mode") or "").partition(" ")[0] if bond else ""
    return {"bond": bond, "bond_mode": mode or None, **lossless(tree, name)}


def _kind(device: str, driver: str | None, layer: str | None, type_: str | None) -> Kind:
    if driver == "efa" or device.startswith(("efa_", "rdmap")):
        return "efa"
    if driver == "hfi1" or device.startswith("hfi1_"):
        return "omnipath"
    if layer == "InfiniBand":
        return "infiniband"
    return "roce" if layer == "Ethernet" and type_ != IWARP else "other"


def _interface_of(tree: Tree, device: str, number: int) -> str | None:
    """Return the network interface of an RDMA port: its function's; of several the one with the port's number.

    Software devices name their parent; of a bonded device the bond's first member stands for it.
    """
    folder = f"{RDMA}/{device}/device/net"
    names = tree.names(folder)
    if not names:
        return tree.text(f"{RDMA}/{device}/parent") or None
    if len(names) == 1:
        return names[0]
    numbered = {tree.integer(f"{folder}/{name}/dev_port"): name for name in names}
    return numbered.get(number - 1)


def _gids(tree: Tree, port: str) -> tuple[str, ...]:
    kinds = {tree.text(f"{port}/gid_attrs/types/{name}") for name in tree.names(f"{port}/gid_attrs/types")}
    return tuple(sorted(kind for kind in kinds if kind))


def _counters(tree: Tree, port: str) -> dict[str, int]:
    found = {}
    for group in ("counters", "hw_counters"):
        for name in tree.names(f"{port}/{group}"):
            value = tree.integer(f"{port}/{group}/{name}")
            if value is not None and name != "lifespan":
                found[name] = value
    return found


def _net_counters(tree: Tree, name: str) -> dict[str, int]:
    values = {one: tree.integer(f"{NET}/{name}/statistics/{one}") for one in _NET_COUNTERS}
    changes = tree.integer(f"{NET}/{name}/carrier_down_count")
    return {one: value for one, value in (values | {"carrier_down_count": changes}).items() if value is not None}


def _rate(text: str | None) -> float | None:
    match = _RATE.search(text or "")
    return float(match.group(1)) if match else None


def _word(text: str | None) -> str | None:
    match = _STATE.match(text or "")
    return match.group(1) if match else None
