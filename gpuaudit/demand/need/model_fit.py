"""Smaller GPU models that would do for a workload: by its need of memory, SMs, tensor cores and bandwidth."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.capacity.free import whole_cards
from gpuaudit.demand.memory import once
from gpuaudit.demand.need.compute_need import ComputeNeed, compute_needs
from gpuaudit.demand.need.memory_need import MemoryNeed, memory_needs
from gpuaudit.demand.usage.units import workload_subject, works_alone
from gpuaudit.knowledge import gpus, prices
from gpuaudit.knowledge.gpus import GpuModel

FILL = 0.8  # of the smaller model's SMs, tensor cores and bandwidth, at the need's busiest
MEMORY_FILL = 0.9  # of its memory


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A smaller model that would do. Ratios are what the need would fill of it."""

    model: GpuModel
    in_fleet: bool  # the cluster has nodes of it; else only the provider's catalogue
    memory: float
    compute: float
    bandwidth: float


@dataclass(frozen=True, kw_only=True)
class Oversize:
    """A workload on whole GPUs of one model, what it needs, and the smallest model that would do."""

    held: GpuModel
    devices: int  # of one replica
    memory: MemoryNeed
    compute: ComputeNeed
    fit: Fit


def oversize(
    snapshot: Snapshot, owner: str, *, smaller_than: float, fill: float = FILL, memory_fill: float = MEMORY_FILL
) -> Oversize | None:
    """Return the smallest model that would do, one of the fleet first; None when none would, or a need is unknown.

    A smaller model has at most `smaller_than` of the bandwidth, which is what models differ in most, and no more
    memory. Replicas of several GPUs need their links, so for them a model must have as much NVLink; gangs over
    several pods are left alone.
    """
    memory, compute = memory_needs(snapshot).get(owner), compute_needs(snapshot).get(owner)
    if memory is None or compute is None or memory.mib is None or compute.model is None or not memory.devices:
        return None
    held = gpus.by_key(compute.model)
    if held is None or compute.profile or compute.shared or not _one_pod(snapshot, owner):
        return None
    cluster = workload_subject(snapshot, owner).cluster
    fits = [
        fit
        for model, in_fleet in _candidates(snapshot, cluster, memory.devices, held)
        if _can_replace(snapshot, owner, held, model, smaller_than=smaller_than, devices=memory.devices)
        and (fit := _fit(held, model, memory, compute, in_fleet=in_fleet)) is not None
        and max(fit.compute, fit.bandwidth) <= fill
        and fit.memory <= memory_fill
    ]
    best = min(fits, key=lambda fit: (not fit.in_fleet, fit.model.memory_bw_gbps or 0.0, fit.model.key), default=None)
    if best is None:
        return None
    return Oversize(held=held, devices=memory.devices, memory=memory, compute=compute, fit=best)


def _one_pod(snapshot: Snapshot, owner: str) -> bool:
    """Whether each pod works by itself: replicas of a service, or the only pod of a job."""
    holding = [pod for pod in snapshot.pods_by_workload.get(owner, ()) if pod.holds]
    return works_alone(snapshot, owner) or len(holding) == 1


def _candidates(snapshot: Snapshot, cluster: str, devices: int, held: GpuModel) -> Iterator[tuple[GpuModel, bool]]:
    fleet = _fleet(snapshot).get(cluster, {})
    for key in sorted(key for key, most in fleet.items() if most >= devices):
        model = gpus.by_key(key)
        if model is not None:
            yield model, True
    for provider in sorted({node.provider for node in snapshot.gpu_nodes if node.cluster == cluster and node.provider}):
        for key in sorted(key for key, most in _offered(provider).items() if most >= devices and key not in fleet):
            model = gpus.by_key(key)
            if model is not None and model.key != held.key:
                yield model, False


@once
def _fleet(snapshot: Snapshot) -> Mapping[str, Mapping[str, int]]:
    """Return, by cluster, the models that nodes in service hand out whole, with the most that one node has."""
    found: dict[str, dict[str, int]] = {}
    for node in snapshot.gpu_nodes:
        models = {card.model for card in node.cards}
        model = models.pop() if len(models) == 1 else None
        if model and whole_cards(node) and node.sharing is None and node.ready is not False and not node.cordoned:
            most = found.setdefault(node.cluster, {})
            most[model] = max(most.get(model, 0), node.gpus)
    return found


@cache
def _offered(provider: str) -> Mapping[str, int]:
    """Return the models of a provider's catalogue, with the most that one instance has."""
    found: dict[str, int] = {}
    for offer in prices.catalogue():
        if offer.provider == provider:
            found[offer.gpu_key] = max(found.get(offer.gpu_key, 0), offer.gpu_count)
    return found


def _can_replace(
    snapshot: Snapshot, owner: str, held: GpuModel, model: GpuModel, *, smaller_than: float, devices: int
) -> bool:
    ours, theirs = gpus.generation(held), gpus.generation(model)
    if ours is None or theirs is None or not held.memory_bw_gbps or not model.memory_bw_gbps:
        return False
    if model.memory_bw_gbps > smaller_than * held.memory_bw_gbps or model.memory_mib > held.memory_mib:
        return False
    if devices > 1 and (model.nvlink_gbps_total or 0.0) < (held.nvlink_gbps_total or 0.0):
        return False
    bf16 = tuple(int(part) for part in gpus.formats().bf16_from.split("."))
    return theirs >= (ours if _low_precision(snapshot, owner) else min(ours, bf16))


def _low_precision(snapshot: Snapshot, owner: str) -> bool:
    """Whether flags, variables or the model's name betray a number format of the newest generations."""
    workload = snapshot.workload_by_id.get(owner)
    words = [workload.model or ""] if workload else []
    for pod in snapshot.pods_by_workload.get(owner, ()):
        for container in pod.containers:
            words += [*container.args, *container.env.values()]
    text = " ".join(words).casefold()
    return any(re.search(pattern, text) for pattern in gpus.formats().low_precision)


def _fit(held: GpuModel, model: GpuModel, memory: MemoryNeed, compute: ComputeNeed, *, in_fleet: bool) -> Fit | None:
    """Return what the need would fill of the model; None when that cannot be told.

    SM activity scales with the number of SMs and with the rate of the tensor cores: the worse of the two counts.
    """
    busy, moved = compute.compute, compute.bandwidth
    if busy is None or moved is None or memory.mib is None or not held.memory_bw_gbps or not model.memory_bw_gbps:
        return None
    if not held.sm or not model.sm or not held.bf16_tflops or not model.bf16_tflops:
        return None
    return Fit(
        model=model,
        in_fleet=in_fleet,
        memory=memory.mib / memory.devices / model.memory_mib,
        compute=busy * max(held.sm / model.sm, held.bf16_tflops / model.bf16_tflops),
        bandwidth=moved * held.memory_bw_gbps / model.memory_bw_gbps,
    )
