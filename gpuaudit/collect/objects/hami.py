"""HAMi: virtual GPUs with a part of a card's memory and cores each."""

from collections.abc import Iterable, Mapping

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.workloads import Holding, Pod
from gpuaudit.collect.objects.quantities import quantity
from gpuaudit.knowledge import kubernetes


def by_hami(pod: Pod, node: Node | None, name: str) -> bool:
    """Whether HAMi shares out a pod's GPUs: on its node, or by what the pod asks for."""
    keys = kubernetes.resources()
    if name != keys.gpu:
        return False
    marks = (keys.hami_memory_mib, keys.hami_memory_percent, keys.hami_cores_percent)
    return bool(node and node.sharing and node.sharing.strategy == "hami") or any(
        mark in pod.requests for mark in marks
    )


def hami_holding(pod: Pod, node: Node | None, name: str, count: float) -> Holding:
    """Return a HAMi holding: by the devices that its scheduler wrote down, else by what was asked per virtual GPU.

    The part of a card is the larger one of memory and cores. Who asks for neither gets a card's whole memory.
    """
    card = next((item.memory_mib for item in node.cards if item.memory_mib), None) if node else None
    written = _allocated(pod)
    if written:
        memory = sum(item[1] for item in written)
        parts = [max(item[1] / card if card else 0.0, item[2] / 100) for item in written]
        known = card is not None or all(item[2] for item in written)
        return Holding(
            kind="hami",
            resource=name,
            count=count,
            gpus=sum(min(1.0, part) for part in parts) if known else None,
            memory_mib=memory,
            devices=tuple(item[0] for item in written),
        )
    asked = _asked(pod, name, count)
    shares = [(each, _share(requests, card)) for each, requests in asked]
    sizes = [each * requests.get(kubernetes.resources().hami_memory_mib, 0.0) for each, requests in asked]
    return Holding(
        kind="hami",
        resource=name,
        count=count,
        gpus=_sum(shares),
        memory_mib=sum(sizes) if any(sizes) else None,
    )


def _asked(pod: Pod, name: str, count: float) -> list[tuple[float, Mapping[str, float]]]:
    """Return virtual GPUs and requests of each container that runs on: memory and cores are of one virtual GPU."""
    running = [one.requests for one in pod.containers if one.sidecar or not one.init]
    told: list[tuple[float, Mapping[str, float]]] = [(one[name], one) for one in running if one.get(name)]
    return told if sum(each for each, _ in told) == count else [(count, pod.requests)]


def _sum(shares: Iterable[tuple[float, float | None]]) -> float | None:
    """Return the cards that numbers of virtual GPUs of these parts make, None where a part is not known."""
    total = 0.0
    for each, share in shares:
        if share is None:
            return None
        total += each * min(1.0, share)
    return total


def _share(requests: Mapping[str, float], card: int | float | None) -> float | None:
    """Return the part of a card that a virtual GPU gets, None where the card's memory is not known."""
    keys = kubernetes.resources()
    percent, mib = requests.get(keys.hami_memory_percent), requests.get(keys.hami_memory_mib)
    cores = requests.get(keys.hami_cores_percent, 0.0) / 100
    if mib is None and percent is None:
        return 1.0
    if mib is None:
        return max((percent or 0.0) / 100, cores)
    return max(mib / card, cores) if card else None


def _allocated(pod: Pod) -> list[tuple[str, float, float]]:
    """Return (UUID, MiB, percent of cores) of each device in HAMi's annotation."""
    text = pod.annotations.get(kubernetes.hami().pod_allocated, "")
    rows = (device.split(",") for container in text.split(";") for device in container.split(":"))
    return [(row[0], _positive(row[2]), _positive(row[3])) for row in rows if len(row) == 4 and row[0]]


def _positive(text: str) -> float:
    return max(0.0, quantity(text) or 0.0)
