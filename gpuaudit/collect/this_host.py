"""The facts of this host in one document: NVML and the fabric (`gpuaudit node`)."""

import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from gpuaudit import __version__
from gpuaudit.cluster.node_facts import HostFacts
from gpuaudit.collect.fabric import near, read_fabric
from gpuaudit.collect.nvml import read_nvml

NODE_NAME, CLUSTER_NAME = "GPUAUDIT_NODE_NAME", "GPUAUDIT_CLUSTER_NAME"  # the probe's downward API
FIRST_PID_NAMESPACE = "pid:[4026531836]"  # linux/proc_ns.h, PROC_PID_INIT_INO


def read_host(
    *, root: Path = Path("/"), proc: Path | None = None, serials: bool = False, now: datetime | None = None
) -> HostFacts:
    """Read the host under `root` (its sysfs, and its procfs unless that is at `proc`) and its driver.

    Never raises for what is not there.
    """
    nvml = read_nvml(serials=serials)
    fabric = read_fabric(root, proc)
    return HostFacts(
        tool_version=__version__,
        taken_at=now or datetime.now(UTC).replace(microsecond=0),
        host=socket.gethostname(),
        node=os.environ.get(NODE_NAME) or None,
        cluster=os.environ.get(CLUSTER_NAME) or None,
        driver=nvml.driver,
        cuda=nvml.cuda,
        nvml=nvml.nvml,
        confidential_compute=nvml.confidential_compute,
        gpus=near(nvml.gpus, fabric, root),
        fabric=fabric,
        host_processes=_host_processes(),
        notes=nvml.notes,
    )


def _host_processes() -> bool | None:
    """Whether this process is in the host's own PID namespace: elsewhere the driver hides the others' processes."""
    try:
        return os.readlink("/proc/self/ns/pid") == FIRST_PID_NAMESPACE
    except OSError:
        return None
