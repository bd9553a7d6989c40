"""How GPUs reach one another."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gpuaudit.cluster.node_facts import GpuFacts
from gpuaudit.collect.nvml.asking import Asking

# nvml.h, nvmlGpuTopologyLevel_t, in the words of `nvidia-smi topo -m`
LEVELS = {0: "INTERNAL", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}


def peers(asking: Asking, gpus: Sequence[GpuFacts], handles: Mapping[int, Any]) -> Iterator[GpuFacts]:
    """Yield the GPUs with the path to each other GPU: NVLINK where active links lead there, else the PCIe level."""
    by_pci = {gpu.pci: gpu.index for gpu in gpus if gpu.pci}
    for gpu in gpus:
        linked = {by_pci[link.remote_pci] for link in gpu.nvlinks if link.active and link.remote_pci in by_pci}
        switched = any(link.active and link.remote_pci not in by_pci for link in gpu.nvlinks)
        paths = {}
        for other in sorted(handles):
            if other == gpu.index or gpu.index not in handles:
                continue
            level = asking.fact("peers", "nvmlDeviceGetTopologyCommonAncestor", handles[gpu.index], handles[other])
            word = None if level is None else LEVELS.get(level, str(level))
            both_switched = switched and any(
                link.active and link.remote_pci not in by_pci for link in gpus[other].nvlinks
            )
            if other in linked or both_switched:
                word = "NVLINK"
            if word:
                paths[str(other)] = word
        yield msgspec.structs.replace(gpu, peers=paths)
