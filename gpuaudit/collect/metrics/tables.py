"""Timelines of one device → its rows of the usage tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuaudit.collect.metrics.identity import UNKNOWN_HOLDER, Holder
from gpuaudit.collect.metrics.timeline import (
    HOUR_MS,
    Numbers,
    Timeline,
    Track,
    attributed,
    interval,
    spacing,
    timeline,
    weights,
)
from gpuaudit.knowledge import metrics

REACH_MS = 300_000  # how far a pod label of another metric may be: Prometheus itself looks back five minutes
LADDER_COVERAGE = 0.5  # a better measure of activity counts when it has half the samples of the most frequent one
OTHER_FIELDS = ("power", "memory", "dram", "tensor")

OwnerOf = Callable[[Holder], str]


@dataclass(frozen=True)
class DeviceSamples:
    """All fields of one device, and which of them measures its activity ("" = none does)."""

    fields: Mapping[str, Timeline]
    metric: str
    counting: str  # field whose points are the device's samples
    interval_ms: float  # what one of its samples stands for, NaN = a single point


def device_samples(tracks: Mapping[str, Sequence[Track]], *, mig: bool, usual_ms: float) -> DeviceSamples | None:
    """Merge the raw series of a device; None when nothing was measured. `usual_ms` is its cluster's spacing.

    DEV_GPU_UTIL says nothing of a MIG device. Power without its gauge is the rise of the energy counter.
    """
    fields = {
        name: timeline(found, usual_ms=usual_ms) for name, found in tracks.items() if not (mig and name == "gpu_util")
    }
    if "energy" in fields:
        power = _power(fields.pop("energy"))
        fields.setdefault("power", power)
    fields = {name: points for name, points in fields.items() if len(points)}
    metric = _activity(fields)
    counting = metric or max((n for n in OTHER_FIELDS if n in fields), key=lambda n: len(fields[n]), default="")
    if not counting:
        return None
    fields = _attribute(fields)
    return DeviceSamples(fields, metric, counting, interval(fields[counting].moments, usual_ms=usual_ms))


def _activity(fields: Mapping[str, Timeline]) -> str:
    """Return the best measure of the ladder that was not just tried for a while."""
    counts = {row.field: len(fields[row.field].starts) for row in metrics.LADDER if row.field in fields}
    most = max(counts.values(), default=0)
    return next((name for name, count in counts.items() if count >= LADDER_COVERAGE * most), "")


def _power(energy: Timeline) -> Timeline:
    """Return watts between two readings of a counter in joules; a reset or a long pause is a gap."""
    moments, readings = energy.moments, energy.values[energy.starts].astype(np.float64)
    seconds, joules = np.diff(moments) / 1000.0, np.diff(readings)
    usual = spacing(moments)
    good = (joules >= 0) & (seconds * 1000 <= 2 * usual) if len(seconds) else np.empty(0, bool)
    watts = dict(zip(moments[1:][good].tolist(), (joules[good] / seconds[good]).tolist(), strict=True))
    kept = np.isin(energy.times, list(watts))
    points = energy.take(kept)
    return Timeline(points.times, np.array([watts[t] for t in points.times.tolist()]), points.holders, points.pods)


def _attribute(fields: Mapping[str, Timeline]) -> dict[str, Timeline]:
    """Let metrics without pod labels take them from the metric of the device that has most."""
    pods = {n: np.count_nonzero(_known(points)) for n, points in fields.items() if UNKNOWN_HOLDER not in points.pods}
    if not pods or len(pods) == len(fields):
        return dict(fields)
    by = fields[max(pods, key=lambda n: pods[n])]
    reach = max(REACH_MS, interval(by.moments) if len(by) > 1 else 0.0)
    return {n: attributed(p, by, reach) if UNKNOWN_HOLDER in p.pods else p for n, p in fields.items()}


def _known(points: Timeline) -> Numbers:
    return np.array([pod != UNKNOWN_HOLDER for pod in points.pods])[points.holders]


@dataclass(frozen=True)
class _Owned:
    """Points of a field by owner: `part` of a sample each, one point per owner and time."""

    times: Numbers
    values: Numbers
    owners: Numbers
    part: Numbers
    shared: Numbers


def _owned(points: Timeline, owner_codes: Numbers) -> _Owned:
    part, shared = weights(points)
    owners = owner_codes[points.holders]
    if len(set(owner_codes.tolist())) == len(owner_codes):
        return _Owned(points.times, points.values, owners, part, shared)
    order = np.lexsort((owners, points.times))
    times, owners = points.times[order], owners[order]
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(times) != 0) | (np.diff(owners) != 0)]))
    summed = np.add.reduceat(part[order], starts)
    return _Owned(times[starts], points.values[order][starts], owners[starts], summed, shared[order][starts])


def device_rows(device: DeviceSamples, owner_of: OwnerOf) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return columns of the hourly rows, and the rows of the device table without the device's own facts."""
    owners = sorted({owner_of(pod) for points in device.fields.values() for pod in points.pods})
    codes = {owner: code for code, owner in enumerate(owners)}
    owned = {
        name: _owned(points, np.array([codes[owner_of(pod)] for pod in points.pods]))
        for name, points in device.fields.items()
    }
    hourly = _hourly(device, owned, owners)
    samples = dict.fromkeys(owners, 0.0)
    for owner, part in zip(hourly["owner"], hourly["samples"].tolist(), strict=True):
        samples[owner] += part
    return hourly, _windowed(device, owned, samples, owner_of)


def _hourly(device: DeviceSamples, owned: Mapping[str, _Owned], owners: Sequence[str]) -> dict[str, Any]:
    base = owned[device.counting]
    stride = len(owners)
    keys = np.sort(base.times // HOUR_MS * stride + base.owners)
    keys = keys[np.diff(keys, prepend=keys[0] - 1) > 0]
    rows = _Rows(keys, stride)
    measured = owned.get(device.metric)
    return {
        "owner": [owners[code] for code in (keys % stride).tolist()],
        "hour": keys // stride * HOUR_MS,
        "samples": _fitting(np.bincount(rows.of(base)[0], base.part, len(keys)), keys // stride, device.interval_ms),
        "util_mean": rows.mean(measured),
        "util_max": rows.highest(measured),
        "gpu_util_mean": rows.mean(owned.get("gpu_util")),
        "tensor_mean": rows.mean(owned.get("tensor")),
        "dram_mean": rows.mean(owned.get("dram")),
        "dram_max": rows.highest(owned.get("dram")),
        "power_mean_watts": rows.mean(owned.get("power")),
        "power_max_watts": rows.highest(owned.get("power")),
        "memory_max_mib": rows.highest(owned.get("memory")),
    }


def _fitting(samples: Numbers, hours: Numbers, interval_ms: float) -> Numbers:
    """Return the samples of each row, scaled down in hours that have more than fit: spacings may vary."""
    if np.isnan(interval_ms):
        return samples
    first = np.flatnonzero(np.diff(hours, prepend=hours[0] - 1))
    total = np.repeat(np.add.reduceat(samples, first), np.diff(first, append=len(hours)))
    return samples * np.minimum(1.0, (HOUR_MS / interval_ms + 1) / total)


class _Rows:
    """Aggregates points of a field into rows of (hour, owner)."""

    def __init__(self, keys: Numbers, stride: int) -> None:
        self._keys = keys
        self._stride = stride

    def of(self, points: _Owned) -> tuple[Numbers, Numbers]:
        """Return the row of each point that has one, and which points those are."""
        keys = points.times // HOUR_MS * self._stride + points.owners
        row = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        inside = self._keys[row] == keys
        return row[inside], inside

    def mean(self, points: _Owned | None) -> Numbers:
        """Return the mean by row, each point weighing its part of a sample."""
        if points is None:
            return np.full(len(self._keys), np.nan)
        row, inside = self.of(points)
        weight = np.bincount(row, points.part[inside], len(self._keys))
        total = np.bincount(row, points.part[inside] * points.values[inside], len(self._keys))
        return np.asarray(np.divide(total, weight, out=np.full(len(weight), np.nan), where=weight > 0))

    def highest(self, points: _Owned | None) -> Numbers:
        """Return the maximum by row."""
        found = np.full(len(self._keys), np.nan)
        if points is not None:
            row, inside = self.of(points)
            np.fmax.at(found, row, points.values[inside])
        return found


def _windowed(
    device: DeviceSamples, owned: Mapping[str, _Owned], samples: Mapping[str, float], owner_of: OwnerOf
) -> list[dict[str, Any]]:
    rows = []
    for code, owner in enumerate(samples):
        own = {name: (points, points.owners == code) for name, points in owned.items()}
        base, mine = own[device.counting]
        if not mine.any():
            continue
        values = {name: points.values[chosen] for name, (points, chosen) in own.items()}
        activity, memory = values.get(device.metric), values.get("memory")
        newest = _newest(device.fields[device.counting], owner, owner_of)
        rows.append(
            {
                "owner": owner,
                "namespace": newest.namespace,
                "pod": newest.pod if newest != UNKNOWN_HOLDER else "",
                "metric": device.metric,
                "first": base.times[mine][0],
                "last": base.times[mine][-1],
                "samples": samples[owner],
                "util_p50": _percentile(activity, 50),
                "util_p95": _percentile(activity, 95),
                "util_p99": _percentile(activity, 99),
                "util_max": _percentile(activity, 100),
                "dram_p95": _percentile(values.get("dram"), 95),
                "power_p95_watts": _percentile(values.get("power"), 95),
                "memory_p99_mib": _percentile(memory, 99),
                "memory_max_mib": _percentile(memory, 100),
                "shared": bool(base.shared[mine].any()),
            }
        )
    return rows


def _percentile(values: Numbers | None, percent: float) -> float:
    """Return the percentile between the two nearest values, as Prometheus' quantile_over_time does."""
    return float(np.percentile(values, percent)) if values is not None and len(values) else float("nan")


def _newest(points: Timeline, owner: str, owner_of: OwnerOf) -> Holder:
    """Return the pod of the owner that was seen last; of several at once, the first by name."""
    mine = [code for code, pod in enumerate(points.pods) if owner_of(pod) == owner]
    last = {code: points.times[points.holders == code].max(initial=-1) for code in mine}
    return points.pods[max(mine, key=lambda code: (last[code], -code))]
