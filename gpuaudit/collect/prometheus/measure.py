"""What measures each device of a server's answers, and what one of its samples stands for."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gpuaudit.collect.prometheus.fleet import Fleet
from gpuaudit.collect.prometheus.rollups import Numbers, Points, joined, lengths_of, starts_of
from gpuaudit.knowledge import metrics, series

FULL = 0.98  # of the most samples an hour had: hours that a device was sampled throughout
ENOUGH_HOURS = 3
BLOCK_DEVICES = 2000
FITS = 0.05  # of an interval: an hour holds whole samples only
LADDER_COVERAGE = 0.5  # as for files: a better measure counts when it has half the samples of the most frequent one


@dataclass(frozen=True)
class Measure:
    """For each device: the field that counts its samples (position in `fields`, -1 = none), what one stands for."""

    fields: tuple[str, ...]
    field_of: Numbers
    interval_ms: Numbers

    def activity(self, device: int) -> str:
        """Return the ladder metric of a device, "" when none measures it."""
        name = self.fields[self.field_of[device]] if self.field_of[device] >= 0 else ""
        return name if name in {row.field for row in metrics.LADDER} else ""


def measure(fleet: Fleet, counts: Mapping[str, Points]) -> Measure:
    """Choose what measures each device; `counts` by field, the best first. Intervals are not known yet."""
    fields = tuple(counts)
    totals = np.zeros((len(fields), len(fleet.devices)))
    mig = np.array([bool(device.instance) for device in fleet.devices], bool)
    for row, (name, points) in enumerate(counts.items()):
        kept = _of_devices(fleet, points)
        totals[row] = np.bincount(fleet.device_of[kept.codes], kept.values, len(fleet.devices))
        if name == "gpu_util":
            totals[row, mig] = 0.0
    ladder = np.array([name in {row.field for row in metrics.LADDER} for name in fields], bool)
    ranked = np.where(ladder[:, None], totals, 0.0)
    wanted = (ranked > 0) & (ranked >= LADDER_COVERAGE * ranked.max(axis=0, initial=0.0))
    field_of = np.where(wanted.any(axis=0), wanted.argmax(axis=0), np.where(totals.any(axis=0), totals.argmax(0), -1))
    return Measure(fields, field_of, np.full(len(fleet.devices), np.nan))


def base_counts(fleet: Fleet, chosen: Measure, counts: Mapping[str, Points]) -> Points:
    """Return the counts of the field that measures each device."""
    parts = []
    for position, name in enumerate(chosen.fields):
        points = _of_devices(fleet, counts[name])
        parts.append(points.take(chosen.field_of[fleet.device_of[points.codes]] == position))
    return joined(parts)


def _of_devices(fleet: Fleet, points: Points) -> Points:
    return points.take((fleet.device_of[points.codes] >= 0) & (points.values > 0))


def densest(fleet: Fleet, base: Points) -> dict[int, tuple[int, int]]:
    """Return for each scraper the series and the hour with most samples: where its interval can be seen."""
    found: dict[int, tuple[int, int]] = {}
    scrapers = fleet.scraper_of[base.codes]
    for scraper in sorted(set(scrapers.tolist())):
        mine = np.flatnonzero(scrapers == scraper)
        best = mine[int(np.argmax(base.values[mine]))]
        found[scraper] = (int(base.codes[best]), int(base.hours[best]))
    return found


def intervals(fleet: Fleet, base: Points, lengths: Mapping[int, int], told_ms: Mapping[int, float]) -> Numbers:
    """Return what a sample of each device stands for in ms, NaN if unknown.

    It is the spacing that was seen of its scraper (`told_ms`), if that fits its own full hours; else the length of
    these over their samples; else what is usual in its cluster.
    """
    found = np.full(len(fleet.devices), np.nan)
    shortest = np.full(len(fleet.devices), np.inf)
    of_device = fleet.device_of[base.codes]
    for begin in range(0, len(fleet.devices), BLOCK_DEVICES):
        block = base.take((of_device >= begin) & (of_device < begin + BLOCK_DEVICES))
        _of_block(fleet, block, lengths, told_ms, (found, shortest))
    return _filled(fleet, found, shortest)


def _of_block(
    fleet: Fleet,
    base: Points,
    lengths: Mapping[int, int],
    told_ms: Mapping[int, float],
    into: tuple[Numbers, Numbers],
) -> None:
    """Find the intervals of some devices, and the densest hour's of each."""
    order = np.lexsort((base.hours, fleet.device_of[base.codes]))
    hours, codes = base.hours[order], base.codes[order]
    starts = starts_of(fleet.device_of[codes], hours)
    counts = np.maximum.reduceat(base.values[order], starts) if len(starts) else base.values
    per_ms = counts / lengths_of(hours[starts], lengths)
    devices, scrapers = fleet.device_of[codes[starts]], fleet.scraper_of[codes[starts]]
    begins = starts_of(devices)
    own, told = _own(per_ms, begins), np.array([told_ms.get(one, np.nan) for one in scrapers[begins].tolist()])
    into[0][devices[begins]] = np.where(np.isnan(own) | (np.abs(own - told) <= FITS * told), told, own)
    several = np.maximum.reduceat(np.where(counts > 1, per_ms, 0.0), begins) if len(begins) else np.empty(0)
    into[1][devices[begins[several > 0]]] = 1 / several[several > 0]


def _own(per_ms: Numbers, begins: Numbers) -> Numbers:
    """Return the spacing that the full hours of each device tell; NaN when there are too few.

    `begins` is where the hours of each device begin. Devices with as many hours as each other are looked at together.
    """
    lengths = np.diff(begins, append=len(per_ms))
    found = np.full(len(begins), np.nan)
    for length in np.unique(lengths).tolist():
        alike = np.flatnonzero(lengths == length)
        hours = per_ms[begins[alike][:, None] + np.arange(length)]
        full = hours >= FULL * np.percentile(hours, 95, axis=1, keepdims=True)
        ordered = np.sort(np.where(full, hours, np.inf), axis=1)
        many = full.sum(axis=1)
        row = np.arange(len(alike))
        middle = (ordered[row, (many - 1) // 2] + ordered[row, many // 2]) / 2
        found[alike] = np.where(many >= ENOUGH_HOURS, 1 / middle, np.nan)
    return found


def _filled(fleet: Fleet, found: Numbers, shortest: Numbers) -> Numbers:
    """Give devices that were seen too short the interval that is usual in their cluster, else its densest hour's."""
    clusters = np.array([device.cluster for device in fleet.devices])
    for cluster in sorted(set(clusters.tolist())):
        own = clusters == cluster
        known = found[own & ~np.isnan(found)]
        usual = float(np.median(known)) if len(known) else float(shortest[own].min())
        found[own & np.isnan(found)] = usual if np.isfinite(usual) else np.nan
    return np.minimum(found, series.facts().max_interval_seconds * 1000)
