"""Work on whole GPUs that parts of them, cut by MIG, would hold."""

from collections.abc import Mapping
from dataclasses import dataclass

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.memory import once
from gpuaudit.demand.mig.fit import Cut, cut, fitting
from gpuaudit.demand.mig.nodes import held, offered
from gpuaudit.demand.need.small_work import Pool, pools_of_whole_cards
from gpuaudit.demand.usage.measured import COMPUTE_HEADROOM, Gates, Measured
from gpuaudit.knowledge import gpus, mig
from gpuaudit.knowledge.mig import MigGpu, MigProfile

GATES = Gates(hours=168.0, settled_hours=72.0)


@dataclass(frozen=True)
class Candidates:
    """The work of a pool that fits a part of its GPUs, and how many GPUs all of it needs together."""

    pool: Pool
    gpu: MigGpu
    fits: Mapping[str, tuple[Measured, MigProfile]]  # by workload
    cut: Cut
    free: Mapping[str, float]  # MIG devices of those profiles that nobody holds now

    @property
    def held(self) -> int:
        """Whole GPUs that they hold."""
        return sum(len(need.pods) for need, _ in self.fits.values())

    def sure(self, owner: str) -> bool:
        """Whether the work surely fits: its memory was seen long enough, and it answers nobody."""
        need, row = self.fits[owner]
        return not need.serving and need.sure(row.memory_mib or 0.0)


def opportunities(
    snapshot: Snapshot, gates: Gates, *, headroom: float, at_least_gpus: float
) -> Mapping[str, Candidates]:
    """Return the candidates by workload, where they save so many GPUs together or free MIG devices would take them.

    Of a workload that runs in several pools the one with most of its pods counts.
    """
    found: dict[str, Candidates] = {}
    for pool in pools_of_whole_cards(snapshot, gates):
        candidates = _candidates(snapshot, pool, headroom)
        if candidates is not None and (candidates.free or candidates.held - candidates.cut.gpus >= at_least_gpus):
            for owner in candidates.fits:
                if owner not in found or len(found[owner].fits[owner][0].pods) < len(candidates.fits[owner][0].pods):
                    found[owner] = candidates
    return found


@once
def usual_opportunities(snapshot: Snapshot) -> Mapping[str, Candidates]:
    """Return them as the rule mig-opportunity sees them by default."""
    return opportunities(snapshot, GATES, headroom=COMPUTE_HEADROOM, at_least_gpus=1.0)


def _candidates(snapshot: Snapshot, pool: Pool, headroom: float) -> Candidates | None:
    model = gpus.by_key(pool.key[2])
    gpu = mig.for_model(model) if model else None
    if gpu is None:
        return None
    fits = {}
    for need in pool.needs:
        row = fitting(gpu, need, headroom=headroom)
        if row is None:
            pool.left_out[need.owner] = f"only the whole GPU has room for it: {told_need(need)}"
        else:
            fits[need.owner] = (need, row)
    wanted: dict[str, int] = {}
    for need, row in fits.values():
        wanted[row.name] = wanted.get(row.name, 0) + len(need.pods)
    return Candidates(pool, gpu, fits, cut(gpu, wanted), _free(snapshot, pool, wanted)) if fits else None


def _free(snapshot: Snapshot, pool: Pool, wanted: Mapping[str, int]) -> Mapping[str, float]:
    """Devices of these profiles that nobody holds now, on nodes of the same model in service."""
    found: dict[str, float] = {}
    for node in snapshot.gpu_nodes:
        same = node.cluster == pool.key[0] and {card.model for card in node.cards} == {pool.key[2]}
        if same and node.ready is not False and not node.cordoned:
            taken = held(snapshot, node)
            for name, count in offered(node).items():
                if name in wanted and count > taken.get(name, 0.0):
                    found[name] = found.get(name, 0.0) + count - taken.get(name, 0.0)
    return found


def told_need(need: Measured) -> str:
    """Return in words what a pod needs."""
    return (
        f"{need.mib / 1024:.1f} GiB, {need.compute:.0%} of the SMs and {need.bandwidth:.0%} of the bandwidth"
        f"{f', at its peak {need.peak:.0%}' if need.serving and need.peak is not None else ''}"
    )
