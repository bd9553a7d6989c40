"""Adds the hourly table up per row of the device table, in whole columns: 10,000 devices over 14 days in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.memory import once

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

IDLE_BELOW = 0.01  # of the device's metric; the hour's maximum


@dataclass(frozen=True)
class Spells:
    """One value per row of the device table; NaN (times: None) = not known."""

    sampled_hours: "Floats"  # samples x interval; of a shared device this owner's part
    observed_hours: "Floats"  # wall hours with a utilization sample
    held_hours: "Floats"  # wall hours from first to last sample, less what others held
    last_worked: Sequence[datetime | None]
    util_mean: "Floats"
    util_max: "Floats"
    gpu_util_mean: "Floats"
    tensor_mean: "Floats"
    dram_mean: "Floats"
    dram_max: "Floats"
    power_mean_watts: "Floats"
    power_floor_watts: "Floats"


def spells(snapshot: Snapshot) -> Spells:
    """Return the sums of the hourly table for each row of the device table."""
    import numpy as np

    devices, hourly = snapshot.usage.devices, snapshot.usage.hourly
    row = device_row(snapshot)
    if (row < 0).any():
        hourly, row = hourly[row >= 0], row[row >= 0]
    count = len(devices)
    samples = hourly["samples"].to_numpy("float64")
    seconds = np.nan_to_num(devices["interval_seconds"].to_numpy("float64"))
    shared = devices["shared"].to_numpy(bool)
    hours = samples * seconds[row] / 3600
    wall = np.where(shared[row] & (seconds[row] > 0), 1.0, hours)  # a shared device's samples are divided
    util = hourly["util_mean"].to_numpy("float64")
    return Spells(
        sampled_hours=_sum(row, hours, count),
        observed_hours=_sum(row, np.where(np.isnan(util), 0.0, wall), count),
        held_hours=_held(devices, hourly, row, hours),
        last_worked=_last_worked(hourly, row, count),
        util_mean=_mean(row, util, samples, count),
        util_max=_extreme(row, hourly["util_max"], count, np.fmax, util),
        gpu_util_mean=_mean(row, hourly["gpu_util_mean"].to_numpy("float64"), samples, count),
        tensor_mean=_mean(row, hourly["tensor_mean"].to_numpy("float64"), samples, count),
        dram_mean=_mean(row, hourly["dram_mean"].to_numpy("float64"), samples, count),
        dram_max=_extreme(row, hourly["dram_max"], count, np.fmax),
        power_mean_watts=_mean(row, hourly["power_mean_watts"].to_numpy("float64"), samples, count),
        power_floor_watts=_floor(devices, hourly, row),
    )


@once
def device_row(snapshot: Snapshot) -> "Ints":
    """Return the index of the device row of each hourly row, -1 for none. Both tables are sorted by the same key."""
    import numpy as np

    devices, hourly = snapshot.usage.devices, snapshot.usage.hourly
    if len(hourly) == 0:
        return np.empty(0, dtype="int64")
    keys = ["cluster", "device", "owner"]
    changed = np.zeros(len(hourly), dtype=bool)
    for key in keys:
        codes = hourly[key].factorize()[0]
        changed[1:] |= codes[1:] != codes[:-1]
    changed[0] = True
    groups = hourly.loc[changed, keys].reset_index(drop=True)
    index = devices[keys].assign(row=np.arange(len(devices)))
    found = groups.merge(index, on=keys, how="left")["row"].fillna(-1).to_numpy("int64")
    result: Ints = found[np.cumsum(changed) - 1]
    return result


def _sum(row: "Ints", values: "Floats", count: int) -> "Floats":
    import numpy as np

    total: Floats = np.bincount(row, weights=values, minlength=count).astype("float64")
    return total


def _mean(row: "Ints", values: "Floats", samples: "Floats", count: int) -> "Floats":
    import numpy as np

    seen = ~np.isnan(values)
    weight = np.where(seen, samples, 0.0)
    total = _sum(row, weight, count)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = _sum(row, np.where(seen, values, 0.0) * weight, count) / total
    return mean


def _extreme(row: "Ints", column: Any, count: int, ufunc: Any, fallback: "Floats | None" = None) -> "Floats":
    """Maximum per row, NaN skipped; where an hour has no maximum, its mean stands in."""
    import numpy as np

    values = column.to_numpy("float64")
    if fallback is not None:
        values = np.where(np.isnan(values), fallback, values)
    result = np.full(count, np.nan)
    ufunc.at(result, row, values)
    return result


def _floor(devices: "pd.DataFrame", hourly: "pd.DataFrame", row: "Ints") -> "Floats":
    """Lowest hourly mean power of the device, whoever held it."""
    import numpy as np

    device = device_codes(devices)
    lowest = np.full(int(device.max(initial=-1)) + 1, np.nan)
    np.fmin.at(lowest, device[row], hourly["power_mean_watts"].to_numpy("float64"))
    floor: Floats = lowest[device]
    return floor


def device_codes(devices: "pd.DataFrame") -> "Ints":
    """Return a number for each device, the same in every row that speaks of it."""
    codes: Ints = devices.groupby(["cluster", "device"], sort=False).ngroup().to_numpy().astype("int64")
    return codes


def _held(devices: "pd.DataFrame", hourly: "pd.DataFrame", row: "Ints", hours: "Floats") -> "Floats":
    """Hours from first to last sample, less the hours that others held the same device in between.

    A gap in the samples stays in: the owner may well have held the device, unobserved.
    """
    import numpy as np

    first, last = hour_number(devices["first"]), hour_number(devices["last"])
    interval = np.nan_to_num(devices["interval_seconds"].to_numpy("float64")) / 3600
    span = np.nan_to_num(_spans(devices)) + interval
    device = device_codes(devices)
    width = int(max(last.max(initial=0), hour_number(hourly["hour"]).max(initial=0))) + 2
    key = device[row] * width + hour_number(hourly["hour"])
    order = np.argsort(key, kind="stable")
    reached = np.concatenate([[0.0], np.cumsum(hours[order])])
    low = np.searchsorted(key[order], device * width + first, side="left")
    high = np.searchsorted(key[order], device * width + last, side="right")
    own = _sum(row, hours, len(devices))
    others = np.where(devices["shared"].to_numpy(bool), 0.0, reached[high] - reached[low] - own)
    held: Floats = np.maximum(span - np.maximum(others, 0.0), np.minimum(own, span))
    return held


def hour_number(column: Any) -> "Ints":
    """Return whole hours since 1970; 0 for no time."""
    import numpy as np

    hours: Ints = np.maximum(column.to_numpy("datetime64[ms]").astype("int64") // 3_600_000, 0)
    return hours


def _spans(devices: "pd.DataFrame") -> "Floats":
    length: Floats = (devices["last"] - devices["first"]).dt.total_seconds().to_numpy("float64") / 3600
    return length


def _last_worked(hourly: "pd.DataFrame", row: "Ints", count: int) -> list[datetime | None]:
    import numpy as np

    worked = hourly["util_max"].to_numpy("float64") >= IDLE_BELOW
    newest = np.full(count, -1, dtype="int64")
    np.maximum.at(newest, row[worked], np.flatnonzero(worked))
    hours = hour_number(hourly["hour"])
    return [datetime.fromtimestamp(int(hours[i]) * 3600, UTC) if i >= 0 else None for i in newest]
