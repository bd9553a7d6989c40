"""Rule mig-opportunity."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.mig.fit import cut
from gpuaudit.demand.mig.nodes import told
from gpuaudit.demand.mig.opportunities import Candidates, opportunities, told_need
from gpuaudit.demand.mig.sharing import named
from gpuaudit.demand.need.compute_need import UPPER_BOUNDS
from gpuaudit.demand.need.small_work import listed_reasons
from gpuaudit.demand.subjects import amount, duration
from gpuaudit.demand.usage.measured import COMPUTE_HEADROOM, Gates, Measured
from gpuaudit.demand.usage.units import devices_of, workload_subject
from gpuaudit.knowledge import mig
from gpuaudit.knowledge.mig import MigProfile
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


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
    found = opportunities(snapshot, gates, headroom=headroom, at_least_gpus=at_least_gpus)
    for owner, candidates in sorted(found.items()):
        yield _finding(snapshot, owner, candidates)


def _finding(snapshot: Snapshot, owner: str, candidates: Candidates) -> Finding:
    need, row = candidates.fits[owner]
    count = len(need.pods)
    subject = workload_subject(
        snapshot, owner, devices=(d for pod in need.pods for d in devices_of(snapshot, pod)), gpus=float(count)
    )
    resource = mig.resource(row)
    sure: Confidence = "likely" if candidates.sure(owner) else "investigate"
    own = cut(candidates.gpu, {row.name: count})
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} holds {amount(count)} whole and would fit {count} x {row.name}, "
        f"which {amount(own.gpus)} {'has' if own.gpus == 1 else 'have'}: each pod needs {told_need(need)}",
        evidence=tuple(_evidence(candidates, need, row)),
        confidence=sure,
        act=Act(
            kind="resize",
            target=owner,
            from_=f"{count} x {need.pods[0].holdings[0].resource}",
            to=f"{count} x {resource}",
            risk=None if candidates.free.get(row.name, 0.0) >= count else "drain",  # a GPU in use cannot be cut
        ),
        fix=Fix(generate="mig", note=_note(candidates)),
        refutation="a latency objective that a slice misses, a peak that the window did not see, or a need of NVLink",
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
        yield Evidence(
            name="probability that the next day needs more, at most", value=chance, unit="ratio", source="metrics"
        )
    bound = "upper bound of the SM need" if compute.metric in UPPER_BOUNDS else "SM need"
    rows = [
        (bound, need.compute, "p95", compute.because or "metrics"),
        ("bandwidth need", need.bandwidth, "p95", "metrics"),
    ]
    if need.peak is not None:
        rows.append(("highest sample", need.peak, "max", "metrics"))
    seconds = compute.hours * 3600
    for name, ratio, statistic, source in rows:
        yield Evidence(
            name=name,
            value=round(ratio, 4),
            unit="ratio",
            statistic=statistic,
            window_seconds=seconds,
            source=source,
        )
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
        name=f"whole GPUs held by all such work of {pool}",
        value=candidates.held,
        unit="GPUs",
        statistic="now",
        source="kubernetes",
    )
    yield Evidence(name="it would fit", value=told(wanted), source="mig profiles")
    yield Evidence(name="GPUs it would need, cut so", value=candidates.cut.gpus, unit="GPUs", source="first fit")
    yield Evidence(name="no layout needs fewer than", value=candidates.cut.at_least, unit="GPUs", source="bound")
    if candidates.cut.stock:
        yield Evidence(name="stock layout", value=candidates.cut.stock, source="mig-parted")
    if candidates.free:
        yield Evidence(
            name="free MIG devices that fit", value=told(candidates.free), statistic="now", source="kubernetes"
        )
    reasons: Sequence[tuple[str, str]] = listed_reasons(candidates.pool)
    for owner, reason in reasons:
        yield Evidence(name=f"left out: {named(owner)}", value=reason)
    if len(candidates.pool.left_out) > len(reasons):
        yield Evidence(name="left out besides", value=len(candidates.pool.left_out) - len(reasons), unit="workloads")
