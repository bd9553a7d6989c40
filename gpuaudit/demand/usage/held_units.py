"""How many devices each workload held, hour by hour, in the units in which quotas count them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.usage import NOBODY, UNKNOWN_OWNER
from gpuaudit.demand.memory import once
from gpuaudit.demand.usage.hours import device_row, hour_number
from gpuaudit.knowledge import kubernetes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Held:
    """Units that a group of owners held: 95th percentile and maximum over the `hours` that were seen.

    `partial`: somewhere in the cluster devices of the resource were held by nobody knows whom.
    """

    p95: float
    max: float
    hours: float
    partial: bool


@dataclass(frozen=True)
class HeldUnits:
    """One row per (cluster, owner, resource, node); `counts` by the hours in which the cluster was seen."""

    keys: tuple[tuple[str, str, str, str], ...]
    counts: "Floats"
    seen: "dict[str, npt.NDArray[np.bool_]]"  # cluster → hours
    shared: frozenset[tuple[str, str, str, str]]  # keys with a shared device, of which a unit is only a part

    def of(
        self, cluster: str, resource: str, belongs: Callable[[str], bool], *, nodes: Collection[str] = ()
    ) -> Held | None:
        """Return what the owners that belong held together; None when nobody can tell.

        Devices whose holder is not known count where they are on one of `nodes`: they may be theirs.
        """
        import numpy as np

        hours = self.seen.get(cluster)
        if hours is None or not hours.any():
            return None
        known = [(i, key) for i, key in enumerate(self.keys) if key[0] == cluster and key[2] == resource]
        rows = [i for i, key in known if (key[3] in nodes if key[1] == UNKNOWN_OWNER else belongs(key[1]))]
        if any(self.keys[i] in self.shared for i in rows):
            return None
        total = self.counts[rows].sum(axis=0)[hours]
        p95 = float(np.quantile(total, 0.95, method="higher"))
        return Held(p95, float(total.max()), float(len(total)), any(key[1] == UNKNOWN_OWNER for _, key in known))


@once
def held_units(snapshot: Snapshot) -> HeldUnits:
    """Return the units by hour; a device that changes hands within an hour counts for each of its holders."""
    import numpy as np

    devices = snapshot.usage.devices
    row = device_row(snapshot)
    inside = row >= 0
    row, hour = row[inside], hour_number(snapshot.usage.hourly["hour"])[inside]
    if len(row) == 0:
        return HeldUnits((), np.zeros((0, 0)), {}, frozenset())
    first, width = int(hour.min()), int(hour.max() - hour.min()) + 1
    places = list(zip(devices["cluster"], devices["owner"], _resources(snapshot), devices["node"], strict=True))
    keys = sorted({place for place in places if place[1] != NOBODY})
    index = {key: i for i, key in enumerate(keys)}
    code = np.array([index.get(place, -1) for place in places], dtype="int64")
    counts = np.zeros((len(keys), width))
    held = code[row] >= 0
    np.add.at(counts, (code[row[held]], hour[held] - first), 1.0)
    clusters = devices["cluster"].to_numpy()
    seen = {
        cluster: np.bincount(hour[clusters[row] == cluster] - first, minlength=width) > 0
        for cluster in sorted(set(clusters))
    }
    shared = frozenset(place for place, one in zip(places, devices["shared"], strict=True) if one)
    return HeldUnits(tuple(keys), counts, seen, shared)


def _resources(snapshot: Snapshot) -> list[str]:
    """Return the resource of each device: of a MIG device its profile's, or that of a whole GPU (strategy single)."""
    names = kubernetes.resources()
    devices = snapshot.usage.devices
    found = []
    for cluster, node, profile in zip(devices["cluster"], devices["node"], devices["profile"], strict=True):
        machine = snapshot.node_by_key.get((cluster, node))
        single = machine is not None and machine.mig_strategy == "single"
        found.append(f"{names.mig_prefix}{profile}" if profile and not single else names.gpu)
    return found
