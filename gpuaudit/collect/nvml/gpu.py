"""One GPU: who it is, what it does, how it is."""

import time
from typing import Any

from gpuaudit.cluster.node_facts import ClockFacts, GpuFacts, MemoryFaults, PcieFacts, PowerFacts, Samples
from gpuaudit.collect.nvml.asking import RECENT_SECONDS, Asking, named
from gpuaudit.collect.nvml.mig import read_instances, read_profiles
from gpuaudit.collect.nvml.nvlink import fabric_of, read_nvlinks
from gpuaudit.collect.nvml.processes import read_processes

MIB = 1 << 20


def read_gpu(asking: Asking, index: int, handle: Any, *, serials: bool) -> GpuFacts:
    """Read all facts of one GPU; what is refused is named in `unknown`."""
    fact = asking.fact
    newest = ("nvmlDeviceGetMemoryInfo", handle, asking.nvml.nvmlMemory_v2)
    memory = asking.first("memory_used_mib", newest, ("nvmlDeviceGetMemoryInfo", handle))
    busy = fact("utilization", "nvmlDeviceGetUtilizationRates", handle)
    mig = fact("mig_current", "nvmlDeviceGetMigMode", handle)
    state, clique = fabric_of(asking, handle)
    return GpuFacts(
        index=index,
        uuid=fact("uuid", "nvmlDeviceGetUUID", handle, read=str),
        name=fact("name", "nvmlDeviceGetName", handle, read=str),
        serial=fact("serial", "nvmlDeviceGetSerial", handle, read=str) if serials else None,
        pci=fact("pci", "nvmlDeviceGetPciInfo", handle, read=pci_address),
        vbios=fact("vbios", "nvmlDeviceGetVbiosVersion", handle, read=str),
        architecture=fact(
            "architecture", "nvmlDeviceGetArchitecture", handle, read=_namer(asking, "NVML_DEVICE_ARCH_")
        ),
        compute_capability=fact(
            "compute_capability", "nvmlDeviceGetCudaComputeCapability", handle, read=lambda v: f"{v[0]}.{v[1]}"
        ),
        memory_total_mib=_mib(memory, "total"),
        memory_used_mib=_mib(memory, "used"),
        memory_reserved_mib=_mib(memory, "reserved"),
        utilization=_percent(busy, "gpu"),
        memory_utilization=_percent(busy, "memory"),
        samples=_samples(asking, handle),
        temperature_celsius=fact("temperature_celsius", "nvmlDeviceGetTemperature", handle, 0, read=float),
        performance_state=fact("performance_state", "nvmlDeviceGetPerformanceState", handle),
        persistence=fact("persistence", "nvmlDeviceGetPersistenceMode", handle, read=bool),
        compute_mode=fact("compute_mode", "nvmlDeviceGetComputeMode", handle, read=_namer(asking, "NVML_COMPUTEMODE_")),
        mig_current=None if mig is None else bool(mig[0]),
        mig_pending=None if mig is None else bool(mig[1]),
        profiles=read_profiles(asking, handle),
        instances=read_instances(asking, handle) if mig and mig[0] else (),
        processes=read_processes(asking, handle),
        power=_power(asking, handle),
        clocks=_clocks(asking, handle),
        faults=_faults(asking, handle),
        pcie=_pcie(asking, handle),
        nvlinks=read_nvlinks(asking, handle),
        fabric_state=state,
        fabric_clique=clique,
        numa=fact("numa", "nvmlDeviceGetNumaNodeId", handle),
        virtualization=fact(
            "virtualization",
            "nvmlDeviceGetVirtualizationMode",
            handle,
            read=_namer(asking, "NVML_GPU_VIRTUALIZATION_MODE_"),
        ),
        vgpus=fact("vgpus", "nvmlDeviceGetActiveVgpus", handle, read=len),
        lost=asking.lost,
        unknown=dict(sorted(asking.unknown.items())),
    )


def pci_address(info: Any) -> str:
    """Return `0000:37:00.0` from NVML's `00000000:37:00.0`, lower case as sysfs writes it."""
    text = info.busId.decode() if isinstance(info.busId, bytes) else str(info.busId)
    domain, _, rest = text.partition(":")
    return f"{domain[-4:]}:{rest}".lower()


def _namer(asking: Asking, prefix: str) -> Any:
    return lambda value: named(asking.nvml, prefix, value)


def _mib(memory: Any, field: str) -> float | None:
    value = getattr(memory, field, None)
    return None if value is None else round(value / MIB, 2)


def _percent(rates: Any, field: str) -> float | None:
    value = getattr(rates, field, None)
    return value / 100 if value is not None and 0 <= value <= 100 else None


def _power(asking: Asking, handle: Any) -> PowerFacts:
    watts = {
        field: asking.fact(f"power.{field}", function, handle, read=lambda milliwatts: milliwatts / 1000)
        for field, function in (
            ("draw_watts", "nvmlDeviceGetPowerUsage"),
            ("limit_watts", "nvmlDeviceGetEnforcedPowerLimit"),
            ("default_limit_watts", "nvmlDeviceGetPowerManagementDefaultLimit"),
        )
    }
    highest = asking.fact("power.max_limit_watts", "nvmlDeviceGetPowerManagementLimitConstraints", handle)
    return PowerFacts(**watts, max_limit_watts=None if highest is None else highest[1] / 1000)


def _clocks(asking: Asking, handle: Any) -> ClockFacts:
    nvml = asking.nvml
    sm, memory = nvml.NVML_CLOCK_SM, nvml.NVML_CLOCK_MEM
    names = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
    reasons = asking.first("clocks.limited_by", *((name, handle) for name in names))
    return ClockFacts(
        sm_mhz=asking.fact("clocks.sm_mhz", "nvmlDeviceGetClockInfo", handle, sm),
        memory_mhz=asking.fact("clocks.memory_mhz", "nvmlDeviceGetClockInfo", handle, memory),
        max_sm_mhz=asking.fact("clocks.max_sm_mhz", "nvmlDeviceGetMaxClockInfo", handle, sm),
        max_memory_mhz=asking.fact("clocks.max_memory_mhz", "nvmlDeviceGetMaxClockInfo", handle, memory),
        limited_by=_reasons(nvml, reasons or 0),
    )


def _reasons(nvml: Any, bits: int) -> tuple[str, ...]:
    words = set()
    prefixes = ("nvmlClocksEventReason", "nvmlClocksThrottleReason")
    for name in dir(nvml):
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        value = getattr(nvml, name)
        # only single bits are reasons; All and None are sums
        if prefix and isinstance(value, int) and value and value & (value - 1) == 0 and bits & value:
            words.add(name.removeprefix(prefix))
            bits &= ~value
    if bits:
        words.add(f"unknown bits {bits:#x}")
    return tuple(sorted(words))


def _faults(asking: Asking, handle: Any) -> MemoryFaults:
    fact, nvml = asking.fact, asking.nvml
    mode = fact("faults.ecc_enabled", "nvmlDeviceGetEccMode", handle)
    rows = fact("faults.remapped", "nvmlDeviceGetRemappedRows", handle)
    counts = {
        f"{span}_{kind}": fact(f"faults.{span}_{kind}", "nvmlDeviceGetTotalEccErrors", handle, error, counter)
        for span, counter in (("volatile", nvml.NVML_VOLATILE_ECC), ("aggregate", nvml.NVML_AGGREGATE_ECC))
        for kind, error in (
            ("corrected", nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED),
            ("uncorrected", nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED),
        )
    }
    retired = [
        fact("faults.retired_pages", "nvmlDeviceGetRetiredPages", handle, cause, read=len)
        for cause in (
            nvml.NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS,
            nvml.NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR,
        )
    ]
    return MemoryFaults(
        ecc_enabled=None if mode is None else bool(mode[0]),
        ecc_pending=None if mode is None else bool(mode[1]),
        **counts,
        remapped_correctable=rows[0] if rows else None,
        remapped_uncorrectable=rows[1] if rows else None,
        remap_pending=bool(rows[2]) if rows else None,
        remap_failure=bool(rows[3]) if rows else None,
        retired_pages=None if None in retired else sum(count or 0 for count in retired),
        retirement_pending=fact(
            "faults.retirement_pending", "nvmlDeviceGetRetiredPagesPendingStatus", handle, read=bool
        ),
    )


def _pcie(asking: Asking, handle: Any) -> PcieFacts:
    return PcieFacts(
        generation=asking.fact("pcie.generation", "nvmlDeviceGetCurrPcieLinkGeneration", handle),
        width=asking.fact("pcie.width", "nvmlDeviceGetCurrPcieLinkWidth", handle),
        max_generation=asking.fact("pcie.max_generation", "nvmlDeviceGetMaxPcieLinkGeneration", handle),
        max_width=asking.fact("pcie.max_width", "nvmlDeviceGetMaxPcieLinkWidth", handle),
        replays=asking.fact("pcie.replays", "nvmlDeviceGetPcieReplayCounter", handle),
    )


def _samples(asking: Asking, handle: Any) -> dict[str, Samples]:
    kinds = {
        "gpu": (asking.nvml.NVML_GPU_UTILIZATION_SAMPLES, 0.01),
        "memory": (asking.nvml.NVML_MEMORY_UTILIZATION_SAMPLES, 0.01),
        "power": (asking.nvml.NVML_TOTAL_POWER_SAMPLES, 0.001),
    }
    since = int((time.time() - RECENT_SECONDS) * 1e6)  # microseconds of the host's clock
    found = {}
    for name, (kind, scale) in kinds.items():
        answer = asking.fact(f"samples.{name}", "nvmlDeviceGetSamples", handle, kind, since)
        rows = [row for row in answer[1] if row.timeStamp] if answer else []
        if rows:
            values = [_sample_value(asking.nvml, answer[0], row.sampleValue) * scale for row in rows]
            times = [row.timeStamp for row in rows]
            found[name] = Samples(
                count=len(rows),
                seconds=(max(times) - min(times)) / 1e6,
                mean=round(sum(values) / len(values), 6),
                max=round(max(values), 6),
            )
    return found


def _sample_value(nvml: Any, kind: int, value: Any) -> float:
    field = {
        nvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
        nvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
        nvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
        nvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
        nvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    }.get(kind, "uiVal")
    return float(getattr(value, field))
