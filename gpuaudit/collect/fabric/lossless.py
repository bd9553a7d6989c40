"""Whether an interface can carry RoCE without loss: PFC, ECN, trust and ETS from the vendor's sysfs, else the kernel.

The vendor's driver (MLNX_OFED, DOCA) shows PFC, trust and ECN in sysfs. Other drivers tell PFC, trust and ETS over
netlink; of their ECN nothing can be seen without root. None = unknown, an empty tuple = off.
"""

import re
from collections.abc import Iterator
from typing import Any

from gpuaudit.collect.fabric import dcb
from gpuaudit.collect.fabric.tree import Tree

NET = "/sys/class/net"
PRIORITIES = range(8)
_HERE = Tree()


def lossless(tree: Tree, interface: str) -> dict[str, Any]:
    """Return the fields of a port that say whether it is lossless; `counters` are pause frames by priority."""
    told = _asked(tree, interface)
    pfc = _shown_pfc(tree, interface)
    pfc = told.pfc_priorities if pfc is None else pfc
    ecn = _ecn(tree, interface)
    unknown = {"pfc_priorities": told.reason} if pfc is None else {}
    if ecn is None:
        unknown["ecn_priorities"] = "this driver does not show it in sysfs"
    return {
        "pfc_priorities": pfc,
        "trust": tree.text(f"{NET}/{interface}/qos/trust") or told.trust,
        "ets": told.ets,
        "ecn_priorities": ecn,
        "counters": told.counters,
        "unknown": unknown,
    }


def _asked(tree: Tree, interface: str) -> dcb.Dcb:
    """Ask the kernel, if the interface that the tree shows is one of its network namespace."""
    if _identity(tree, interface) is None or _identity(tree, interface) != _identity(_HERE, interface):
        return dcb.Dcb(reason="the host's network is another one than this process's, and sysfs does not show it")
    return dcb.ask(interface)


def _identity(tree: Tree, interface: str) -> tuple[str, int] | None:
    address, index = tree.text(f"{NET}/{interface}/address"), tree.integer(f"{NET}/{interface}/ifindex")
    return (address, index) if address and index is not None else None


def _shown_pfc(tree: Tree, interface: str) -> tuple[int, ...] | None:
    digits = re.findall(r"[01]", tree.text(f"{NET}/{interface}/qos/pfc") or "")
    return tuple(one for one in PRIORITIES if digits[one] == "1") if len(digits) == len(PRIORITIES) else None


def _ecn(tree: Tree, interface: str) -> tuple[int, ...] | None:
    """Return the priorities whose marks are both answered (notification point) and obeyed (reaction point)."""
    roles = [
        set(enabled) for role in ("roce_np", "roce_rp") if (enabled := _enabled(tree, interface, role)) is not None
    ]
    return tuple(sorted(set.intersection(*roles))) if roles else None


def _enabled(tree: Tree, interface: str, role: str) -> list[int] | None:
    flags = dict(_flags(tree, f"{NET}/{interface}/ecn/{role}/enable"))
    return [priority for priority, flag in flags.items() if flag] if flags else None


def _flags(tree: Tree, folder: str) -> Iterator[tuple[int, int]]:
    for priority in PRIORITIES:
        flag = tree.integer(f"{folder}/{priority}")
        if flag is not None:
            yield priority, flag
