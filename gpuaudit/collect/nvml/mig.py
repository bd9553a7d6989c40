"""MIG: profiles that the driver offers, where they may sit, and the devices that exist."""

from ctypes import byref, c_uint
from typing import Any

from gpuaudit.cluster.node_facts import InstanceFacts, ProfileFacts
from gpuaudit.collect.nvml.asking import Asking

MIB = 1 << 20
ABSENT = ("not found", "invalid argument")  # there is no device of that number


def read_profiles(asking: Asking, handle: Any) -> tuple[ProfileFacts, ...]:
    """Return the GPU instance profiles with their possible placements; none where the GPU cannot be partitioned."""
    found: dict[int, ProfileFacts] = {}
    for number in range(asking.nvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
        one = Asking()
        info = one.fact("profile", "nvmlDeviceGetGpuInstanceProfileInfo", handle, number)
        if info is None and one.unknown["profile"] == "function not in this driver":
            info = one.fact("profile", "nvmlDeviceGetGpuInstanceProfileInfo", handle, number, 1)
        if info is None:
            asking.lost = asking.lost or one.lost
            if one.unknown["profile"] not in ("not supported", "invalid argument"):
                asking.unknown["profiles"] = one.unknown["profile"]
            continue
        found.setdefault(info.id, _profile(asking, handle, info))
    return tuple(found[number] for number in sorted(found))


def read_instances(asking: Asking, handle: Any) -> tuple[InstanceFacts, ...]:
    """Return the MIG devices of a GPU in MIG mode; placements need rights that a container may lack."""
    placements = _placements_of_instances(asking, handle)
    devices = []
    for index in range(asking.fact("instances", "nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        one = Asking()
        device = one.fact("device", "nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
        if device is not None:
            devices.append(_instance(one, device, placements))
        elif one.unknown["device"] not in ABSENT:
            asking.unknown["instances"] = one.unknown["device"]
    return tuple(sorted(devices, key=lambda item: (item.gpu_instance_id, item.compute_instance_id or 0)))


def _profile(asking: Asking, handle: Any, info: Any) -> ProfileFacts:
    name = getattr(info, "name", b"")
    text = (name.decode(errors="replace") if isinstance(name, bytes) else str(name)).removeprefix("MIG ")
    remaining = asking.fact("profiles.remaining", "nvmlDeviceGetGpuInstanceRemainingCapacity", handle, info.id)
    return ProfileFacts(
        name=text or f"{info.sliceCount}g",
        profile_id=info.id,
        slices=info.sliceCount,
        memory_mib=float(info.memorySizeMB),
        multiprocessors=info.multiprocessorCount,
        instances=info.instanceCount,
        remaining=remaining,
        placements=_possible(asking, handle, info.id),
    )


def _possible(asking: Asking, handle: Any, profile: int) -> tuple[tuple[int, int], ...]:
    nvml = asking.nvml
    count = c_uint(0)
    function = "nvmlDeviceGetGpuInstancePossiblePlacements"
    if asking.fact("profiles.placements", function, handle, profile, None, byref(count)) is None or not count.value:
        return ()
    room = (nvml.c_nvmlGpuInstancePlacement_t * count.value)()
    if asking.fact("profiles.placements", function, handle, profile, room, byref(count)) is None:
        return ()
    return tuple(sorted((place.start, place.size) for place in room[: count.value]))


def _placements_of_instances(asking: Asking, handle: Any) -> dict[int, tuple[int, int]]:
    """Placement by GPU instance id, from the instances themselves."""
    nvml = asking.nvml
    found: dict[int, tuple[int, int]] = {}
    for number in range(nvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
        one = Asking()
        info = one.fact("profile", "nvmlDeviceGetGpuInstanceProfileInfo", handle, number)
        if info is None or not info.instanceCount:
            continue
        room = (nvml.c_nvmlGpuInstance_t * info.instanceCount)()
        count = c_uint(0)
        if one.fact("instances", "nvmlDeviceGetGpuInstances", handle, info.id, room, byref(count)) is None:
            asking.unknown["instances.placements"] = one.unknown["instances"]
            continue
        for instance in room[: count.value]:
            told = one.fact("info", "nvmlGpuInstanceGetInfo", instance)
            if told is not None:
                found[told.id] = (told.placement.start, told.placement.size)
    return found


def _instance(asking: Asking, device: Any, placements: dict[int, tuple[int, int]]) -> InstanceFacts:
    fact = asking.fact
    number = fact("gpu_instance_id", "nvmlDeviceGetGpuInstanceId", device)
    memory = fact("memory", "nvmlDeviceGetMemoryInfo", device)
    attributes = fact("attributes", "nvmlDeviceGetAttributes_v2", device)
    place = placements.get(-1 if number is None else number)
    name = fact("name", "nvmlDeviceGetName", device, read=str)
    return InstanceFacts(
        gpu_instance_id=-1 if number is None else number,
        compute_instance_id=fact("compute_instance_id", "nvmlDeviceGetComputeInstanceId", device),
        profile=name.rpartition("MIG ")[2] if name and "MIG " in name else None,
        uuid=fact("uuid", "nvmlDeviceGetUUID", device, read=str),
        start=place[0] if place else None,
        size=place[1] if place else None,
        memory_total_mib=None if memory is None else round(memory.total / MIB, 2),
        memory_used_mib=None if memory is None else round(memory.used / MIB, 2),
        multiprocessors=attributes.multiprocessorCount if attributes else None,
    )
