"""What nodes offer of MIG devices, who holds them, and which GPUs may be cut at all."""

import re
from collections import defaultdict
from collections.abc import Mapping

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Holding, Pod
from gpuaudit.knowledge import gpus, kubernetes, mig, pods
from gpuaudit.knowledge.mig import MigGpu, MigProfile
from gpuaudit.knowledge.objects import objects

Devices = Mapping[str, int]  # MIG devices by canonical profile


def grid_of(node: Node) -> MigGpu | None:
    """Return the MIG grid of the node's cards; None when they cannot be cut, differ, or are not known."""
    models = {card.model for card in node.cards}
    model = gpus.by_key(key) if len(models) == 1 and (key := next(iter(models))) else None
    return mig.for_model(model) if model else None


def offered(node: Node) -> Devices:
    """Return the MIG devices that the scheduler may give out, replicas undone; strategy single and partitions too."""
    return _devices(node, "allocatable")


def installed(node: Node) -> Devices:
    """Return the MIG devices that the device plugin found, healthy or not."""
    return _devices(node, "capacity")


def held(snapshot: Snapshot, node: Node) -> Mapping[str, float]:
    """Return the MIG devices that pods hold, by profile; of a shared device its part."""
    found: dict[str, float] = defaultdict(float)
    for pod in snapshot.holders(node):
        for holding in pod.holdings:
            if holding.kind in ("mig", "dra") and holding.profile:
                found[_canonical(holding.profile)] += holding.count / replicas(node, holding.resource)
    return dict(found)


def row_of(node: Node, profile: str) -> MigProfile | None:
    """Return the row of a profile on the node's GPU; on an unknown GPU, the one that all grids with it agree on."""
    grid = grid_of(node)
    return mig.profile(grid, profile) if grid else None


def slices(node: Node, profile: str) -> float | None:
    """Return the part of a card that a profile is, in compute slices; None when it is not known."""
    grid = grid_of(node)
    row = mig.profile(grid, profile) if grid else None
    return row.g / grid.compute_slices if grid and row else None


def replicas(node: Node, resource: str) -> int:
    """Return into how many replicas the plugin shares each device of a MIG resource; 1 = not shared."""
    name = resource.removesuffix(kubernetes.resources().shared_suffix)
    label = f"{name}.replicas" if mig.parse_resource(resource) else kubernetes.gfd().replicas
    told = node.labels.get(label, "1")
    return int(told) if told.isdecimal() and int(told[:4]) > 0 else 1


def single_profile(node: Node) -> str | None:
    """Return the profile that the node offers as its plain GPU resource (strategy single, GKE's partitions)."""
    facts = objects().cards
    match = re.search(facts.mig_product, node.labels.get(kubernetes.gfd().product, ""))
    told = match[1] if match else node.labels.get(facts.gke_partition)
    return _canonical(told) if told else None


def barred(node: Node) -> str | None:
    """Return why the GPUs of the node cannot be cut, or cut otherwise, from here; None = nothing is seen to bar it."""
    marks = kubernetes.virtual_gpus()
    if node.labels.get(marks.guest) == "true":
        return "a virtual GPU: only its host can cut the card"
    if node.labels.get(marks.confidential, "") in marks.confidential_on:
        return "confidential computing is on"
    if node.labels.get(pods.pods().gpu_workload_label, "") not in pods.pods().gpu_workload_containers:
        return "its cards pass through to virtual machines"
    return None


def by_profile(holding: Holding) -> str | None:
    """Return the canonical profile that a holding is of, None when it is no MIG device."""
    return _canonical(holding.profile) if holding.profile else None


def devices_asked(pod: Pod) -> float:
    """Return how many MIG devices the pod holds or asks for."""
    return sum(holding.count for holding in pod.holdings if holding.kind == "mig" or holding.profile)


def told(devices: Mapping[str, float]) -> str:
    """Return `8 x 2g.10gb, 16 x 1g.5gb`, the largest profile first."""
    rows = sorted(devices.items(), key=lambda row: (-_size(row[0]), row[0]))
    return ", ".join(f"{count:g} x {name}" for name, count in rows if count)


def _devices(node: Node, which: str) -> Devices:
    found: dict[str, int] = {}
    single = single_profile(node)
    keys = kubernetes.resources()
    for resource in node.resources:
        profile = mig.parse_resource(resource.name)
        if profile is None and single and resource.name in (keys.gpu, keys.gpu_shared):
            profile = single
        count = getattr(resource, which)
        if profile and count:
            found[profile] = found.get(profile, 0) + count // replicas(node, resource.name)
    return found


def _canonical(profile: str) -> str:
    return mig.canonical(profile) or profile


def _size(profile: str) -> int:
    digits = re.match(r"(?:\dc\.)?(\d+)g", profile)
    return int(digits[1]) if digits else 0
