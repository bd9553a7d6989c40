"""What one device of a resource is in physical cards: a card, a MIG device, a replica of either."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.workloads import HoldingKind
from gpuaudit.collect.objects.cards import slice_profile
from gpuaudit.collect.objects.claims import is_gpu_class
from gpuaudit.knowledge import gpus, kubernetes, mig
from gpuaudit.knowledge.mig import MigGpu
from gpuaudit.knowledge.objects import objects

Unit = tuple[HoldingKind, float | None, str | None]  # how a device is held: kind, physical cards, MIG profile


class Offer(NamedTuple):
    """A node that offers a resource, how much, and how one device of it is held there."""

    labels: Mapping[str, str]
    capacity: float
    unit: Unit


@lru_cache(maxsize=1024)
def is_gpu_resource(name: str) -> bool:
    """Whether an extended resource is a GPU, a replica, a MIG device or a class of them; HAMi's memory is not."""
    keys = kubernetes.resources()
    return name in (keys.gpu, keys.gpu_shared) or name.startswith(keys.mig_prefix) or _is_implicit(name)


def unit_share(node: Node | None, resource: str) -> Unit:
    """Return how one device of a resource is held: kind, physical cards, MIG profile."""
    keys = kubernetes.resources()
    replicas = _replicas(node, resource)
    profile = mig.parse_resource(resource)
    if profile:
        share = compute_share(profile, _grid(node))
        return "mig", None if share is None or replicas is None else share / replicas, profile
    single = slice_profile(node) if node else None
    if single and resource == keys.gpu:
        share = compute_share(single, _grid(node))
        return "mig", None if share is None or replicas is None else share / replicas, mig.canonical(single) or single
    if node and node.sharing and node.sharing.strategy in ("time-slicing", "mps"):
        kind: HoldingKind = "mps" if node.sharing.strategy == "mps" else "shared"
        return kind, None if replicas is None else 1.0 / replicas, None
    if node and node.sharing and node.sharing.strategy == "hami":
        return "hami", 1.0, None  # who asks for no part of a card gets a whole one
    return ("shared", None, None) if resource == keys.gpu_shared else ("whole", 1.0, None)


def offers(nodes: Iterable[Node]) -> dict[str, tuple[Offer, ...]]:
    """Return who offers each GPU resource."""
    found: dict[str, list[Offer]] = {}
    for node in nodes:
        for row in node.resources:
            if row.capacity and is_gpu_resource(row.name):
                found.setdefault(row.name, []).append(Offer(node.labels, row.capacity, unit_share(node, row.name)))
    return {name: tuple(rows) for name, rows in found.items()}


def common_share(
    resource: str,
    places: Iterable[Offer],
    *,
    each: float = 0.0,
    several: bool = False,
    selector: Mapping[str, str] | None = None,
) -> Unit:
    """Return how a device is held wherever a pod may go that is on no node yet; of unknown size where places differ.

    It may go where `each` devices are offered and its selector matches. Who asks for several wants cards where there
    are any: several replicas of a shared card give no more of it than one (NVIDIA's device plugin, time-slicing).
    Where nobody offers any, they are whole.
    """
    rows = tuple(places)
    found = {row.unit for row in rows}
    if len(found) > 1:
        wanted = (selector or {}).items()
        found = {row.unit for row in rows if row.capacity >= each and wanted <= row.labels.items()} or found
    whole = unit_share(None, resource)
    if several and whole in found:
        return whole
    if len(found) == 1:
        return found.pop()
    kind, share, profile = whole
    sizes = {(unit[1], unit[2]) for unit in found}  # whole cards, of HAMi's nodes or others
    if len(sizes) == 1:
        share, profile = sizes.pop()
        return kind, share, profile
    return kind, None if found else share, profile


def compute_share(profile: str, grid: MigGpu | None) -> float | None:
    """Return the part of a card that a MIG profile is, in compute slices; None when models differ or none has it."""
    grids = (grid,) if grid else mig.all_geometries()
    found = {row.g / one.compute_slices for one in grids if (row := mig.profile(one, profile))}
    return found.pop() if len(found) == 1 else None


def _is_implicit(name: str) -> bool:
    """Whether pods ask for a device class of GPUs by a resource of its name."""
    prefix = objects().dra.implicit_prefix
    return name.startswith(prefix) and is_gpu_class(name.removeprefix(prefix))


def _replicas(node: Node | None, resource: str) -> int | None:
    """Return into how many a device of the resource is shared on the node: 1 if not."""
    if node is None:
        return None if resource.endswith(kubernetes.resources().shared_suffix) else 1
    name = resource.removesuffix(kubernetes.resources().shared_suffix)
    if mig.parse_resource(resource):
        told = node.labels.get(f"{name}.replicas", "1")
        return int(told) if told.isdecimal() and len(told) < 5 and int(told) > 0 else None
    return node.sharing.replicas if node.sharing and node.sharing.strategy != "hami" else 1


def _grid(node: Node | None) -> MigGpu | None:
    model = next((card.model for card in node.cards if card.model), None) if node else None
    known = gpus.by_key(model) if model else None
    return mig.for_model(known) if known else None
