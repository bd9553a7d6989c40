"""Who held which device, for how long, and what the device did meanwhile: one tenure per (cluster, device, owner)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from gpuaudit.cluster.nodes import Card
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.usage import NOBODY, UNKNOWN_OWNER
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.memory import once
from gpuaudit.demand.usage.hours import Spells, spells
from gpuaudit.knowledge import gpus

if TYPE_CHECKING:
    import numpy as np

DRAM_CEILING = 0.8  # share of the peak bandwidth that real kernels reach: DRAM activity over it counts as 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Tenure:
    """What one owner did with one device. Ratios 0-1; None = not known; hours of the window only.

    `gpu_hours` are observed hours times the device's share of a GPU; 0 for a single point in time.
    """

    cluster: str
    device: str
    owner: str
    node: str
    card: str
    profile: str
    namespace: str
    pod: str
    metric: str
    source: str
    model: str | None
    gpus: float
    shared: bool
    engine: str | None  # serving engine of the owner
    current: bool  # the owner held the device when the window ended
    first: datetime | None
    last: datetime | None
    last_worked: datetime | None  # newest hour that was not idle
    gpu_hours: float
    held_hours: float
    observed_hours: float  # with a utilization sample
    util_mean: float | None
    util_max: float | None
    util_p50: float | None
    util_p95: float | None
    gpu_util_mean: float | None
    tensor_mean: float | None
    dram_mean: float | None
    dram_max: float | None
    dram_p95: float | None
    power_mean_watts: float | None
    power_p95_watts: float | None
    power_floor_watts: float | None  # lowest hourly mean of the device, whoever held it
    power_limit_watts: float | None
    memory_p99_mib: float | None
    memory_max_mib: float | None
    memory_mib: float | None  # of the whole card
    kv_max: float | None = None  # largest use of the KV cache of any of the owner's pods, 0-1

    @property
    def held(self) -> bool:
        """Whether a known workload held it."""
        return self.owner not in (NOBODY, UNKNOWN_OWNER)

    @property
    def observed_ratio(self) -> float:
        """Share of the held hours with a utilization sample."""
        return min(1.0, self.observed_hours / self.held_hours) if self.held_hours > 0 else 0.0

    @property
    def share(self) -> float:
        """GPUs that the owner held on average: of a device that several share at one time, its part."""
        if not self.shared or not self.observed_hours:
            return self.gpus
        return min(self.gpus, self.gpu_hours / self.observed_hours)

    @property
    def active_mean(self) -> float | None:
        """Mean of what bounds the device: its metric, or DRAM activity over its ceiling, whichever is more."""
        return _bound(self.util_mean, self.dram_mean)

    @property
    def active_p95(self) -> float | None:
        """95th percentile of the same."""
        return _bound(self.util_p95, self.dram_p95)

    @property
    def memory_share(self) -> float | None:
        """Largest share of the card's memory in use; None for MIG devices and unknown cards."""
        if self.profile or self.memory_max_mib is None or not self.memory_mib:
            return None
        return min(1.0, self.memory_max_mib / self.memory_mib)


@once
def tenures(snapshot: Snapshot) -> tuple[Tenure, ...]:
    """Return the tenures of the snapshot, sorted by cluster, device and owner; () when nothing was measured."""
    table = snapshot.usage.devices
    if len(table) == 0:
        return ()
    columns = {name: _times(table[name]) if name in ("first", "last") else table[name].to_list() for name in table}
    reader = _Reader(snapshot, columns, spells(snapshot), {pod.key: pod for pod in snapshot.pods})
    return tuple(reader.tenure(i) for i in range(len(table)))


@dataclass(frozen=True)
class _Reader:
    """The tables in columns, and the records that they name."""

    snapshot: Snapshot
    columns: dict[Any, list[Any]]
    spells: Spells
    pods: dict[tuple[str, str, str], Pod]

    def tenure(self, i: int) -> Tenure:
        text: dict[str, Any] = {name: self.columns[name][i] for name in _TEXT}
        first, last = self.columns["first"][i], self.columns["last"][i]
        gpus_share = _known(self.columns["gpus"][i]) or 0.0
        holder = self.holder(text)
        observed = float(self.spells.observed_hours[i])
        held = float(self.spells.held_hours[i]) + self._unseen_hours(holder, first, last)
        workload = self.snapshot.workload_by_id.get(text["owner"])
        measured: dict[str, Any] = {name: _known(getattr(self.spells, name)[i]) for name in _SPELL_VALUES}
        measured |= {name: _known(self.columns[name][i]) for name in _DEVICE_VALUES}
        return Tenure(
            **text,
            **measured,
            **self._card_facts(text),
            gpus=gpus_share,
            shared=bool(self.columns["shared"][i]),
            engine=workload.engine if workload else None,
            kv_max=self._kv_max(text["owner"]),
            current=self._current(text, holder, last, self.columns["interval_seconds"][i]),
            first=first,
            last=last,
            last_worked=self.spells.last_worked[i],
            gpu_hours=float(self.spells.sampled_hours[i]) * gpus_share,
            held_hours=max(observed, held),
            observed_hours=observed,
        )

    def holder(self, text: Mapping[str, str]) -> Pod | None:
        """Return the newest pod of the owner on the device, if it still holds it."""
        pod = self.pods.get((text["cluster"], text["namespace"], text["pod"]))
        return pod if pod is not None and pod.holds and pod.node in (text["node"], None) else None

    def _current(self, text: Mapping[str, str], holder: Pod | None, last: datetime | None, interval: float) -> bool:
        """Whether the owner still held the device at the end: its pod says so, or a recent sample that none denies."""
        if holder is not None:
            return True
        patience = timedelta(seconds=max(3600.0, 3 * (_known(interval) or 0.0)))
        recent = last is not None and self.snapshot.window.end - last <= patience
        if "pods" not in self.snapshot.facts or text["owner"] in (NOBODY, UNKNOWN_OWNER):
            return recent
        pods = self.snapshot.pods_by_workload.get(text["owner"], ())
        return recent and any(pod.holds and pod.node == text["node"] for pod in pods)

    def _unseen_hours(self, holder: Pod | None, first: datetime | None, last: datetime | None) -> float:
        """Hours of the window in which the pod held the device before its first and after its last sample."""
        if holder is None or first is None or last is None:
            return 0.0
        since = max(holder.scheduled or holder.started or first, self.snapshot.window.start)
        return max(0.0, _hours(first - since)) + max(0.0, _hours(self.snapshot.window.end - last) - 1.0)

    def _kv_max(self, owner: str) -> float | None:
        told = self.snapshot.served_by_workload.get(owner, ()) if owner else ()
        return max((row.kv_peak for row in told if row.kv_peak is not None), default=None)

    def _card_facts(self, text: Mapping[str, str]) -> dict[str, Any]:
        card = card_of(self.snapshot, text["cluster"], text["node"], text["card"])
        model = gpus.by_key(card.model) if card and card.model else None
        return {
            "model": card.model if card else None,
            "power_limit_watts": (card.power_limit_watts if card else None) or (model.tdp_w if model else None),
            "memory_mib": (card.memory_mib if card else None) or (float(model.memory_mib) if model else None),
        }


def card_of(snapshot: Snapshot, cluster: str, node: str, name: str) -> Card | None:
    """Return the card that a tenure names (UUID or node/index) on that node, None when no such card is known."""
    found = snapshot.card_by_uuid.get(name)
    if found:
        return found[1]
    machine = snapshot.node_by_key.get((cluster, node))
    index = name.rpartition("/")[2]
    if machine is None or not index.isdigit():
        return None
    return next((card for card in machine.cards if card.index == int(index)), None)


_TEXT = ("cluster", "device", "owner", "node", "card", "profile", "namespace", "pod", "metric", "source")
_SPELL_VALUES = (
    "util_mean",
    "util_max",
    "gpu_util_mean",
    "tensor_mean",
    "dram_mean",
    "dram_max",
    "power_mean_watts",
    "power_floor_watts",
)
_DEVICE_VALUES = ("util_p50", "util_p95", "dram_p95", "power_p95_watts", "memory_p99_mib", "memory_max_mib")


def _bound(util: float | None, dram: float | None) -> float | None:
    if util is None:
        return None
    return max(util, min(1.0, dram / DRAM_CEILING)) if dram is not None else util


def _hours(span: timedelta) -> float:
    return span / timedelta(hours=1)


def _known(value: "float | np.floating[Any] | None") -> float | None:
    if value is None or value != value:  # noqa: PLR0124 -- NaN
        return None
    return float(value)


def _times(column: Any) -> list[datetime | None]:
    return [moment.to_pydatetime() if moment == moment else None for moment in column]  # noqa: PLR0124 -- NaT
