"""Processes on a GPU, joined to their containers by cgroup."""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from gpuaudit.cluster.node_facts import ProcessFacts
from gpuaudit.collect.nvml.asking import RECENT_SECONDS, Asking

MIB = 1 << 20
NO_INSTANCE = 0xFFFFFFFF
_CONTAINER = re.compile(r"([0-9a-f]{64})")
_POD = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})")
VERSIONS = ("_v3", "_v2")  # the unversioned name refuses a driver that lacks the newest
MISSING = "function not in this driver"
NONE_COMPUTED = "not found"  # its answer when it has no sample of any process
_KINDS = {
    "compute": "nvmlDeviceGetComputeRunningProcesses",
    "graphics": "nvmlDeviceGetGraphicsRunningProcesses",
    "mps": "nvmlDeviceGetMPSComputeRunningProcesses",
}


def read_processes(asking: Asking, handle: Any, *, proc: Path = Path("/proc")) -> tuple[ProcessFacts, ...] | None:
    """Return the processes that NVML lists, None when it lists none for want of a right or of support."""
    found: dict[tuple[int, int | None], ProcessFacts] = {}
    answered = False
    for kind, function in _KINDS.items():
        rows = _rows(asking, f"processes.{kind}", function, handle)
        answered = answered or rows is not None
        for row in rows or ():
            instance = _instance(row, "gpuInstanceId")
            if kind == "mps" or (row.pid, instance) not in found:  # a client of MPS stands in both lists
                found[row.pid, instance] = _process(row, kind, proc)
    if not answered:
        return None
    busy = _utilization(asking, handle, {pid for pid, _ in found}, proc)
    return tuple(
        msgspec.structs.replace(found[key], sm_utilization=busy.get(key[0]))
        for key in sorted(found, key=lambda item: (item[0], item[1] or -1))
    )


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


def _process(row: Any, kind: str, proc: Path) -> ProcessFacts:
    container, pod = container_of(_read(proc / str(row.pid) / "cgroup"))
    name = _read(proc / str(row.pid) / "comm").strip()
    return ProcessFacts(
        pid=row.pid,
        kind=kind,  # type: ignore[arg-type]
        name=name[:64] or None,
        container=container,
        pod_uid=pod,
        memory_mib=None if row.usedGpuMemory is None else round(row.usedGpuMemory / MIB, 2),
        gpu_instance_id=_instance(row, "gpuInstanceId"),
        compute_instance_id=_instance(row, "computeInstanceId"),
    )


def _instance(row: Any, field: str) -> int | None:
    value = getattr(row, field, None)
    return None if value is None or value == NO_INSTANCE else int(value)


def _utilization(asking: Asking, handle: Any, pids: Iterable[int], proc: Path) -> dict[int, float]:
    """Return the SM utilization 0-1 of each process in the last seconds; of one that computed nothing there is none.

    The driver charges a young process for what ended processes did before it started (seen on an H100 and an H200 with
    driver 580.159.04: 66 % for one that never computed), so that one is asked for from its start.
    """
    now = time.time()
    found = _recent(asking, handle, now - RECENT_SECONDS)
    for pid in sorted(set(pids) & set(found)):
        started = started_at(pid, proc)
        age = RECENT_SECONDS if started is None else now - started
        if age < RECENT_SECONDS:
            own = _recent(asking, handle, now - max(0.0, age)).get(pid)
            del found[pid]
            found |= {} if own is None else {pid: round(own * max(0.0, age) / RECENT_SECONDS, 6)}
    return found


def _recent(asking: Asking, handle: Any, since: float) -> dict[int, float]:
    """Return the driver's mean SM utilization by process since a time (seconds since 1970)."""
    field = "processes.sm_utilization"
    rows = asking.fact(field, "nvmlDeviceGetProcessUtilization", handle, int(since * 1e6))
    if rows is None and asking.unknown[field] == NONE_COMPUTED:
        del asking.unknown[field]
    values: dict[int, list[int]] = {}
    for row in rows or ():
        if row.pid and 0 <= row.smUtil <= 100:
            values.setdefault(row.pid, []).append(row.smUtil)
    return {pid: sum(shares) / len(shares) / 100 for pid, shares in values.items()}


def started_at(pid: int, proc: Path = Path("/proc")) -> float | None:
    """Return when a process started, in seconds since 1970; None where /proc does not tell."""
    # proc(5): the name, which may hold anything, stands in parentheses; starttime is the 20th field after it
    fields = _read(proc / str(pid) / "stat").rpartition(")")[2].split()
    boot = re.search(r"^btime (\d+)$", _read(proc / "stat"), re.MULTILINE)
    if boot is None or len(fields) < 20 or not fields[19].isdecimal():
        return None
    return int(boot[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[:65536]
    except OSError:
        return ""
