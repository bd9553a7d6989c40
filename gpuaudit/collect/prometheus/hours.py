"""Hourly values of series → hourly rows of devices and owners."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuaudit.cluster.usage import HOURLY_KEYS, HOURLY_VALUES
from gpuaudit.collect.memory import give_back
from gpuaudit.collect.prometheus.asking import HOUR_MS
from gpuaudit.collect.prometheus.fleet import Fleet
from gpuaudit.collect.prometheus.measure import Measure
from gpuaudit.collect.prometheus.rollups import Numbers, Points, lengths_of, starts_of
from gpuaudit.knowledge import metrics

SHARED = 1.05  # more samples than fit: pods share the device

STATISTICS = {  # column of the hourly table: field and statistic
    "gpu_util_mean": ("gpu_util", "mean"),
    "tensor_mean": ("tensor", "mean"),
    "dram_mean": ("dram", "mean"),
    "dram_max": ("dram", "max"),
    "power_mean_watts": ("power", "mean"),
    "power_max_watts": ("power", "max"),
    "memory_max_mib": ("memory", "max"),
}


@dataclass(frozen=True)
class HourlyRows:
    """Columns of the hourly table by row; `devices` and `owners` are positions in the fleet; `shared` beside."""

    devices: Numbers
    owners: Numbers
    hours: Numbers
    columns: dict[str, Numbers]
    shared: Numbers


def hourly_rows(
    fleet: Fleet,
    chosen: Measure,
    counts: Points,
    values: Mapping[tuple[str, str], Points],
    length_ms: Mapping[int, int],
) -> HourlyRows:
    """Return the rows of some hours. `counts` are the base counts of these hours, `values` by field and statistic."""
    counts = _uncut(fleet, _one_scraper(fleet, counts))
    part, shared = _parts(fleet, chosen, counts, length_ms)
    devices, owners = fleet.device_of[counts.codes], fleet.owner_of[counts.codes]
    order = np.lexsort((owners, devices, counts.hours))
    starts = starts_of(counts.hours[order], devices[order], owners[order])
    group = _Groups(order, starts, part)
    lookup = _Lookup(counts, len(fleet.device_of))
    columns = {"samples": group.total(part)}
    for name, (field, statistic) in STATISTICS.items():
        columns[name] = group.of(lookup(values.get((field, statistic))), statistic)
    for statistic in ("mean", "max"):
        of_activity = {name: values.get((name, statistic)) for name in chosen.fields}
        field_of = chosen.field_of[fleet.device_of[counts.codes]]
        columns[f"util_{statistic}"] = group.of(_activity(chosen, field_of, lookup, of_activity), statistic)
    first = order[starts]
    return HourlyRows(
        devices[first].astype(np.int32),
        owners[first].astype(np.int32),
        counts.hours[first],
        {name: values.astype(np.float32) for name, values in columns.items()},
        group.total(shared.astype(np.float64)) > 0,
    )


def _activity(chosen: Measure, field_of: Numbers, lookup: "_Lookup", values: Mapping[str, Points | None]) -> Numbers:
    """Return each count's value of the ladder metric that measures its device."""
    found = np.full(len(field_of), np.nan)
    for position, name in enumerate(chosen.fields):
        if any(row.field == name for row in metrics.LADDER):
            mine = field_of == position
            found[mine] = lookup(values[name])[mine]
    return found


class _Lookup:
    """Finds values of other answers for the series and hours of the counts, in a table with a place for each of both.

    Counts are of a piece of the window: a day at most.
    """

    def __init__(self, counts: Points, codes: int) -> None:
        self._codes = codes
        hours = counts.hours // HOUR_MS
        self._first = int(hours.min()) if len(hours) else 0
        self._hours = int(hours.max()) - self._first + 1 if len(hours) else 0
        self._places = (hours - self._first) * codes + counts.codes

    def __call__(self, points: Points | None) -> Numbers:
        """Return the value of each count's series and hour, NaN where there is none."""
        if points is None or not len(points):
            return np.full(len(self._places), np.nan)
        hours = points.hours // HOUR_MS - self._first
        inside = (hours >= 0) & (hours < self._hours)
        table = np.full(self._hours * self._codes, np.nan)
        table[hours[inside] * self._codes + points.codes[inside]] = points.values[inside]
        return np.asarray(table[self._places])


@dataclass(frozen=True)
class _Groups:
    """Rows as groups of counts: `order` sorts the counts, `starts` are where rows begin; counts weigh their part."""

    order: Numbers
    starts: Numbers
    part: Numbers

    def total(self, values: Numbers) -> Numbers:
        """Return sums by row."""
        return np.add.reduceat(values[self.order], self.starts) if len(self.starts) else np.empty(0)

    def of(self, values: Numbers, statistic: str) -> Numbers:
        """Return the weighted mean or the maximum by row, NaN where nothing is known."""
        if not len(self.starts):
            return np.empty(0)
        if statistic == "max":
            return np.asarray(np.fmax.reduceat(values[self.order], self.starts))
        known = ~np.isnan(values)
        weight = self.total(np.where(known, self.part, 0.0))
        summed = self.total(np.where(known, values, 0.0) * self.part)
        return np.asarray(np.divide(summed, weight, out=np.full(len(weight), np.nan), where=weight > 0))


def _one_scraper(fleet: Fleet, counts: Points) -> Points:
    """Keep one scraper for each device and hour, the one with most samples: others saw the same."""
    scrapers = fleet.scraper_of[counts.codes]
    if not len(counts) or (scrapers == scrapers[0]).all():
        return counts
    devices = fleet.device_of[counts.codes]
    order = np.lexsort((scrapers, devices, counts.hours))
    starts = starts_of(counts.hours[order], devices[order], scrapers[order])
    total = np.add.reduceat(counts.values[order], starts)
    by_hour = starts_of(counts.hours[order][starts], devices[order][starts])
    best = np.repeat(np.maximum.reduceat(total, by_hour), np.diff(by_hour, append=len(starts)))
    wins = total == best
    first = np.flatnonzero(wins)[starts_of(counts.hours[order][starts][wins], devices[order][starts][wins])]
    kept = np.zeros(len(starts), bool)
    kept[first] = True
    chosen = np.zeros(len(counts), bool)
    chosen[order] = np.repeat(kept, np.diff(starts, append=len(order)))
    return counts.take(chosen)


def _uncut(fleet: Fleet, counts: Points) -> Points:
    """Leave out cards in hours in which their MIG devices were sampled."""
    mig = np.array([bool(device.instance) for device in fleet.devices], bool)
    if not mig.any() or mig.all():
        return counts
    devices = fleet.device_of[counts.codes]
    keys = counts.hours // HOUR_MS * (len(fleet.card_of) + 1) + fleet.card_of[devices]
    return counts.take(mig[devices] | ~np.isin(keys, keys[mig[devices]]))


def _parts(fleet: Fleet, chosen: Measure, counts: Points, length_ms: Mapping[int, int]) -> tuple[Numbers, Numbers]:
    """Return each count's part of the device's samples, and whether pods shared the device in that hour.

    Pods that followed each other have together what fits into the hour; more than that is sharing, and then the
    device was sampled as often as the pod that was there longest.
    """
    if not len(counts):
        return np.empty(0), np.empty(0, bool)
    devices, holders = fleet.device_of[counts.codes], fleet.holder_of[counts.codes]
    values = counts.values.astype(np.float64)
    order = np.lexsort((holders, devices, counts.hours))
    by_pod = starts_of(counts.hours[order], devices[order], holders[order])
    pod_total = np.add.reduceat(values[order], by_pod)
    hours, of_device = counts.hours[order][by_pod], devices[order][by_pod]
    by_device = starts_of(hours, of_device)
    pods = np.diff(by_device, append=len(by_pod))
    total, longest = np.add.reduceat(pod_total, by_device), np.maximum.reduceat(pod_total, by_device)
    lengths = lengths_of(hours[by_device], length_ms)
    fit = lengths / chosen.interval_ms[of_device[by_device]] + 1
    fit = np.where(np.isnan(fit), np.inf, fit)
    shared = (pods > 1) & (total > SHARED * fit)
    shared |= (pods > 1) & _beside(shared, of_device[by_device], hours[by_device])
    counted = np.minimum(np.where(shared, longest, total), fit)
    factor = np.repeat(np.repeat(counted / total, pods), np.diff(by_pod, append=len(order)))
    result, is_shared = np.empty(len(counts)), np.empty(len(counts), bool)
    result[order] = values[order] * factor
    is_shared[order] = np.repeat(np.repeat(shared, pods), np.diff(by_pod, append=len(order)))
    return result, is_shared


def _beside(shared: Numbers, devices: Numbers, hours: Numbers) -> Numbers:
    """Return which device-hours lie next to a shared one: there the same pods only began or ended."""
    marked = {(device, hour) for device, hour in zip(devices[shared].tolist(), hours[shared].tolist(), strict=True)}
    if not marked:
        return np.zeros(len(shared), bool)
    near = [
        (device, hour - HOUR_MS) in marked or (device, hour + HOUR_MS) in marked
        for device, hour in zip(devices.tolist(), hours.tolist(), strict=True)
    ]
    return np.array(near, bool)


class HourlyColumns(Mapping[str, Any]):
    """Columns of the hourly table, each made of all parts when it is asked for, once: the parts are used up by it."""

    def __init__(self, fleet: Fleet, parts: Sequence[HourlyRows]) -> None:
        self._fleet = fleet
        self._parts = list(parts)

    def __getitem__(self, name: str) -> Any:
        """Return a column."""
        import pandas as pd

        if name == "hour":
            return pd.to_datetime(np.concatenate([part.hours for part in self._parts]), unit="ms", utc=True)
        if name == "owner":
            return _named([part.owners for part in self._parts], self._fleet.owners)
        if name in ("cluster", "device"):
            names = [device.cluster if name == "cluster" else device.id for device in self._fleet.devices]
            return _named([part.devices for part in self._parts], names)
        column = np.concatenate([part.columns.pop(name) for part in self._parts])
        give_back()
        return column

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(HOURLY_KEYS + HOURLY_VALUES)

    def __len__(self) -> int:
        return len(HOURLY_KEYS + HOURLY_VALUES)


def _named(codes: Sequence[Numbers], names: Sequence[str]) -> Any:
    """Return names by position as categories; positions may share a name."""
    import pandas as pd

    distinct = {name: number for number, name in enumerate(dict.fromkeys(names))}
    renumbered = np.array([distinct[name] for name in names], np.int32)
    return pd.Categorical.from_codes(renumbered[np.concatenate(codes)], pd.Index(list(distinct), dtype="str"))
