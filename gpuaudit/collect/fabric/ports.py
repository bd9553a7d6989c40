"""Ports of RDMA devices and of plain network interfaces."""

import re
from collections.abc import Iterator
from typing import Literal

from gpuaudit.cluster.node_facts import PortFacts
from gpuaudit.collect.fabric.tree import Tree

Kind = Literal["infiniband", "roce", "efa", "omnipath", "ethernet", "other"]
_RATE = re.compile(r"([\d.]+)\s*Gb/sec")
_STATE = re.compile(r"\d+:\s*(\S+)")
_PCI = re.compile(r"^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$")
PRIORITIES = range(8)
GB_PER_MB = 1000


def ports(tree: Tree) -> Iterator[PortFacts]:
    """Yield RDMA ports first, then physical network interfaces that no RDMA device owns."""
    owned: set[str] = set()
    for device in tree.names("/sys/class/infiniband"):
        for number in tree.names(f"/sys/class/infiniband/{device}/ports"):
            if number.isdigit():
                port = _rdma_port(tree, device, int(number))
                owned.add(port.interface or "")
                yield port
    for name in tree.names("/sys/class/net"):
        if name not in owned and tree.exists(f"/sys/class/net/{name}/device"):
            yield _interface(tree, name)


def _rdma_port(tree: Tree, device: str, number: int) -> PortFacts:
    folder = f"/sys/class/infiniband/{device}"
    port = f"{folder}/ports/{number}"
    interface = _interface_of(tree, device, number)
    net = f"/sys/class/net/{interface}" if interface else None
    driver = tree.target(f"{folder}/device/driver")
    return PortFacts(
        device=device,
        port=number,
        kind=_kind(device, driver, tree.text(f"{port}/link_layer")),
        interface=interface,
        state=_word(tree.text(f"{port}/state")),
        physical_state=_word(tree.text(f"{port}/phys_state")),
        rate_gbps=_rate(tree.text(f"{port}/rate")),
        mtu_bytes=tree.integer(f"{net}/mtu") if net else None,
        firmware=tree.text(f"{folder}/fw_ver"),
        driver=driver,
        pci=_pci(tree, f"{folder}/device"),
        numa=tree.integer(f"{folder}/device/numa_node"),
        gids=_gids(tree, port),
        counters=_counters(tree, port),
        virtual_functions=tree.integer(f"{folder}/device/sriov_numvfs"),
        max_virtual_functions=tree.integer(f"{folder}/device/sriov_totalvfs"),
        bond=tree.target(f"{net}/master") if net else None,
        **_lossless(tree, interface),  # type: ignore[arg-type]
    )


def _interface(tree: Tree, name: str) -> PortFacts:
    net = f"/sys/class/net/{name}"
    speed = tree.integer(f"{net}/speed")
    return PortFacts(
        device=name,
        kind="ethernet",
        interface=name,
        state=(tree.text(f"{net}/operstate") or "").upper() or None,
        rate_gbps=None if speed is None else speed / GB_PER_MB,
        mtu_bytes=tree.integer(f"{net}/mtu"),
        driver=tree.target(f"{net}/device/driver"),
        pci=_pci(tree, f"{net}/device"),
        numa=tree.integer(f"{net}/device/numa_node"),
        virtual_functions=tree.integer(f"{net}/device/sriov_numvfs"),
        max_virtual_functions=tree.integer(f"{net}/device/sriov_totalvfs"),
        bond=tree.target(f"{net}/master"),
        counters=_net_counters(tree, net),
        **_lossless(tree, name),  # type: ignore[arg-type]
    )


def _kind(device: str, driver: str | None, layer: str | None) -> Kind:
    if driver == "efa" or device.startswith(("efa_", "rdmap")):
        return "efa"
    if driver == "hfi1" or device.startswith("hfi1_"):
        return "omnipath"
    if layer == "InfiniBand":
        return "infiniband"
    return "roce" if layer == "Ethernet" else "other"


def _interface_of(tree: Tree, device: str, number: int) -> str | None:
    """Return the network interface of an RDMA port; several ports of one function are told apart by dev_port."""
    folder = f"/sys/class/infiniband/{device}/device/net"
    names = tree.names(folder)
    if len(names) <= 1:
        return names[0] if names else None
    numbered = {tree.integer(f"{folder}/{name}/dev_port"): name for name in names}
    return numbered.get(number - 1)


def _gids(tree: Tree, port: str) -> tuple[str, ...]:
    kinds = {tree.text(f"{port}/gid_attrs/types/{name}") for name in tree.names(f"{port}/gid_attrs/types")}
    return tuple(sorted(kind for kind in kinds if kind))


def _lossless(tree: Tree, interface: str | None) -> dict[str, object]:
    """PFC, trust and ECN as the vendor driver shows them in sysfs; None where it shows nothing (unknown, not off)."""
    if interface is None:
        return {}
    net = f"/sys/class/net/{interface}"
    flags = tree.text(f"{net}/qos/pfc")
    pfc = None
    if flags is not None:
        digits = re.findall(r"[01]", flags)
        pfc = tuple(p for p in PRIORITIES if digits[p] == "1") if len(digits) == len(PRIORITIES) else None
    enabled = {
        priority: tree.integer(f"{net}/ecn/roce_np/enable/{priority}")
        for priority in PRIORITIES
        if tree.exists(f"{net}/ecn/roce_np/enable/{priority}")
    }
    ecn = tuple(priority for priority, flag in enabled.items() if flag) if enabled else None
    return {"pfc_priorities": pfc, "trust": tree.text(f"{net}/qos/trust"), "ecn_priorities": ecn}


def _counters(tree: Tree, port: str) -> dict[str, int]:
    found = {}
    for group in ("counters", "hw_counters"):
        for name in tree.names(f"{port}/{group}"):
            value = tree.integer(f"{port}/{group}/{name}")
            if value is not None and name != "lifespan":
                found[name] = value
    return found


def _net_counters(tree: Tree, net: str) -> dict[str, int]:
    names = ("rx_errors", "tx_errors", "rx_dropped", "tx_dropped", "rx_crc_errors")
    values = {name: tree.integer(f"{net}/statistics/{name}") for name in names}
    changes = tree.integer(f"{net}/carrier_down_count")
    return {name: value for name, value in (values | {"carrier_down_count": changes}).items() if value is not None}


def _rate(text: str | None) -> float | None:
    match = _RATE.search(text or "")
    return float(match.group(1)) if match else None


def _word(text: str | None) -> str | None:
    match = _STATE.match(text or "")
    return match.group(1) if match else None


def _pci(tree: Tree, device: str) -> str | None:
    name = tree.target(device)
    return name if name and _PCI.match(name) else None
