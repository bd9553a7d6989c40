"""Metrics of a cluster whose GPUs all work, as dcgm-exporter exposes them: one sample an hour over nine days."""

from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.workloads import Pod
from gpuaudit.collect.inventory import Inventory
from gpuaudit.collect.metrics.store import SampleStore
from gpuaudit.knowledge import gpus
from tests.clusters.building import NOW

HOURS = 9 * 24
TRAINS = {  # metric → value while it works, and in the valley of every sixth hour
    "DCGM_FI_PROF_SM_ACTIVE": (0.88, 0.52),
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": (0.97, 0.70),
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": (0.46, 0.22),
    "DCGM_FI_PROF_DRAM_ACTIVE": (0.44, 0.25),
    "DCGM_FI_DEV_GPU_UTIL": (99, 80),
    "DCGM_FI_DEV_XID_ERRORS": (0, 0),
}
POWER = (0.86, 0.55)  # of the card's limit
MEMORY = 0.82  # of the card's


def samples(inventory: Inventory) -> SampleStore:
    """Return the metrics of every GPU that a running pod of the inventory holds."""
    store = SampleStore()
    text = "\n".join(line for pod in inventory.pods for line in _lines(pod, inventory.nodes)) + "\n"
    store.add_text(BytesIO(text.encode()), source="metrics.prom")
    return store


def _lines(pod: Pod, nodes: tuple[Node, ...]) -> Iterator[str]:
    node = next(one for one in nodes if one.name == pod.node)
    first = (NOW - timedelta(hours=HOURS)).timestamp()
    for card in node.cards[: int(pod.gpus or 0)]:
        model = gpus.by_key(card.model or "")
        assert model is not None
        labels = {
            "gpu": str(card.index),
            "UUID": f"GPU-{node.name}-{card.index}",
            "device": f"nvidia{card.index}",
            "modelName": model.names[0],
            "Hostname": node.name,
            "namespace": pod.namespace,
            "pod": pod.name,
            "container": pod.containers[-1].name,
        }
        inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
        told = dict(TRAINS)
        told["DCGM_FI_DEV_POWER_USAGE"] = tuple((model.tdp_w or 300) * part for part in POWER)
        told["DCGM_FI_DEV_FB_USED"] = (round(model.memory_mib * MEMORY),) * 2
        told["DCGM_FI_DEV_FB_FREE"] = (round(model.memory_mib * (1 - MEMORY)),) * 2
        for name, (high, low) in told.items():
            for hour in range(1, HOURS + 1):
                value = low if hour % 6 == 0 else high
                yield f"{name}{{{inside}}} {value} {int((first + hour * 3600) * 1000)}"
