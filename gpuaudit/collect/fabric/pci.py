"""PCI as sysfs shows it: links of devices, bridges above them, and which of those redirect peer traffic (ACS)."""

import re
import struct
from collections.abc import Iterable
from typing import NamedTuple

from gpuaudit.cluster.node_facts import PcieFacts
from gpuaudit.collect.fabric.tree import Tree

DEVICES = "/sys/bus/pci/devices"
ADDRESS = re.compile(r"^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$")
NVIDIA, DISPLAY = "0x10de", "0x03"  # pci.ids: vendor; class of VGA and 3D controllers
GENERATIONS = {"2.5": 1, "5.0": 2, "8.0": 3, "16.0": 4, "32.0": 5, "64.0": 6}  # GT/s, PCI Express Base Specification
_OPEN_BYTES = 64  # of the configuration space, whoever reads it; the rest takes CAP_SYS_ADMIN
_EXTENDED = 0x100  # where extended capabilities begin
_ACS = 0x000D  # PCI_EXT_CAP_ID_ACS
_CONTROL = 6  # PCI_ACS_CTRL, from the capability
_REDIRECT = 0x04 | 0x08  # PCI_ACS_RR, PCI_ACS_CR: requests and completions between peers go up to the root


class Acs(NamedTuple):
    """Bridges that redirect peer traffic; None with the reason when that could not be seen."""

    bridges: tuple[str, ...] | None
    reason: str = ""


def gpu_addresses(tree: Tree) -> tuple[str, ...]:
    """Return the PCI addresses of NVIDIA's GPUs."""
    return tuple(
        name
        for name in tree.names(DEVICES)
        if tree.text(f"{DEVICES}/{name}/vendor") == NVIDIA
        and (tree.text(f"{DEVICES}/{name}/class") or "").startswith(DISPLAY)
    )


def address_of(tree: Tree, link: str) -> str | None:
    """Return the PCI address that a `device` link leads to."""
    name = tree.target(link)
    return name if name and ADDRESS.match(name) else None


def pcie_link(tree: Tree, folder: str) -> PcieFacts:
    """Return the PCIe link of a device, now and at its best."""

    def read(which: str) -> tuple[int | None, int | None]:
        speed = (tree.text(f"{folder}/{which}_link_speed") or "").partition(" ")[0]
        width = tree.integer(f"{folder}/{which}_link_width")
        return GENERATIONS.get(speed), width if width and width < 64 else None  # 0 and 255: no link

    (generation, width), (best, widest) = read("current"), read("max")
    return PcieFacts(generation=generation, width=width, max_generation=best, max_width=widest)


def redirecting_bridges(tree: Tree, addresses: Iterable[str]) -> Acs:
    """Return the bridges above these devices with ACS redirection on: GPUDirect then goes over the root complex."""
    above = sorted({bridge for one in addresses for bridge in bridges(tree, one)})
    found = []
    for bridge in above:
        content = tree.bytes(f"{DEVICES}/{bridge}/config")
        if len(content) <= _OPEN_BYTES:
            return Acs(None, f"the configuration space of bridge {bridge} is not readable: it takes CAP_SYS_ADMIN")
        if _control(content) & _REDIRECT:
            found.append(bridge)
    return Acs(tuple(found))


def bridges(tree: Tree, address: str) -> tuple[str, ...]:
    """Return the PCI bridges above a device, from the root down."""
    return tuple(part for part in tree.chain(f"{DEVICES}/{address}")[:-1] if ADDRESS.match(part))


def _control(content: bytes) -> int:
    """Return the ACS control register of a bridge, 0 without one."""
    at, seen = _EXTENDED, set[int]()
    while at >= _EXTENDED and at + 8 <= len(content) and at not in seen:
        seen.add(at)
        (header,) = struct.unpack_from("<I", content, at)
        if header & 0xFFFF == _ACS:
            (control,) = struct.unpack_from("<H", content, at + _CONTROL)
            return int(control)
        at = header >> 20
    return 0
