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


def read_host(*, root: Path = Path("/"), serials: bool = False, now: datetime | None = None) -> HostFacts:
    """Read the host under `root` (its sysfs and procfs) and its driver. Never raises for what is not there."""
    nvml = read_nvml(serials=serials)
    fabric = read_fabric(root)
    return HostFacts(
        tool_version=__version__,
        taken_at=now or datetime.now(UTC).replace(microsecond=0),
        host=socket.gethostname(),
        node=os.environ.get(NODE_NAME) or None,
        cluster=os.environ.get(CLUSTER_NAME) or None,
        driver=nvml.driver,
        cuda=nvml.cuda,
        nvml=nvml.nvml,
        gpus=near(nvml.gpus, fabric, root),
        fabric=fabric,
        notes=nvml.notes,
    )
