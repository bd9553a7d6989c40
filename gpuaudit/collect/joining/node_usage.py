"""What hosts measured at one moment → usage rows where nothing better is known. They confirm nothing."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from gpuaudit.cluster.node_facts import ActivityFacts, GpuFacts, HostFacts, InstanceFacts, ProcessFacts
from gpuaudit.cluster.nodes import Card, Node, Span
from gpuaudit.cluster.usage import (
    DEVICE_VALUES,
    HOURLY_VALUES,
    UNKNOWN_OWNER,
    Usage,
    conform_devices,
    conform_hourly,
)
from gpuaudit.cluster.workloads import Pod
from gpuaudit.collect.joining.hosts import NodeKey
from gpuaudit.collect.joining.node_cards import SOURCE
from gpuaudit.collect.joining.process_shares import Share, shares
from gpuaudit.collect.metrics.mig_share import share as mig_share
from gpuaudit.knowledge import mig

METRIC = "gpu_util"
COUNTERS = "sm_active"  # what the GPU's own counters say, the first of the ladder
UTILIZATION = ("util_mean", "util_max", "util_p50", "util_p95", "util_p99")
NAN = float("nan")
Row = dict[str, Any]


def usage_of_hosts(
    fresh: Sequence[tuple[NodeKey, HostFacts]],
    nodes: Sequence[Node],
    pods: Sequence[Pod],
    *,
    known: Usage,
    window: Span,
) -> Usage:
    """Return a row per device and owner, at one point in time (interval NaN); none for cards that `known` measures."""
    measured = set(zip(known.devices["cluster"], known.devices["card"], strict=True))
    by_key = {node.key: node for node in nodes}
    by_uid = {pod.uid: pod for pod in pods if pod.uid}
    rows: list[Row] = []
    for key, facts in fresh:
        if window.start <= facts.taken_at:
            cards = _cards(by_key[key], _of_all(facts))
            rows += [
                row
                for gpu, card in cards
                if not gpu.lost and (key[0], _id(by_key[key], card)) not in measured
                for row in _rows(by_key[key], card, gpu, by_uid)
            ]
            _stamp(rows, min(facts.taken_at, window.end))
    if not rows:
        return Usage()
    hourly = {name: [row[name] for row in rows] for name in ("cluster", "device", "owner", "hour", *HOURLY_VALUES)}
    import pandas as pd

    devices = pd.DataFrame(rows).drop(columns=["hour", *(n for n in HOURLY_VALUES if n not in DEVICE_VALUES)])
    return Usage(hourly=conform_hourly(hourly), devices=conform_devices(devices))


def _of_all(facts: HostFacts) -> HostFacts:
    """Return the facts without processes where the driver only told of some: the others' part would go to them."""
    if facts.host_processes is not False:
        return facts
    gpus = tuple(msgspec.structs.replace(gpu, processes=None) for gpu in facts.gpus)
    return msgspec.structs.replace(facts, gpus=gpus)


def _cards(node: Node, facts: HostFacts) -> Iterator[tuple[GpuFacts, Card]]:
    """Yield the GPUs with the cards that they became."""
    named = {card.uuid: card for card in node.cards if card.uuid}
    for gpu in facts.gpus:
        card = named.get(gpu.uuid) if gpu.uuid else None
        if card is None and gpu.uuid is None:
            card = next((one for one in node.cards if one.index == gpu.index and one.uuid is None), None)
        if card is not None:
            yield gpu, card


def _id(node: Node, card: Card) -> str:
    return card.uuid or f"{node.name}/{card.index}"


def _stamp(rows: Sequence[Row], when: datetime) -> None:
    for row in rows:
        for name in ("first", "last"):
            row.setdefault(name, when)
        row.setdefault("hour", when.replace(minute=0, second=0, microsecond=0))


def _rows(node: Node, card: Card, gpu: GpuFacts, pods: Mapping[str, Pod]) -> Iterator[Row]:
    if gpu.mig_current:
        for instance in _first_of_each(gpu.instances):
            yield from _of_instance(node, card, gpu, instance, pods)
        return
    utilization = _lately(gpu)
    memory, power = gpu.memory_used_mib, gpu.power.draw_watts
    if utilization is None and not _counted(gpu.activity) and memory is None and power is None:
        return
    found = shares(gpu.processes, _owner(pods), utilization=utilization, memory_mib=memory)
    device = {
        "device": _id(node, card),
        "profile": "",
        "gpus": 1.0,
        "metric": "" if utilization is None else METRIC,
        **dict.fromkeys(UTILIZATION, _number(utilization)),
        "gpu_util_mean": _number(utilization),
        **_counted(gpu.activity),
        **dict.fromkeys(("power_mean_watts", "power_max_watts", "power_p95_watts"), _number(power)),
    }
    yield from _of_owners(node, card, device, found, pods)


def _of_instance(
    node: Node, card: Card, gpu: GpuFacts, instance: InstanceFacts, pods: Mapping[str, Pod]
) -> Iterator[Row]:
    """Yield the rows of a MIG device: NVML gives its memory, and how busy it is only by the GPU's own counters."""
    counted = _counted(instance.activity)
    if (instance.memory_used_mib is None and not counted) or instance.gpu_instance_id < 0:
        return
    own = [one for one in gpu.processes or () if one.gpu_instance_id == instance.gpu_instance_id]
    found = shares(own, _owner(pods), utilization=None, memory_mib=instance.memory_used_mib)
    profile = mig.canonical(instance.profile or "") or instance.profile or ""
    device = {
        "device": f"{_id(node, card)}/{instance.gpu_instance_id}",
        "profile": profile,
        "gpus": mig_share(gpu.name or "", profile),
        "metric": "",
        **counted,
    }
    yield from _of_owners(node, card, device, found, pods)


def _of_owners(node: Node, card: Card, device: Row, found: Sequence[Share], pods: Mapping[str, Pod]) -> Iterator[Row]:
    unknown = dict.fromkeys((*HOURLY_VALUES, *DEVICE_VALUES), NAN)
    for one in found:
        pod = pods.get(one.pod or "")
        yield (
            unknown
            | device
            | {
                "cluster": node.cluster,
                "node": node.name,
                "card": _id(node, card),
                "owner": one.owner,
                "namespace": pod.namespace if pod else "",
                "pod": pod.name if pod else "",
                "source": SOURCE,
                "samples": one.part,
                "shared": len(found) > 1,
                **dict.fromkeys(("memory_max_mib", "memory_p99_mib"), _number(one.memory_mib)),
            }
        )


def _lately(gpu: GpuFacts) -> float | None:
    """Return the GPU utilization of the driver's last seconds: its mean, else the newest period of under a second."""
    samples = gpu.samples.get("gpu")
    value = gpu.utilization if samples is None else samples.mean
    return value if value is not None and 0 <= value <= 1 else None


def _counted(activity: ActivityFacts | None) -> Row:
    """Return what the GPU's own counters say; they stand above GPU utilization in the ladder of metrics."""
    if activity is None or activity.sm_active is None:
        return {}
    dram = _number(activity.dram_active)
    return {
        "metric": COUNTERS,
        **dict.fromkeys(UTILIZATION, activity.sm_active),
        "tensor_mean": _number(activity.tensor_active),
        **dict.fromkeys(("dram_mean", "dram_max", "dram_p95"), dram),
    }


def _owner(pods: Mapping[str, Pod]) -> Any:
    def owner_of(process: ProcessFacts) -> str:
        pod = pods.get(process.pod_uid or "")
        return pod.workload if pod and pod.workload else UNKNOWN_OWNER

    return owner_of


def _first_of_each(instances: Sequence[InstanceFacts]) -> list[InstanceFacts]:
    """Return one device for each GPU instance: several compute instances share its memory."""
    found: dict[int, InstanceFacts] = {}
    for item in instances:
        found.setdefault(item.gpu_instance_id, item)
    return list(found.values())


def _number(value: float | None) -> float:
    return NAN if value is None else value
