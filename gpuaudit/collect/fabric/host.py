"""The fabric of a host, and how near each GPU is to each NIC."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gpuaudit.cluster.node_facts import FabricFacts, GpuFacts, PortFacts
from gpuaudit.collect.fabric.pci import ADDRESS, DEVICES, gpu_addresses, redirecting_bridges
from gpuaudit.collect.fabric.ports import ports
from gpuaudit.collect.fabric.tree import Tree

_KERNEL = re.compile(r"(\d+)\.(\d+)")
DMA_BUF_KERNEL = (5, 12)  # facts/fabric.md 3: open kernel modules, kernel >= 5.12
PEERMEM_MODULES = ("nvidia_peermem", "nv_peer_mem")


def read_fabric(root: Path = Path("/"), proc: Path | None = None) -> FabricFacts:
    """Read what sysfs under `root` and procfs (default: under `root`) tell.

    Never raises: what cannot be read is None and named.
    """
    tree = Tree(root)
    kernel = _proc(root, proc, "sys/kernel/osrelease")
    found = tuple(ports(tree))
    acs = redirecting_bridges(tree, [*gpu_addresses(tree), *(port.pci for port in found if port.pci)])
    unknown = {} if tree.exists("/sys/class/net") else {"ports": "/sys is not mounted here"}
    if acs.bridges is None:
        unknown["acs"] = acs.reason
    return FabricFacts(
        ports=found,
        peermem=_peermem(tree),
        dma_buf=_dma_buf(_proc(root, proc, "driver/nvidia/version"), kernel),
        acs=acs.bridges if tree.exists(DEVICES) else None,
        kernel=kernel,
        unknown=unknown,
    )


def near(gpus: Sequence[GpuFacts], fabric: FabricFacts, root: Path = Path("/")) -> tuple[GpuFacts, ...]:
    """Return the GPUs with their NUMA node, its CPUs, and the path to each NIC in the words of `nvidia-smi topo`."""
    tree = Tree(root)
    return tuple(_near(tree, gpu, fabric.ports) for gpu in gpus)


def _near(tree: Tree, gpu: GpuFacts, found: Sequence[PortFacts]) -> GpuFacts:
    if not gpu.pci:
        return gpu
    folder = f"{DEVICES}/{gpu.pci}"
    numa = tree.integer(f"{folder}/numa_node")
    unknown = gpu.unknown if numa is None else {key: why for key, why in gpu.unknown.items() if key != "numa"}
    return msgspec.structs.replace(
        gpu,
        numa=gpu.numa if numa is None else numa,  # NVML only has one where the GPU is itself a NUMA node
        cpus=gpu.cpus or tree.text(f"{folder}/local_cpulist") or None,
        nics=_nics(tree, gpu.pci, found),
        unknown=unknown,
    )


def _nics(tree: Tree, address: str, found: Sequence[PortFacts]) -> dict[str, str]:
    paths = {port.device: _path(tree, address, port.pci) for port in found if port.pci}
    return {device: word for device, word in paths.items() if word}


def _path(tree: Tree, one: str, other: str) -> str | None:
    first, second = (tree.chain(f"{DEVICES}/{address}") for address in (one, other))
    if not first or not second:
        return None
    shared = [left for left, right in zip(first, second, strict=False) if left == right]
    bridges = [part for part in shared if ADDRESS.match(part)]
    if bridges:
        below = max(_depth(first, bridges[-1]), _depth(second, bridges[-1]))
        return "PIX" if below <= 1 else "PXB"
    if any(part.startswith("pci") for part in shared):
        return "PHB"
    numa = [tree.integer(f"{DEVICES}/{address}/numa_node") for address in (one, other)]
    if None in numa:
        return None
    return "NODE" if numa[0] == numa[1] else "SYS"


def _depth(chain: Sequence[str], bridge: str) -> int:
    """Bridges between the shared one and the device itself."""
    return len([part for part in chain[chain.index(bridge) + 1 : -1] if ADDRESS.match(part)])


def _proc(root: Path, proc: Path | None, name: str) -> str | None:
    return Tree(root).text(f"/proc/{name}") if proc is None else Tree(proc).text(name)


def _peermem(tree: Tree) -> bool | None:
    if not tree.exists("/sys/module"):
        return None
    return any(tree.exists(f"/sys/module/{name}") for name in PEERMEM_MODULES)


def _dma_buf(driver: str | None, kernel: str | None) -> bool | None:
    """Whether DMA-BUF can carry GPUDirect RDMA: open kernel modules on a new enough kernel; None when not known."""
    release = _KERNEL.match(kernel or "")
    if driver is None or release is None:
        return None
    return "Open Kernel Module" in driver and (int(release[1]), int(release[2])) >= DMA_BUF_KERNEL
