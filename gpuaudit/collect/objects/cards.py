"""How many cards a node really has: replicas, MIG devices and virtual GPUs undone, and how its cards are shared."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gpuaudit.cluster.nodes import Card, MigDevice, Node, Sharing, SharingStrategy
from gpuaudit.collect.objects.devices import NamedDevice
from gpuaudit.knowledge import gpus, kubernetes, mig, prices
from gpuaudit.knowledge.gpus import GpuModel
from gpuaudit.knowledge.objects import objects

_STRATEGIES: Mapping[str, SharingStrategy] = {
    "time-slicing": "time-slicing",
    "time-sharing": "time-slicing",
    "mps": "mps",
}


@dataclass(frozen=True, kw_only=True)
class Cards:
    """The cards of a node, what their number was read from, and how they are shared."""

    cards: tuple[Card, ...] = ()
    source: str | None = None
    sharing: Sharing | None = None


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What bears on the number of cards."""

    labels: Mapping[str, str]
    offered: int  # capacity under the resource of whole GPUs (renamed replicas included)
    mig: Mapping[str, int]  # profile → devices under resources of their own
    slice_profile: str | None  # every nvidia.com/gpu is a slice of this profile
    model: GpuModel | None
    catalogued: int | None  # of the instance type
    named: tuple[NamedDevice, ...]  # cards, not MIG devices
    virtual: int | None  # HAMi's devices per card


def cards_of(node: Node, named: tuple[NamedDevice, ...] = ()) -> Cards:
    """Return the cards of a node from its labels, resources, instance type and the devices that are named there."""
    seen = _look(node, named)
    count, source = _count(seen, node)
    count = min(count, objects().cards.max_per_node)
    if not count:
        return Cards()
    lost = (seen.catalogued or 0) - count if source == kubernetes.gfd().count else 0
    total = count + max(0, lost)
    sharing = _sharing(seen, total)
    return Cards(cards=_cards(seen, total, max(0, lost), named), source=source, sharing=sharing)


def slice_profile(node: Node) -> str | None:
    """Return the MIG profile that a node offers as its plain GPU resource (strategy single, GKE partitions)."""
    facts = objects().cards
    match = re.search(facts.mig_product, node.labels.get(kubernetes.gfd().product, ""))
    return match[1] if match else (node.labels.get(facts.gke_partition) or None)


def _look(node: Node, named: tuple[NamedDevice, ...]) -> _Seen:
    offer = prices.find(node.provider, node.instance_type) if node.instance_type else None
    registered = [device.replicas for device in named if device.replicas]
    amounts = {item.name: item.capacity or 0 for item in node.resources}
    profiles = {name: mig.parse_resource(name) for name in amounts}
    devices: dict[str, int] = {}
    for name, profile in profiles.items():
        if profile and amounts[name]:
            devices[profile] = devices.get(profile, 0) + amounts[name] // _mig_replicas(node.labels, name)
    keys = kubernetes.resources()
    return _Seen(
        labels=node.labels,
        offered=amounts.get(keys.gpu, 0) + amounts.get(keys.gpu_shared, 0),
        mig=devices,
        slice_profile=slice_profile(node),
        model=_model(node, named, offer.gpu_key if offer else None),
        catalogued=offer.gpu_count if offer else None,
        named=_whole_cards(named),
        virtual=max(registered, default=None),
    )


def _count(seen: _Seen, node: Node) -> tuple[int, str | None]:
    """Return the number of cards and what said it: names, labels, the instance type, at last the resources."""
    if seen.named:
        label = _label_count(seen)
        if label and label[0] > len(seen.named):
            return label
        return len(seen.named), "HAMi" if seen.virtual else "ResourceSlice"
    if found := _label_count(seen):
        return found
    if not seen.offered and not seen.mig:
        return 0, None
    if seen.catalogued:
        return seen.catalogued, f"instance type {node.instance_type}"
    return _from_resources(seen), "resources"


def _label_count(seen: _Seen) -> tuple[int, str] | None:
    """Return what a label says; GFD's own counts slices under strategy single. Devices beyond it make it stale."""
    gfd = kubernetes.gfd()
    for key in kubernetes.labels().gpu_count:
        if key == gfd.count and seen.slice_profile:
            continue
        value = seen.labels.get(key, "")
        if value.isdecimal() and len(value) < 4 and int(value) > 0:
            whole = seen.offered // _replicas(seen) if key == gfd.count and not seen.virtual and not seen.mig else 0
            return max(int(value), whole), key
    return None


def _from_resources(seen: _Seen) -> int:
    """Return the fewest cards that can offer these resources."""
    grid = mig.for_model(seen.model) if seen.model else None
    whole = -(-seen.offered // _replicas(seen))
    if seen.slice_profile:
        row = mig.profile(grid, seen.slice_profile) if grid else None
        whole = -(-whole // (row.max_instances if row else 1))
    slots = (
        sum(count * (row.size if (row := mig.profile(grid, name)) else 1) for name, count in seen.mig.items())
        if grid
        else 0
    )
    return whole + (-(-slots // grid.memory_slots) if grid else min(1, len(seen.mig)))


def _replicas(seen: _Seen) -> int:
    """Return the replicas per device that labels tell: 1 when not shared."""
    value = seen.labels.get(kubernetes.gfd().replicas) or seen.labels.get(objects().cards.gke_clients) or "1"
    return int(value) if value.isdecimal() and 0 < len(value) < 5 and int(value) > 0 else 1


def _mig_replicas(labels: Mapping[str, str], resource: str) -> int:
    value = labels.get(f"{resource.removesuffix(kubernetes.resources().shared_suffix)}.replicas", "1")
    return int(value) if value.isdecimal() and 0 < len(value) < 5 and int(value) > 0 else 1


def _sharing(seen: _Seen, cards: int) -> Sharing | None:
    keys = kubernetes.resources()
    if seen.virtual:
        return Sharing(strategy="hami", replicas=seen.virtual, resource=keys.gpu)
    told = seen.labels.get(kubernetes.gfd().sharing_strategy) or seen.labels.get(objects().cards.gke_sharing) or ""
    if told in _STRATEGIES:
        return Sharing(strategy=_STRATEGIES[told], replicas=_replicas(seen), resource=keys.gpu)
    if seen.slice_profile or seen.offered <= cards:
        return None
    return Sharing(strategy="time-slicing", replicas=seen.offered // cards, resource=keys.gpu)


def _model(node: Node, named: tuple[NamedDevice, ...], offered: str | None) -> GpuModel | None:
    """Return the model that names, labels or the instance type tell, in this order."""
    gfd = kubernetes.gfd()
    memory = None if slice_profile(node) else _number(node.labels.get(gfd.memory_mib))
    product = node.labels.get(gfd.product)
    if product and (model := gpus.identify(product, memory_mib=memory)):
        return model
    for device in named:
        if device.product and (model := gpus.identify(device.product, memory_mib=device.memory_mib)):
            return model
    catalogue = gpus.by_key(offered) if offered else None
    for key in kubernetes.labels().accelerator:
        if (value := node.labels.get(key)) and (model := gpus.identify_label(key, value, memory_mib=memory)):
            return model
    return catalogue


def _whole_cards(named: tuple[NamedDevice, ...]) -> tuple[NamedDevice, ...]:
    """Return the cards among named devices, parents of MIG devices included, each UUID once."""
    cards = {device.uuid or device.key: device for device in named if device.kind == "gpu"}
    for device in named:
        if device.kind == "mig" and device.parent and device.parent not in cards:
            cards[device.parent] = NamedDevice(node=device.node, key=device.parent, uuid=device.parent)
    return tuple(sorted(cards.values(), key=lambda d: (d.index is None, d.index or 0, d.key)))


def _cards(seen: _Seen, total: int, lost: int, named: tuple[NamedDevice, ...]) -> tuple[Card, ...]:
    layout = _layout(seen, total - lost)
    whole = total - lost - len(layout)
    shared = _common(seen)
    cards = []
    for index in range(total):
        device = seen.named[index] if index < len(seen.named) else None
        own = tuple(
            MigDevice(profile=part.profile or "", uuid=part.uuid)
            for part in named
            if part.kind == "mig" and device and part.parent == device.uuid
        )
        spread = layout[index - whole] if layout and whole <= index < total - lost else ()
        cards.append(_card(shared, index, device, own or spread, lost=index >= total - lost))
    return tuple(cards)


class _Common(NamedTuple):
    """What is true of each card of a node that no device says otherwise of."""

    model: str | None
    name: str | None
    memory_mib: float | None
    mig_enabled: bool | None


def _common(seen: _Seen) -> _Common:
    gfd = kubernetes.gfd()
    product = re.sub(objects().cards.mig_product, "", seen.labels.get(gfd.product, ""))
    memory = None if seen.slice_profile else _number(seen.labels.get(gfd.memory_mib))
    return _Common(
        model=seen.model.key if seen.model else None,
        name=product.removesuffix(gfd.shared_product_suffix) or None,
        memory_mib=memory or (seen.model.memory_mib if seen.model else None),
        mig_enabled=_mig_enabled(seen),
    )


def _card(shared: _Common, index: int, device: NamedDevice | None, parts: tuple[MigDevice, ...], *, lost: bool) -> Card:
    sick = lost or (device is not None and device.healthy is False)
    return Card(
        index=index,
        uuid=device.uuid if device else None,
        model=shared.model,
        name=(device.product if device else None) or shared.name,
        memory_mib=(device.memory_mib if device else None) or shared.memory_mib,
        state="lost" if sick else "unknown",
        mig_enabled=True if parts else shared.mig_enabled,
        mig=parts,
    )


def _mig_enabled(seen: _Seen) -> bool | None:
    if seen.slice_profile or (seen.mig and not seen.offered):
        return True
    return None if seen.mig else False


def _layout(seen: _Seen, cards: int) -> tuple[tuple[MigDevice, ...], ...]:
    """Return the MIG devices of each MIG card when they divide evenly among them; () when that is not known."""
    devices = dict(seen.mig)
    if seen.slice_profile:
        devices = {mig.canonical(seen.slice_profile) or seen.slice_profile: seen.offered // _replicas(seen)}
    enabled = cards - (0 if seen.slice_profile else seen.offered // _replicas(seen))
    if not devices or enabled <= 0 or any(count % enabled for count in devices.values()):
        return ()
    if sum(devices.values()) // enabled > max(grid.compute_slices for grid in mig.all_geometries()):
        return ()  # no card has so many
    one = tuple(MigDevice(profile=name) for name in sorted(devices) for _ in range(devices[name] // enabled))
    return (one,) * enabled


def _number(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() and len(text) < 9 else None
