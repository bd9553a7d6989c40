"""How much GPU memory one replica of a workload needs: an upper estimate, or why there is none.

Memory in use is an upper bound of the need, and a good one where memory is taken as it is needed. Engines and
frameworks that reserve memory in advance use all they reserved, needed or not: their need is told by the part of the KV
cache that was ever used.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Container, Pod
from gpuaudit.demand.memory import once
from gpuaudit.demand.need.kv_need import NoNeed, kv_need, reserving_engine
from gpuaudit.demand.need.memory_seen import ReplicaMemory, hours_seen, replicas
from gpuaudit.demand.need.told import flag_values, serving_containers, single
from gpuaudit.demand.usage.judgement import looks_idle
from gpuaudit.demand.usage.units import failing_keys
from gpuaudit.knowledge import models

NeedKind = Literal["measured", "modelled", "unknown"]


@dataclass(frozen=True, kw_only=True)
class MemoryNeed:
    """What one replica (pod) needs over all its devices together, at most. `mib` None = unknown.

    measured: the most that was ever in use, by a workload that takes memory as it needs it.
    modelled: the same less the part of the KV cache that was never used, from the model's geometry.
    `peaks` daily peaks support it: the next day's exceeds them with probability 1 / (peaks + 1) at most, if days are
    alike (`exceeded`).
    """

    mib: float | None
    devices: int
    kind: NeedKind
    because: str
    peaks: int = 0

    @property
    def exceeded(self) -> float | None:
        """Largest probability that the next day's peak is above the need; None where the need is unknown."""
        return 1 / (self.peaks + 1) if self.mib is not None else None


@once
def memory_needs(snapshot: Snapshot) -> Mapping[str, MemoryNeed]:
    """Return the need of every workload that holds or held a GPU, by workload id."""
    seen = replicas(snapshot)
    holding = {pod.workload for pod in snapshot.pods if pod.holds and pod.workload}
    return {owner: _need(snapshot, owner, seen.get(owner, ())) for owner in sorted(holding | seen.keys())}


def _need(snapshot: Snapshot, owner: str, seen: Sequence[ReplicaMemory]) -> MemoryNeed:
    pods = tuple(pod for pod in snapshot.pods_by_workload.get(owner, ()) if pod.holdings)
    devices = max((replica.devices for replica in seen), default=0) or _devices(pods)
    why_not = _not_measured(snapshot, owner, seen, pods)
    if why_not:
        return _unknown(devices, why_not)
    used = max(replica.max_mib for replica in seen if replica.max_mib is not None)
    peaks = hours_seen(snapshot).get(owner, 0) // 24
    engine = reserving_engine(snapshot, owner)
    if engine is not None:
        found = kv_need(snapshot, owner, engine, used_mib=used, devices=devices)
        if isinstance(found, NoNeed):
            return _unknown(devices, found.because)
        peaks = min(peaks, found.peaks)
        because = f"{found.because}; {_guarantee(peaks)}"
        return MemoryNeed(mib=found.mib, devices=devices, kind="modelled", because=because, peaks=peaks)
    if reason := next(_reserves(seen, pods), None):
        return _unknown(devices, reason)
    limit = _limit_mib(pods)
    shared = any(tenure.shared for replica in seen for tenure in replica.tenures)
    if limit is not None and limit < used:
        because = f"the sharing lets it have {gib(limit)}"
        return MemoryNeed(mib=limit, devices=devices, kind="measured", because=because, peaks=peaks)
    others = ", those of others on the shared device among it" if shared else ""
    because = f"the most in use at any time{others}: {gib(used)}; {_guarantee(peaks)}"
    return MemoryNeed(mib=used, devices=devices, kind="measured", because=because, peaks=peaks)


def gib(mib: float) -> str:
    """Return MiB in words: `71.6 GiB`."""
    return f"{mib / 1024:.1f} GiB"


def _guarantee(peaks: int) -> str:
    days = "1 daily peak" if peaks == 1 else f"{peaks} daily peaks"
    return f"{days}: the next one is higher with a probability of {1 / (peaks + 1):.1%} at most, if days are alike"


def _unknown(devices: int, because: str) -> MemoryNeed:
    return MemoryNeed(mib=None, devices=devices, kind="unknown", because=because)


def _not_measured(snapshot: Snapshot, owner: str, seen: Sequence[ReplicaMemory], pods: Sequence[Pod]) -> str:
    """Return why memory in use is not known well enough to bound anything; "" where it is."""
    if not seen:
        return "its memory in use was not measured"
    working = [tenure for replica in seen for tenure in replica.tenures if not looks_idle(tenure)]
    if not working or (pods and all(pod.key in failing_keys(snapshot) for pod in pods)):
        return "it did no work while it was watched, so what it held then says nothing of its need"
    blind = sum(replica.max_mib is None for replica in seen)
    if blind:
        return f"the memory in use was not measured for {blind} of {len(seen)} pods"
    named = {replica.pod for replica in seen}
    missing = [pod for pod in pods if pod.holds and pod.name not in named and _is_old(snapshot, pod)]
    if missing:
        return f"the memory in use was not measured for {len(missing)} of {len(pods)} pods"
    hours = hours_seen(snapshot).get(owner, 0)
    if hours < 24:
        return (
            f"its memory in use was watched for {hours} h only, not for a day" if hours else "one moment is no history"
        )
    return ""


def _is_old(snapshot: Snapshot, pod: Pod) -> bool:
    since = pod.scheduled or pod.started or pod.created
    return since is None or (snapshot.window.end - since).total_seconds() > 3600


def _devices(pods: Sequence[Pod]) -> int:
    return max((round(sum(holding.count for holding in pod.holdings)) for pod in pods), default=0)


def _limit_mib(pods: Sequence[Pod]) -> float | None:
    """Return the memory that sharing lets each pod have, at most; None where it sets no limit."""
    limits = [holding.memory_mib for pod in pods if pod.holds for holding in pod.holdings]
    return None if not limits or None in limits else max(limit for limit in limits if limit is not None)


def _reserves(seen: Sequence[ReplicaMemory], pods: Sequence[Pod]) -> Iterator[str]:
    """Yield why memory in use looks reserved in advance: constant, and about a share that a framework takes."""
    known = models.models()
    containers = serving_containers(pods)
    for replica in seen:
        constant = replica.spread is not None and replica.spread < known.memory.constant_below
        if not constant or replica.share is None:
            continue
        for name, share in _shares(containers):
            if known.memory.reserved_below <= replica.share - share <= known.memory.reserved_above:
                yield (
                    f"its memory in use never moves from {replica.share:.0%} of the device, as if it were reserved in "
                    f"advance ({name} reserves {share:.0%})"
                )


def _shares(containers: Sequence[Container]) -> Iterator[tuple[str, float]]:
    known = models.models()
    for framework in known.framework:
        off = [value for name, value in framework.off.items() if value in flag_values(containers, (), (name,))]
        if off:
            return  # told to take memory as it is needed
    for framework in known.framework:
        told = flag_values(containers, (), framework.env)
        yield framework.name, single(told, framework.share) or framework.share
    for engine in known.preallocator:
        yield engine.system, engine.share
