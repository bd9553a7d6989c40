"""mig-parted's configuration file: its named layouts, and what each makes of the GPUs of a node."""

from collections.abc import Iterator, Mapping
from typing import Any

from gpuaudit.knowledge import mig
from gpuaudit.knowledge.mig import MigGpu
from gpuaudit.knowledge.reading import Entry

MAX_NAMES = 500


class Part(Entry, frozen=True):
    """What a layout makes of some GPUs: `devices` None = all, else by index; `mig_devices` per GPU, by profile."""

    device_filter: tuple[str, ...]  # PCI ids; empty = any GPU
    devices: tuple[int, ...] | None
    mig_enabled: bool
    mig_devices: dict[str, int]


Configs = Mapping[str, tuple[Part, ...]]


def parse(text: str) -> Configs | None:
    """Return the layouts of a file by name; None for a text that is no such file, or not a whole one."""
    tree = _tree(text)
    named = tree.get("mig-configs") if isinstance(tree, dict) else None
    if not isinstance(named, dict):
        return None
    found = {}
    for name, rows in list(named.items())[:MAX_NAMES]:
        parts = [_part(row) for row in rows] if isinstance(rows, list) else [None]
        if not all(parts):
            return None  # mig-parted refuses the whole file for one such entry
        found[str(name)] = tuple(part for part in parts if part is not None)
    return found


def devices_of(parts: tuple[Part, ...], gpu: MigGpu, cards: int) -> Mapping[str, int] | None:
    """Return the MIG devices that a layout makes on a node with so many cards of this GPU, by canonical profile.

    None when a card is not covered: it stays as it is, whatever that is.
    """
    total: dict[str, int] = {}
    for index in range(cards):
        part = next((one for one in parts if _covers(one, gpu, index)), None)
        if part is None:
            return None
        for name, count in (part.mig_devices if part.mig_enabled else {}).items():
            profile = mig.canonical(name) or name
            total[profile] = total.get(profile, 0) + count
    return total


def strange_profiles(parts: tuple[Part, ...], gpu: MigGpu) -> tuple[str, ...]:
    """Return the profiles of a layout that this GPU does not have, or not so many times: mig-manager fails on them."""
    return tuple(
        f"{count} x {name}"
        for part in parts
        if not part.device_filter or set(part.device_filter) & set(gpu.pci_device_ids)
        for name, count in part.mig_devices.items()
        if (row := mig.profile(gpu, name)) is None or count > row.max_instances
    )


def _covers(part: Part, gpu: MigGpu, index: int) -> bool:
    wanted = not part.device_filter or bool(set(part.device_filter) & set(gpu.pci_device_ids))
    return wanted and (part.devices is None or index in part.devices)


def _tree(text: str) -> Any:
    """Load the text; aliases, which make a huge tree of a small text, are refused."""
    import yaml

    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.CSafeLoader)):
            return None
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _part(row: object) -> Part | None:
    if not isinstance(row, dict) or not isinstance(row.get("mig-enabled"), bool):
        return None
    devices, wanted = row.get("devices"), row.get("mig-devices") or {}
    chosen = tuple(_numbers(devices)) if isinstance(devices, list) else None
    if not isinstance(wanted, dict) or (chosen is None and devices != "all"):
        return None
    filters = row.get("device-filter") or []
    return Part(
        device_filter=tuple(map(str, filters if isinstance(filters, list) else [filters])),
        devices=chosen,
        mig_enabled=row["mig-enabled"],
        mig_devices=dict(_counts(wanted)),
    )


def _counts(wanted: Mapping[object, object]) -> Iterator[tuple[str, int]]:
    return ((str(name), count) for name, count in wanted.items() if isinstance(count, int) and 0 < count < 100)


def _numbers(values: list[object]) -> Iterator[int]:
    return (value for value in values if isinstance(value, int))
