"""Rule mig-opportunity."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.mig.fit import Cut, cut, fitting
from gpuaudit.demand.mig.nodes import held, offered, told
from gpuaudit.demand.mig.sharing import named
from gpuaudit.demand.need.compute_need import UPPER_BOUNDS
from gpuaudit.demand.need.small_work import Pool, listed_reasons, pools_of_whole_cards
from gpuaudit.demand.subjects import amount, duration
from gpuaudit.demand.usage.measured import COMPUTE_HEADROOM, Gates, Measured
from gpuaudit.demand.usage.units import devices_of, workload_subject
from gpuaudit.knowledge import gpus, mig
from gpuaudit.knowledge.mig import MigGpu, MigProfile
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


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


@rule(Severity.MEDIUM, needs={"nodes", "pods", "utilization", "pod_attribution", "history", "memory_used"})
def mig_opportunity(
    snapshot: Snapshot,
    *,
    hours: float = 168.0,
    settled_hours: float = 72.0,
    headroom: float = COMPUTE_HEADROOM,
    at_least_gpus: float = 1.0,
) -> Iterator[Finding]:
    """A workload holds whole GPUs and needs a part of each.

    What it needs was measured: memory at its highest with a margin, compute slices by SM and tensor activity in its
    busiest hour, bandwidth by memory slots; of serving the peaks must fit as well. It is said only where all such work
    of a pool together needs fewer GPUs, cut by MIG, than it holds now, or where free MIG devices would take it. Slicing
    a GPU makes nothing faster: it lets other work have the rest. Work that spreads over several GPUs, whose need is
    not known, or that is too young is left out; the evidence names it and says why.

    Try one replica on a MIG device and compare its latency and throughput, then move the rest. Nodes with the devices
    must be there before any pod moves; where a stock layout of mig-parted does, one label is all that it takes.
    """
    gates = Gates(hours=hours, settled_hours=settled_hours)
    found: dict[str, Candidates] = {}
    for pool in pools_of_whole_cards(snapshot, gates):
        candidates = _candidates(snapshot, pool, headroom)
        if candidates is not None and (candidates.free or candidates.held - candidates.cut.gpus >= at_least_gpus):
            for owner in candidates.fits:
                if owner not in found or len(found[owner].fits[owner][0].pods) < len(candidates.fits[owner][0].pods):
                    found[owner] = candidates
    for owner, candidates in sorted(found.items()):
        yield _finding(snapshot, owner, candidates)


def _candidates(snapshot: Snapshot, pool: Pool, headroom: float) -> Candidates | None:
    model = gpus.by_key(pool.key[2])
    gpu = mig.for_model(model) if model else None
    if gpu is None:
        return None
    fits = {}
    for need in pool.needs:
        row = fitting(gpu, need, headroom=headroom)
        if row is None:
            pool.left_out[need.owner] = f"only the whole GPU has room for it: {_need(need)}"
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


def _finding(snapshot: Snapshot, owner: str, candidates: Candidates) -> Finding:
    need, row = candidates.fits[owner]
    count = len(need.pods)
    subject = workload_subject(
        snapshot, owner, devices=(d for pod in need.pods for d in devices_of(snapshot, pod)), gpus=float(count)
    )
    resource = mig.resource(row)
    sure: Confidence = "likely" if not need.serving and need.sure(row.memory_mib or 0.0) else "investigate"
    own = cut(candidates.gpu, {row.name: count})
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} holds {amount(count)} whole and would fit {count} x {row.name}, "
        f"which {amount(own.gpus)} {'has' if own.gpus == 1 else 'have'}: each pod needs {_need(need)}",
        evidence=tuple(_evidence(candidates, need, row)),
        confidence=sure,
        act=Act(
            kind="resize",
            target=owner,
            from_=f"{count} x {need.pods[0].holdings[0].resource}",
            to=f"{count} x {resource}",
        ),
        fix=Fix(generate="mig", note=_note(candidates)),
        refutation="a latency objective that a slice misses, a peak that the window did not see, or a need of NVLink",
    )


def _need(need: Measured) -> str:
    return (
        f"{need.mib / 1024:.1f} GiB, {need.compute:.0%} of the SMs and {need.bandwidth:.0%} of the bandwidth"
        f"{f', at its peak {need.peak:.0%}' if need.serving and need.peak is not None else ''}"
    )


def _note(candidates: Candidates) -> str:
    if any(mig.cut_by_pool(node.labels) for node in candidates.pool.nodes):
        return "the provider cuts GPUs when a node pool is made: a new pool is needed; move one replica first"
    if candidates.cut.stock:
        return f"the stock layout {candidates.cut.stock} holds all of them; move one replica first"
    return "a layout of their own is needed; move one replica first"


def _evidence(candidates: Candidates, need: Measured, row: MigProfile) -> Iterator[Evidence]:
    compute, memory = need.compute_need, need.memory_need
    yield Evidence(name="memory a pod needs", value=round(need.mib), unit="MiB", statistic="max", source=memory.because)
    yield Evidence(name=f"memory of {row.name}", value=row.memory_mib, unit="MiB", source="mig profiles")
    if memory.exceeded is not None:
        chance = round(memory.exceeded, 4)
        yield Evidence(name="probability that the next day needs more, at most", value=chance, unit="ratio")
    bound = "upper bound of the SM need" if compute.metric in UPPER_BOUNDS else "SM need"
    yield Evidence(
        name=bound, value=round(need.compute, 4), unit="ratio", statistic="p95", source=compute.because or "metrics"
    )
    yield Evidence(name="bandwidth need", value=round(need.bandwidth, 4), unit="ratio", statistic="p95")
    if need.peak is not None:
        yield Evidence(name="highest sample", value=round(need.peak, 4), unit="ratio", statistic="max")
    slices = f"{row.g} of {candidates.gpu.compute_slices}"
    yield Evidence(name=f"compute slices of {row.name}", value=slices, source="mig profiles")
    yield Evidence(name="seen", value=round(compute.hours, 1), unit="hours", source=duration(compute.hours))
    yield from _set_evidence(candidates)


def _set_evidence(candidates: Candidates) -> Iterator[Evidence]:
    """Yield what all candidates of the pool need together, and what was left out."""
    pool = candidates.pool.key[1]
    wanted: dict[str, float] = {}
    for need, row in candidates.fits.values():
        wanted[row.name] = wanted.get(row.name, 0.0) + len(need.pods)
    yield Evidence(
        name=f"whole GPUs held by all such work of {pool}", value=candidates.held, unit="GPUs", statistic="now"
    )
    yield Evidence(name="it would fit", value=told(wanted), source="mig profiles")
    yield Evidence(name="GPUs it would need, cut so", value=candidates.cut.gpus, unit="GPUs", source="first fit")
    yield Evidence(name="no layout needs fewer than", value=candidates.cut.at_least, unit="GPUs", source="bound")
    if candidates.cut.stock:
        yield Evidence(name="stock layout", value=candidates.cut.stock, source="mig-parted")
    if candidates.free:
        yield Evidence(name="free MIG devices that fit", value=told(candidates.free), statistic="now")
    reasons: Sequence[tuple[str, str]] = listed_reasons(candidates.pool)
    for owner, reason in reasons:
        yield Evidence(name=f"left out: {named(owner)}", value=reason)
    if len(candidates.pool.left_out) > len(reasons):
        yield Evidence(name="left out besides", value=len(candidates.pool.left_out) - len(reasons), unit="workloads")
