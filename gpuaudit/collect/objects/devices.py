"""Cards by name: what DRA's resource slices and HAMi's node annotation say of a node's devices."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpuaudit.collect.kubernetes_types.nodes import Device, DeviceBody, DeviceCapacity, ResourceSlice
from gpuaudit.collect.objects.quantities import quantity
from gpuaudit.knowledge.objects import objects

MIB = 1024.0 * 1024.0


@dataclass(frozen=True, kw_only=True)
class NamedDevice:
    """A card or MIG device that a source names; `key` is driver/pool/device for DRA."""

    node: str
    key: str
    uuid: str | None
    kind: str = "gpu"  # gpu, mig; anything else is no GPU
    index: int | None = None
    product: str | None = None
    memory_mib: float | None = None
    profile: str | None = None
    parent: str | None = None  # UUID of the card of a MIG device
    healthy: bool | None = None
    replicas: int | None = None  # HAMi: virtual devices per card


def sliced_devices(slices: Iterable[ResourceSlice]) -> tuple[NamedDevice, ...]:
    """Return the GPUs and MIG devices of all slices; of a pool only the newest generation, each device once."""
    ours = [item for item in slices if item.spec.driver in objects().dra.drivers]
    newest: dict[tuple[str, str], int] = {}
    for item in ours:
        pool = (item.spec.driver, item.spec.pool.name)
        newest[pool] = max(newest.get(pool, 0), item.spec.pool.generation)
    found: dict[str, NamedDevice] = {}
    for item in ours:
        if item.spec.pool.generation == newest[(item.spec.driver, item.spec.pool.name)]:
            for device in item.spec.devices or ():
                named = _sliced(device, item)
                found[named.key] = named
    return tuple(found[key] for key in sorted(found))


def registered_devices(node: str, text: str) -> tuple[NamedDevice, ...]:
    """Return the cards of HAMi's node annotation: a JSON array (newer), or `id,count,devmem,…` ended by colons."""
    try:
        rows = json.loads(text) if text.lstrip().startswith("[") else [_legacy_row(part) for part in text.split(":")]
    except (ValueError, RecursionError):
        return ()
    found = [_registered(node, position, row) for position, row in enumerate(rows) if isinstance(row, dict)]
    return tuple({device.key: device for device in found if device}.values())


def by_node(devices: Iterable[NamedDevice]) -> Mapping[str, tuple[NamedDevice, ...]]:
    """Return devices by the node that has them."""
    groups: dict[str, list[NamedDevice]] = {}
    for device in devices:
        groups.setdefault(device.node, []).append(device)
    return {name: tuple(items) for name, items in groups.items()}


def device_key(driver: str, pool: str, device: str) -> str:
    """Return how DRA names a device."""
    return f"{driver}/{pool}/{device}"


def _sliced(device: Device, item: ResourceSlice) -> NamedDevice:
    body: DeviceBody = device.basic or device
    texts = {name.rpartition("/")[2]: attribute for name, attribute in (body.attributes or {}).items()}

    def text(name: str) -> str | None:
        return texts[name].string if name in texts else None

    memory = (body.capacity or {}).get("memory")
    size = quantity((memory.value or "") if isinstance(memory, DeviceCapacity) else (memory or ""))
    return NamedDevice(
        node=item.spec.node_name or "",
        key=device_key(item.spec.driver, item.spec.pool.name, device.name),
        uuid=text("uuid"),
        kind=text("type") or "gpu",
        index=texts["index"].number if "index" in texts else _trailing_number(device.name),
        product=text("productName"),
        memory_mib=None if size is None else size / MIB,
        profile=text("profile"),
        parent=text("parentUUID"),
    )


def _legacy_row(text: str) -> dict[str, object] | None:
    parts = text.split(",")
    if len(parts) < 5:
        return None
    row: dict[str, object] = {"id": parts[0], "count": int(parts[1]), "devmem": float(parts[2]), "type": parts[4]}
    return row | ({"health": parts[6] == "true"} if len(parts) > 6 else {})


def _registered(node: str, position: int, row: Mapping[str, object]) -> NamedDevice | None:
    uuid, count, devmem, health = row.get("id"), row.get("count"), row.get("devmem"), row.get("health")
    if not isinstance(uuid, str) or not uuid:
        return None
    index = row.get("index", position)
    memory = quantity(devmem) if isinstance(devmem, int | float) else None
    return NamedDevice(
        node=node,
        key=uuid,
        uuid=uuid,
        index=index if isinstance(index, int) else position,
        product=str(row["type"]).removeprefix("NVIDIA-") if row.get("type") else None,
        memory_mib=memory if memory and memory > 0 else None,
        healthy=health if isinstance(health, bool) else None,
        replicas=count if isinstance(count, int) and count > 0 else None,
    )


def _trailing_number(name: str) -> int | None:
    digits = name[len(name.rstrip("0123456789")) :]
    return int(digits) if 0 < len(digits) < 5 else None
