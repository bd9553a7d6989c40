"""What the GPU's own performance counters see (GPM): how much of the chip works, without DCGM. Hopper and newer.

`utilization` only says that *some* kernel ran. The counters are read twice; what they say is about the time between.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from gpuaudit.cluster.node_facts import ActivityFacts, GpuFacts, InstanceFacts
from gpuaudit.collect.nvml.asking import Asking

# nvml.h asks for more than 0.1 s between two samples, "due to the internal sample refresh rate"
SECONDS = 1.0
SHARES = {  # our field → nvml.h, nvmlGpmMetricId_t: percent
    "gr_engine_active": "NVML_GPM_METRIC_GRAPHICS_UTIL",
    "sm_active": "NVML_GPM_METRIC_SM_UTIL",
    "sm_occupancy": "NVML_GPM_METRIC_SM_OCCUPANCY",
    "tensor_active": "NVML_GPM_METRIC_ANY_TENSOR_UTIL",
    "dram_active": "NVML_GPM_METRIC_DRAM_BW_UTIL",
}
RATES = {  # MiB/s
    "pcie_tx_mib_per_second": "NVML_GPM_METRIC_PCIE_TX_PER_SEC",
    "pcie_rx_mib_per_second": "NVML_GPM_METRIC_PCIE_RX_PER_SEC",
    "nvlink_tx_mib_per_second": "NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC",
    "nvlink_rx_mib_per_second": "NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC",
}
WHOLE = None  # in place of a GPU instance's id: the GPU itself


class _First(NamedTuple):
    """The first of two samples, of a GPU or of one of its GPU instances."""

    handle: Any
    instance: int | None
    sample: Any
    at: float


def with_activity(
    gpus: Sequence[GpuFacts],
    handles: Mapping[int, Any],
    *,
    seconds: float = SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[GpuFacts]:
    """Yield the GPUs with what their counters saw, after `seconds` if any of them has such counters.

    A GPU in MIG mode is asked for each of its GPU instances, any other as a whole.
    """
    asked = {gpu.index: Asking() for gpu in gpus}
    firsts = {gpu.index: list(_begin(asked[gpu.index], gpu, handles.get(gpu.index))) for gpu in gpus}
    try:
        if any(firsts.values()):
            sleep(seconds)
        for gpu in gpus:
            seen = {one.instance: _end(asked[gpu.index], one) for one in firsts[gpu.index]}
            yield _told(gpu, seen, asked[gpu.index].unknown)
    finally:
        for gpu in gpus:
            for one in firsts[gpu.index]:
                asked[gpu.index].fact("free", "nvmlGpmSampleFree", one.sample)


def _begin(asking: Asking, gpu: GpuFacts, handle: Any) -> Iterator[_First]:
    if handle is None or gpu.lost:
        return
    support = asking.fact("activity", "nvmlGpmQueryDeviceSupport", handle)
    if support is None:
        return
    if not support.isSupportedDevice:
        asking.unknown["activity"] = "not supported"
        return
    instances = {item.gpu_instance_id for item in gpu.instances if item.gpu_instance_id >= 0}
    for instance in sorted(instances) if gpu.mig_current else (WHOLE,):
        first = _sample(asking, handle, instance)
        if first is not None:
            yield first


def _sample(asking: Asking, handle: Any, instance: int | None) -> _First | None:
    room = asking.fact("activity", "nvmlGpmSampleAlloc")
    if room is None:
        return None
    call = ("nvmlGpmSampleGet", handle) if instance is WHOLE else ("nvmlGpmMigSampleGet", handle, instance)
    sample = asking.fact("activity", *call, room)
    if sample is None:
        asking.fact("free", "nvmlGpmSampleFree", room)
        return None
    return _First(handle, instance, sample, time.monotonic())


def _end(asking: Asking, first: _First) -> ActivityFacts | None:
    second = _sample(asking, first.handle, first.instance)
    if second is None:
        return None
    try:
        return _between(asking, first, second)
    finally:
        asking.fact("free", "nvmlGpmSampleFree", second.sample)


def _between(asking: Asking, first: _First, second: _First) -> ActivityFacts | None:
    nvml = asking.nvml
    wanted = SHARES | RATES
    known = {field: getattr(nvml, name) for field, name in wanted.items() if hasattr(nvml, name)}
    request = nvml.c_nvmlGpmMetricsGet_t()
    request.version = nvml.NVML_GPM_METRICS_GET_VERSION
    request.numMetrics = len(known)
    request.sample1, request.sample2 = first.sample, second.sample
    for place, number in enumerate(known.values()):
        request.metrics[place].metricId = number
    if asking.fact("activity", "nvmlGpmMetricsGet", request) is None:
        return None
    values = {}
    for place, field in enumerate(known):
        answer = request.metrics[place]
        if answer.nvmlReturn == nvml.NVML_SUCCESS:
            values[field] = _share(answer.value) if field in SHARES else _rate(answer.value)
    return ActivityFacts(seconds=round(second.at - first.at, 3), **values)


def _share(percent: float) -> float | None:
    """Return a share 0-1 of a percentage; a value that can be none is unknown. 100.0…01 is rounding of the driver."""
    return round(min(1.0, percent / 100), 6) if math.isfinite(percent) and 0 <= percent <= 101 else None


def _rate(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) and value >= 0 else None


def _told(gpu: GpuFacts, seen: Mapping[int | None, ActivityFacts | None], unknown: Mapping[str, str]) -> GpuFacts:
    def of(item: InstanceFacts) -> InstanceFacts:
        found = seen.get(item.gpu_instance_id)
        return item if found is None else msgspec.structs.replace(item, activity=found)

    instances, whole = tuple(of(item) for item in gpu.instances), seen.get(WHOLE)
    missing = any(item.activity is None for item in instances) if gpu.mig_current else whole is None
    reasons = {"activity": unknown["activity"]} if missing and "activity" in unknown else {}
    return msgspec.structs.replace(
        gpu, activity=whole, instances=instances, unknown=dict(sorted((gpu.unknown | reasons).items()))
    )
