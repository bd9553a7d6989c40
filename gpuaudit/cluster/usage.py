"""The usage tables: what devices did, by hour and over the window.

`hourly` has one row per (cluster, device, owner, hour UTC). A GPU that changes hands within an hour is two rows;
a shared device (time-slicing, MPS) has a row per owner, its samples divided among them, so that the rows of a
device never add up to more than the device. `devices` has one row per (cluster, device, owner) for the whole
window, with percentiles over raw samples. Unknown is NaN, never 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

NOBODY = ""  # no pod held the device: the metrics say so
UNKNOWN_OWNER = "?"  # the metrics do not say which pod held the device

HOURLY_KEYS = ("cluster", "device", "owner", "hour")
HOURLY_VALUES = (
    "samples",  # scrapes seen in the hour (this owner's part of them when the device is shared)
    "util_mean",  # the device's ladder metric, 0-1
    "util_max",
    "gpu_util_mean",  # DEV_GPU_UTIL, 0-1: share of time any kernel ran
    "tensor_mean",
    "dram_mean",
    "dram_max",
    "power_mean_watts",
    "power_max_watts",
    "memory_max_mib",
)
DEVICE_KEYS = ("cluster", "device", "owner")
DEVICE_TEXT = (
    "node",
    "card",  # UUID or node/index of the physical card; equals `device` unless it is a MIG device
    "profile",  # MIG profile, else ""
    "namespace",  # of the newest pod of that owner on the device, as the metrics name it
    "pod",
    "metric",  # sm_active, gr_engine_active, gpu_util or "" (none)
    "source",  # name of the source
)
DEVICE_TIMES = ("first", "last")  # first and last sample of this owner on the device
DEVICE_VALUES = (
    "gpus",  # physical share of the device: 1, or compute slices / the model's for MIG
    "interval_seconds",  # what one sample stands for: median spacing; NaN = a single point in time
    "samples",
    "util_p50",
    "util_p95",
    "util_p99",
    "util_max",
    "dram_p95",
    "power_p95_watts",
    "memory_p99_mib",
    "memory_max_mib",
)
# Several owners at one time: values are the device's, never the pod's own; but the memory of a point in time is its
# own where the driver tells it by process.
DEVICE_FLAGS = ("shared",)


def empty_hourly() -> "pd.DataFrame":
    """Return the hourly table without rows."""
    return conform_hourly({name: [] for name in (*HOURLY_KEYS, *HOURLY_VALUES)})


def empty_devices() -> "pd.DataFrame":
    """Return the device table without rows."""
    return conform_devices(
        {name: [] for name in (*DEVICE_KEYS, *DEVICE_TEXT, *DEVICE_TIMES, *DEVICE_VALUES, *DEVICE_FLAGS)}
    )


def conform_hourly(columns: "Mapping[str, Any] | pd.DataFrame") -> "pd.DataFrame":
    """Return the columns as an hourly table: exact columns and types, sorted by key, index 0…n-1.

    Its texts are categories, each name once: a fleet's hours are millions of rows of a few thousand names. A column
    is asked for once, so that a mapping may make it when it is asked for. Raises KeyError for a missing column and
    ValueError for a key that stands twice.
    """
    import numpy as np
    import pandas as pd

    made: dict[str, Any] = {name: _as_key(columns[name]) for name in DEVICE_KEYS}
    made["hour"] = pd.DatetimeIndex(pd.to_datetime(columns["hour"], utc=True).astype("datetime64[ms, UTC]"))
    places = [made["hour"].asi8, *(made[name].codes for name in reversed(DEVICE_KEYS))]
    order = np.lexsort(places).astype(np.int32)
    same = np.ones(max(0, len(order) - 1), bool)
    for place in places:
        same &= np.diff(place[order]) == 0
    if same.any():
        raise ValueError(f"a key of ({', '.join(HOURLY_KEYS)}) stands twice")
    del places, same
    made = {name: column.take(order) for name, column in made.items()}
    for name in HOURLY_VALUES:
        made[name] = np.asarray(columns[name], np.float32)[order]
    return pd.DataFrame(made, copy=False)


def conform_devices(columns: Any) -> "pd.DataFrame":
    """Return the columns as a device table: exact columns and types, sorted by key, index 0…n-1."""
    types = dict.fromkeys(DEVICE_TEXT, "text") | dict.fromkeys(DEVICE_TIMES, "time")
    types |= dict.fromkeys(DEVICE_VALUES, "float32") | dict.fromkeys(DEVICE_FLAGS, "bool")
    return _conform(columns, DEVICE_KEYS, types)


def _conform(columns: Any, keys: tuple[str, ...], types: dict[str, Any]) -> "pd.DataFrame":
    import pandas as pd

    table = pd.DataFrame(columns)
    wanted: dict[str, Any] = dict.fromkeys(keys, "text") | types
    table = table[list(wanted)].copy()
    for name, kind in wanted.items():
        if kind == "time":
            table[name] = pd.to_datetime(table[name], utc=True).astype("datetime64[ms, UTC]")
        elif kind == "text":
            table[name] = table[name].astype("str")
        else:
            table[name] = table[name].astype(kind)
    if table.duplicated(list(keys)).any():
        raise ValueError(f"a key of ({', '.join(keys)}) stands twice")
    ordered: pd.DataFrame = table.sort_values(list(keys), kind="stable", ignore_index=True)
    return ordered


def _as_key(column: Any) -> "pd.Categorical[Any]":
    """Return texts as categories in the order of the alphabet, none that no row has."""
    import pandas as pd

    if not isinstance(getattr(column, "dtype", None), pd.CategoricalDtype):
        return pd.Categorical(pd.Series(column).astype("str"))
    kept = pd.Categorical(column).remove_unused_categories()
    return kept.set_categories(kept.categories.astype("str").sort_values())


@dataclass(frozen=True)
class Usage:
    """Both tables; empty when nothing was measured."""

    hourly: "pd.DataFrame" = field(default_factory=empty_hourly)
    devices: "pd.DataFrame" = field(default_factory=empty_devices)

    def __bool__(self) -> bool:
        """Whether anything was measured."""
        return len(self.hourly) > 0
