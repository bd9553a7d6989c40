"""The fabric of a host, and how near each GPU is to each NIC."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gpuaudit.cluster.node_facts import FabricFacts, GpuFacts, PortFacts
from gpuaudit.collect.fabric.ports import ports
from gpuaudit.collect.fabric.tree import Tree

_KERNEL = re.compile(r"(\d+)\.(\d+)")
DMA_BUF_KERNEL = (5, 12)  # facts/fabric.md 3: open kernel modules, kernel >= 5.12
_BRIDGE = re.compile(r"^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$")


def read_fabric(root: Path = Path("/")) -> FabricFacts:
    """Read what sysfs and procfs under `root` tell. Never raises: what cannot be read is None and named."""
    tree = Tree(root)
    unknown: dict[str, str] = {}
    if not tree.exists("/sys/class/net"):
        unknown["ports"] = "/sys is not mounted here"
    kernel = tree.text("/proc/sys/kernel/osrelease")
    return FabricFacts(
        ports=tuple(ports(tree)),
        peermem=_peermem(tree),
        dma_buf=_dma_buf(tree, kernel),
        kernel=kernel,
        unknown=unknown,
    )


def near(gpus: Sequence[GpuFacts], fabric: FabricFacts, root: Path = Path("/")) -> tuple[GpuFacts, ...]:
    """Return the GPUs with the path to each NIC in the words of `nvidia-smi topo`: PIX, PXB, PHB, NODE or SYS."""
    tree = Tree(root)
    return tuple(msgspec.structs.replace(gpu, nics=_nics(tree, gpu, fabric.ports)) for gpu in gpus)


def _nics(tree: Tree, gpu: GpuFacts, found: Sequence[PortFacts]) -> dict[str, str]:
    paths = {}
    for port in found:
        if gpu.pci and port.pci:
            word = _path(tree, gpu.pci, port.pci)
            if word:
                paths[port.device] = word
    return paths


def _path(tree: Tree, one: str, other: str) -> str | None:
    first, second = (tree.chain(f"/sys/bus/pci/devices/{address}") for address in (one, other))
    if not first or not second:
        return None
    shared = [left for left, right in zip(first, second, strict=False) if left == right]
    bridges = [part for part in shared if _BRIDGE.match(part)]
    if bridges:
        below = max(_depth(first, bridges[-1]), _depth(second, bridges[-1]))
        return "PIX" if below <= 1 else "PXB"
    if any(part.startswith("pci") for part in shared):
        return "PHB"
    numa = [tree.integer(f"/sys/bus/pci/devices/{address}/numa_node") for address in (one, other)]
    if None in numa:
        return None
    return "NODE" if numa[0] == numa[1] else "SYS"


def _depth(chain: Sequence[str], bridge: str) -> int:
    """Bridges between the shared one and the device itself."""
    return len([part for part in chain[chain.index(bridge) + 1 : -1] if _BRIDGE.match(part)])


def _peermem(tree: Tree) -> bool | None:
    if not tree.exists("/sys/module"):
        return None
    return any(tree.exists(f"/sys/module/{name}") for name in ("nvidia_peermem", "nv_peer_mem"))


def _dma_buf(tree: Tree, kernel: str | None) -> bool | None:
    """Whether DMA-BUF can carry GPUDirect RDMA: open kernel modules on a new enough kernel; None when not known."""
    driver = tree.text("/proc/driver/nvidia/version")
    release = _KERNEL.match(kernel or "")
    if driver is None or release is None:
        return None
    return "Open Kernel Module" in driver and (int(release[1]), int(release[2])) >= DMA_BUF_KERNEL
