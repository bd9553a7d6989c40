"""Processes on a GPU, joined to their containers by cgroup."""

import re
from pathlib import Path
from typing import Any

from gpuaudit.cluster.node_facts import ProcessFacts
from gpuaudit.collect.nvml.asking import Asking

MIB = 1 << 20
NO_INSTANCE = 0xFFFFFFFF
_CONTAINER = re.compile(r"([0-9a-f]{64})")
_POD = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})")
VERSIONS = ("_v3", "_v2")  # the unversioned name refuses a driver that lacks the newest
MISSING = "function not in this driver"
_KINDS = {
    "compute": "nvmlDeviceGetComputeRunningProcesses",
    "graphics": "nvmlDeviceGetGraphicsRunningProcesses",
    "mps": "nvmlDeviceGetMPSComputeRunningProcesses",
}


def read_processes(asking: Asking, handle: Any, *, proc: Path = Path("/proc")) -> tuple[ProcessFacts, ...] | None:
    """Return the processes that NVML lists, None when it lists none for want of a right or of support."""
    busy = _utilization(asking, handle)
    found: dict[tuple[int, int | None], ProcessFacts] = {}
    answered = False
    for kind, function in _KINDS.items():
        rows = _rows(asking, f"processes.{kind}", function, handle)
        answered = answered or rows is not None
        for row in rows or ():
            instance = _instance(row, "gpuInstanceId")
            if kind == "mps" or (row.pid, instance) not in found:  # a client of MPS stands in both lists
                found[row.pid, instance] = _process(row, kind, busy.get(row.pid), proc)
    if not answered:
        return None
    return tuple(found[key] for key in sorted(found, key=lambda item: (item[0], item[1] or -1)))


def _rows(asking: Asking, field: str, function: str, handle: Any) -> Any:
    """Ask the newest version of a call that the driver has."""
    for version in VERSIONS:
        rows = asking.fact(field, function + version, handle)
        if rows is not None:
            asking.unknown.pop(field, None)
            return rows
        if asking.unknown[field] != MISSING:
            break
    return None


def container_of(cgroup: str) -> tuple[str | None, str | None]:
    """Return container id and pod UID from the text of /proc/PID/cgroup (v1 or v2; docker, containerd, CRI-O)."""
    container = _CONTAINER.findall(cgroup)
    pod = _POD.search(cgroup)
    return (container[-1] if container else None, pod.group(1).replace("_", "-") if pod else None)


def _process(row: Any, kind: str, busy: float | None, proc: Path) -> ProcessFacts:
    container, pod = container_of(_read(proc / str(row.pid) / "cgroup"))
    name = _read(proc / str(row.pid) / "comm").strip()
    return ProcessFacts(
        pid=row.pid,
        kind=kind,  # type: ignore[arg-type]
        name=name[:64] or None,
        container=container,
        pod_uid=pod,
        memory_mib=None if row.usedGpuMemory is None else round(row.usedGpuMemory / MIB, 2),
        sm_utilization=busy,
        gpu_instance_id=_instance(row, "gpuInstanceId"),
        compute_instance_id=_instance(row, "computeInstanceId"),
    )


def _instance(row: Any, field: str) -> int | None:
    value = getattr(row, field, None)
    return None if value is None or value == NO_INSTANCE else int(value)


def _utilization(asking: Asking, handle: Any) -> dict[int, float]:
    """Mean SM utilization 0-1 of each process over the driver's buffer."""
    rows = asking.fact("processes.sm_utilization", "nvmlDeviceGetProcessUtilization", handle, 0) or ()
    values: dict[int, list[int]] = {}
    for row in rows:
        if row.pid and 0 <= row.smUtil <= 100:
            values.setdefault(row.pid, []).append(row.smUtil)
    return {pid: sum(shares) / len(shares) / 100 for pid, shares in values.items()}


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[:65536]
    except OSError:
        return ""
