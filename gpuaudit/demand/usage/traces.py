"""A tenure hour by hour, for the judgements that a mean over the window cannot make."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.memory import once
from gpuaudit.demand.usage.hours import device_row, hour_number
from gpuaudit.demand.usage.tenures import Tenure

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

COLUMNS = (
    "util_mean",
    "util_max",
    "gpu_util_mean",
    "tensor_mean",
    "dram_mean",
    "power_mean_watts",
    "memory_max_mib",
)


@dataclass(frozen=True)
class Trace:
    """The hours of one tenure that have samples, oldest first: equally long arrays. NaN = not seen; ratios 0-1."""

    hour: "Ints"  # whole hours since 1970, UTC
    seen_hours: "Floats"  # wall time that the hour's samples stand for; 1 at most
    values: Mapping[str, "Floats"]

    def __getitem__(self, column: str) -> "Floats":
        """Return one of COLUMNS."""
        return self.values[column]

    def __len__(self) -> int:
        """Hours with samples."""
        return len(self.hour)


def trace(snapshot: Snapshot, tenure: Tenure) -> Trace:
    """Return the hours of the tenure; without any when it was a single point in time."""
    start, stop = _places(snapshot).get((tenure.cluster, tenure.device, tenure.owner), (0, 0))
    whole = _whole(snapshot)
    return Trace(
        hour=whole.hour[start:stop],
        seen_hours=whole.seen_hours[start:stop],
        values={name: column[start:stop] for name, column in whole.values.items()},
    )


@once
def _whole(snapshot: Snapshot) -> Trace:
    import numpy as np

    hourly, devices = snapshot.usage.hourly, snapshot.usage.devices
    row = device_row(snapshot)
    seconds = np.nan_to_num(devices["interval_seconds"].to_numpy("float64"))
    spacing = np.where(row >= 0, seconds[row], 0.0) if len(devices) else np.zeros(len(hourly))
    return Trace(
        hour=hour_number(hourly["hour"]),
        seen_hours=np.minimum(1.0, hourly["samples"].to_numpy("float64") * spacing / 3600),
        values={name: hourly[name].to_numpy("float64") for name in COLUMNS},
    )


@once
def _places(snapshot: Snapshot) -> Mapping[tuple[str, str, str], tuple[int, int]]:
    """First row and the one after the last of each tenure: the table is sorted by its key."""
    import numpy as np

    row, devices = device_row(snapshot), snapshot.usage.devices
    if len(row) == 0:
        return {}
    starts = np.concatenate([[0], np.flatnonzero(np.diff(row)) + 1])
    stops = np.concatenate([starts[1:], [len(row)]])
    keys = list(zip(devices["cluster"], devices["device"], devices["owner"], strict=True))
    return {keys[row[a]]: (int(a), int(b)) for a, b in zip(starts, stops, strict=True) if row[a] >= 0}
