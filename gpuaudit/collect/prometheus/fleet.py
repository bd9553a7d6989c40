"""Label sets → devices and owners as numbers: what the arrays of an answer are grouped by."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from gpuaudit.collect.metrics.identity import Device, Holders, Places, is_device
from gpuaudit.collect.metrics.owners import Owners
from gpuaudit.collect.metrics.store import Series
from gpuaudit.collect.prometheus.rollups import Numbers
from gpuaudit.knowledge import series


@dataclass(frozen=True)
class Fleet:
    """For each label set (by code): its device, holder (pod), owner and scraper as positions; -1 = names no device.

    `pods` are (namespace, pod) of holders; `card_of` is by device, the position of the card that it is part of.
    """

    devices: tuple[Device, ...]
    owners: tuple[str, ...]
    pods: tuple[tuple[str, str], ...]
    device_of: Numbers
    holder_of: Numbers
    owner_of: Numbers
    scraper_of: Numbers
    card_of: Numbers
    label_sets: Sequence[Series]
    placed: tuple[tuple[Series, Device], ...]
    unplaced: int  # label sets of devices that name none


def fleet(
    label_sets: Sequence[Series], places: Places, holders: Holders, owners: Owners, *, only: Collection[str] = ()
) -> Fleet:
    """Return the fleet that the label sets, by code, are about; with `only`, no devices of other clusters."""
    told = [places.device(one) for one in label_sets]
    placed = [device if device and (not only or device.cluster in only) else None for device in told]
    devices = {(device.cluster, device.id): device for device in placed if device is not None}
    device_of = _Numbers()
    for key in sorted(devices):
        device_of(key)
    holder_of, owner_of, scraper_of, card_of = _Numbers(), _Numbers(), _Numbers(), _Numbers()
    columns = np.full((3, len(placed)), -1, np.int32)
    for code, (one, device) in enumerate(zip(label_sets, placed, strict=True)):
        if device is not None:
            holder = holders.holder(one)
            owner = owners.of(device.cluster, holder, device.node)
            columns[:, code] = (
                device_of((device.cluster, device.id)),
                holder_of((device.cluster, *holder)),
                owner_of(owner),
            )
    return Fleet(
        devices=tuple(devices[key] for key in sorted(devices)),
        owners=tuple(owner_of),
        pods=tuple((namespace, pod) for _, namespace, pod in holder_of),
        device_of=columns[0],
        holder_of=columns[1],
        owner_of=columns[2],
        scraper_of=np.array([scraper_of(one.labels.get(series.facts().job, "")) for one in label_sets], np.int64),
        card_of=np.array([card_of((devices[key].cluster, devices[key].card)) for key in sorted(devices)], np.int64),
        label_sets=label_sets,
        placed=tuple((one, device) for one, device in zip(label_sets, placed, strict=True) if device is not None),
        unplaced=sum(device is None and is_device(one) for one, device in zip(label_sets, told, strict=True)),
    )


class _Numbers(dict):  # type: ignore[type-arg]
    """Numbers things in the order they come."""

    def __call__(self, thing: object) -> int:
        return int(self.setdefault(thing, len(self)))
