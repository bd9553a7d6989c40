"""NVLink and the NVLink fabric of a GPU."""

from typing import Any

from gpuaudit.cluster.node_facts import NvlinkFacts
from gpuaudit.collect.nvml.asking import Asking, named


def read_nvlinks(asking: Asking, handle: Any) -> tuple[NvlinkFacts, ...]:
    """Return the links that the GPU has; a GPU without NVLink answers not supported, and that is no link."""
    links = []
    for link in range(asking.nvml.NVML_NVLINK_MAX_LINKS):
        one = Asking()
        active = one.fact("active", "nvmlDeviceGetNvLinkState", handle, link, read=bool)
        if active is None:
            if link == 0:
                asking.unknown["nvlinks"] = one.unknown["active"]
                asking.lost = asking.lost or one.lost
            break
        links.append(_link(one, handle, link, active=active))
    return tuple(links)


def fabric_of(asking: Asking, handle: Any) -> tuple[str | None, int | None]:
    """Return the state of the NVLink fabric registration and its clique, None where there is no fabric."""
    nvml = asking.nvml
    info = nvml.c_nvmlGpuFabricInfo_t()
    from ctypes import byref

    if asking.fact("fabric_state", "nvmlDeviceGetGpuFabricInfo", handle, byref(info)) is None:
        return None, None
    state = named(nvml, "NVML_GPU_FABRIC_STATE_", info.state)
    return state, int(info.cliqueId) if state == "completed" else None


def _link(asking: Asking, handle: Any, link: int, *, active: bool) -> NvlinkFacts:
    fact, nvml = asking.fact, asking.nvml
    from gpuaudit.collect.nvml.gpu import pci_address

    counters = {
        "replay": nvml.NVML_NVLINK_ERROR_DL_REPLAY,
        "recovery": nvml.NVML_NVLINK_ERROR_DL_RECOVERY,
        "crc_flit": nvml.NVML_NVLINK_ERROR_DL_CRC_FLIT,
        "crc_data": nvml.NVML_NVLINK_ERROR_DL_CRC_DATA,
    }
    errors = {
        name: fact(name, "nvmlDeviceGetNvLinkErrorCounter", handle, link, counter) for name, counter in counters.items()
    }
    speed = fact("speed", "nvmlDeviceGetFieldValues", handle, [(nvml.NVML_FI_DEV_NVLINK_GET_SPEED, link)])
    megabytes = speed[0].value.uiVal if speed and speed[0].nvmlReturn == nvml.NVML_SUCCESS else None
    return NvlinkFacts(
        link=link,
        active=active,
        version=fact("version", "nvmlDeviceGetNvLinkVersion", handle, link),
        remote_pci=fact("remote", "nvmlDeviceGetNvLinkRemotePciInfo", handle, link, read=pci_address)
        if active
        else None,
        speed_gbps=None if megabytes is None else round(megabytes * 8 / 1000, 3),
        errors={name: count for name, count in errors.items() if count is not None},
    )
