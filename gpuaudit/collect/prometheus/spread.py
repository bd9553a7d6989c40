"""Quantiles that the server told of series → quantiles of a device's owner over the window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gpuaudit.collect.prometheus.fleet import Fleet
from gpuaudit.collect.prometheus.measure import Measure
from gpuaudit.collect.prometheus.rollups import Numbers

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
OTHERS = {"dram_p95": ("dram", "p95"), "power_p95_watts": ("power", "p95"), "memory_p99_mib": ("memory", "p99")}
_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")
Pair = tuple[int, int]  # positions of device and owner


@dataclass(frozen=True)
class Told:
    """A statistic of series over a range: `weight_ms` is the range's length, the whole window or a part of it."""

    codes: Numbers
    values: Numbers
    weight_ms: int


Window = Mapping[tuple[str, str], Sequence[Told]]  # by field and statistic


def spread(
    fleet: Fleet, chosen: Measure, told: Window, samples: Mapping[int, float], highest: Mapping[Pair, float]
) -> dict[Pair, dict[str, float]]:
    """Return the quantile columns of the device table by device and owner.

    `samples` by series code weigh a series against others of the same owner; `highest` is the activity's maximum. A
    single series over the whole window gives the server's number; several give that of their mixture, between the
    known quantiles taken as even, and for other fields the highest of them.
    """
    found: dict[Pair, dict[str, float]] = {}
    for pair, rows in _activity(fleet, chosen, told, samples).items():
        found[pair] = _mixture(rows, highest.get(pair, float("nan")))
    for column, key in OTHERS.items():
        for part in told.get(key, ()):
            for code, value in zip(part.codes.tolist(), part.values.tolist(), strict=True):
                if fleet.device_of[code] >= 0:
                    pair = (int(fleet.device_of[code]), int(fleet.owner_of[code]))
                    row = found.setdefault(pair, {})
                    row[column] = max(value, row.get(column, value))
    return found


_Known = tuple[float, dict[str, float]]  # weight, and quantiles by name


def _activity(fleet: Fleet, chosen: Measure, told: Window, samples: Mapping[int, float]) -> dict[Pair, list[_Known]]:
    """Return weight and quantiles of each series and range, by device and owner."""
    parts: dict[tuple[int, int], dict[str, float]] = {}
    for (field, statistic), rows in told.items():
        for number, part in enumerate(rows):
            if statistic in QUANTILES and field in chosen.fields:
                _learn(parts, fleet, chosen, part, (field, statistic, number))
    weights = {number: row.weight_ms for rows in told.values() for number, row in enumerate(rows)}
    found: dict[Pair, list[_Known]] = {}
    for (code, number), quantiles in parts.items():
        pair = (int(fleet.device_of[code]), int(fleet.owner_of[code]))
        found.setdefault(pair, []).append((samples.get(code, 0.0) * weights[number], quantiles))
    return found


def _learn(
    parts: dict[tuple[int, int], dict[str, float]],
    fleet: Fleet,
    chosen: Measure,
    part: Told,
    what: tuple[str, str, int],
) -> None:
    field, statistic, number = what
    devices = fleet.device_of[part.codes]
    mine = (devices >= 0) & (chosen.field_of[devices] == chosen.fields.index(field))
    for code, value in zip(part.codes[mine].tolist(), part.values[mine].tolist(), strict=True):
        parts.setdefault((code, number), {})[statistic] = value


def _mixture(rows: Sequence[_Known], highest: float) -> dict[str, float]:
    known = [(weight, quantiles) for weight, quantiles in rows if len(quantiles) == len(QUANTILES) and weight > 0]
    if len(known) <= 1:
        quantiles = known[0][1] if known else {}
        return {f"util_{name}": quantiles.get(name, float("nan")) for name in QUANTILES}
    levels = np.array([0.0, *QUANTILES.values(), 1.0])
    curves = [
        (weight, np.maximum.accumulate([0.0, *(quantiles[name] for name in QUANTILES), max(highest, quantiles["p99"])]))
        for weight, quantiles in known
    ]
    points = np.unique(np.concatenate([curve for _, curve in curves]))
    total = sum(weight for weight, _ in curves)
    reached = [sum(weight * _level(points, curve, levels, side) for weight, curve in curves) / total for side in _SIDES]
    below = np.stack(reached, axis=1).ravel()  # a value that many samples have is a jump
    twice = np.repeat(points, 2)
    return {f"util_{name}": float(np.interp(level, below, twice)) for name, level in QUANTILES.items()}


def _level(points: Numbers, curve: Numbers, levels: Numbers, side: Literal["left", "right"]) -> Numbers:
    """Return which part of a curve lies below each point, or (side right) below and at it."""
    place = np.searchsorted(curve, points, side=side)
    low, high = np.clip(place - 1, 0, len(curve) - 1), np.clip(place, 0, len(curve) - 1)
    width = curve[high] - curve[low]
    inside = np.divide(points - curve[low], width, out=np.zeros(len(points)), where=width > 0)
    return np.asarray(levels[low] + np.clip(inside, 0, 1) * (levels[high] - levels[low]))
