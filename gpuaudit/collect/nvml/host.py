"""The host's driver and its GPUs."""

from typing import Any

from gpuaudit.cluster.node_facts import GpuFacts
from gpuaudit.cluster.record import Record
from gpuaudit.collect.nvml.activity import with_activity
from gpuaudit.collect.nvml.asking import Asking
from gpuaudit.collect.nvml.gpu import read_gpu
from gpuaudit.collect.nvml.topology import peers


class NvmlFacts(Record, frozen=True, kw_only=True):
    """What NVML told; `driver` None and a note when there is none."""

    driver: str | None = None
    cuda: str | None = None
    nvml: str | None = None
    confidential_compute: bool | None = None
    gpus: tuple[GpuFacts, ...] = ()
    notes: tuple[str, ...] = ()


def read_nvml(*, serials: bool = False) -> NvmlFacts:
    """Read every GPU of this host. Never raises for want of a driver or a right; `serials` keeps serial numbers."""
    asking = Asking()
    try:
        asking.nvml.nvmlInit()
    except asking.nvml.NVMLError as error:
        return NvmlFacts(notes=(f"no NVIDIA driver to ask: {error}",))
    try:
        return _read(asking, serials=serials)
    finally:
        asking.fact("shutdown", "nvmlShutdown")


def _read(asking: Asking, *, serials: bool) -> NvmlFacts:
    count = asking.fact("gpus", "nvmlDeviceGetCount") or 0
    handles: dict[int, Any] = {}
    gpus: list[GpuFacts] = []
    notes: list[str] = []
    for index in range(count):
        one = Asking()
        handle = one.fact("handle", "nvmlDeviceGetHandleByIndex", index)
        if handle is None:
            gpus.append(GpuFacts(index=index, lost=one.lost, unknown=one.unknown))
            notes.append(f"GPU {index} does not answer: {one.unknown['handle']}")
            continue
        handles[index] = handle
        gpus.append(read_gpu(one, index, handle, serials=serials))
    cuda = asking.fact("cuda", "nvmlSystemGetCudaDriverVersion")
    return NvmlFacts(
        driver=asking.fact("driver", "nvmlSystemGetDriverVersion", read=str),
        cuda=None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
        nvml=asking.fact("nvml", "nvmlSystemGetNVMLVersion", read=str),
        confidential_compute=asking.fact(
            "cc", "nvmlSystemGetConfComputeState", read=lambda state: bool(state.ccFeature)
        ),
        gpus=tuple(with_activity(tuple(peers(asking, gpus, handles)), handles)),
        notes=tuple(notes),
    )
