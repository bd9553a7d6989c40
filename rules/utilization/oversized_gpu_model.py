"""Rule oversized-gpu-model."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import Tenure
from gpuaudit.demand.mig.opportunities import usual_opportunities
from gpuaudit.demand.need.model_fit import FILL, MEMORY_FILL, Oversize, oversize
from gpuaudit.demand.serving.served import serves
from gpuaudit.demand.subjects import amount, duration
from gpuaudit.demand.usage.units import periodic, settled, units_by_owner, workload_subject
from gpuaudit.demand.work.notebooks import is_notebook
from gpuaudit.demand.work.stalling import stall
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule

OBSERVED = 0.9  # of the held hours
STAYS = "; a MIG device of the GPU it has would do as well (mig-opportunity)"


@rule(Severity.LOW, needs={"nodes", "utilization", "pod_attribution", "history", "memory_used", "dram_active"})
def oversized_gpu_model(
    snapshot: Snapshot,
    *,
    smaller_than: float = 0.6,
    fill: float = FILL,
    memory_fill: float = MEMORY_FILL,
    hours: float = 168.0,
    likely_days: int = 14,
    confirmed_days: int = 28,
    settled_hours: float = 72.0,
) -> Iterator[Finding]:
    """A workload holds GPUs of a model far above its need, and a smaller model would do.

    What counts is its busiest hour or its 95th percentile, whichever is more, of SMs, tensor cores and memory
    bandwidth, and an upper estimate of its memory: what frameworks reserve in advance is no need, and where the need is
    not known nothing is said. The smaller model must hold all of it with room to spare. That is a statement about
    throughput; single answers take longer on it, so whoever serves requests, or works in a notebook, gets no more than
    a hint; so does a model that the cluster does not have yet. A larger day than those seen is possible: the evidence
    says how likely.

    Try one replica on the smaller model and compare memory, latency and throughput, then move the rest. Where a MIG
    device of the GPU that it has would do as surely, mig-opportunity comes first, and this only notes the other way.
    """
    for owner, units in units_by_owner(snapshot).items():
        if periodic(snapshot, owner) or not settled(snapshot, owner, settled_hours):
            continue
        found = oversize(snapshot, owner, smaller_than=smaller_than, fill=fill, memory_fill=memory_fill)
        if found is None or found.compute.hours < hours or found.compute.observed < OBSERVED:
            continue
        if any(stall(snapshot, unit) is not None for unit in units):
            continue
        confidence = _confidence(snapshot, owner, found, likely_days, confirmed_days)
        tenures = [tenure for unit in units for tenure in unit]
        yield _finding(snapshot, owner, tenures, found, confidence)


def _confidence(snapshot: Snapshot, owner: str, found: Oversize, likely_days: int, confirmed_days: int) -> Confidence:
    if serves(snapshot, owner) or is_notebook(snapshot, owner) or "services" not in snapshot.facts:
        return "investigate"  # latency may need the larger model
    if not found.fit.in_fleet or found.memory.peaks < likely_days:
        return "investigate"
    return "confirmed" if found.memory.peaks >= confirmed_days and found.memory.kind == "measured" else "likely"


def _finding(
    snapshot: Snapshot, owner: str, tenures: Sequence[Tenure], found: Oversize, confidence: Confidence
) -> Finding:
    gpus = round(sum(tenure.gpus for tenure in tenures), 4)
    subject = workload_subject(snapshot, owner, devices=(t.device for t in tenures), gpus=gpus)
    fit = found.fit
    where = "which the cluster has" if fit.in_fleet else "which its provider offers"
    stays = _stays(snapshot, owner, confidence)
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} holds {amount(gpus)} of {found.held.key} and would fill "
        f"{fit.compute:.0%} of the compute, {fit.bandwidth:.0%} of the bandwidth and {fit.memory:.0%} of the memory of "
        f"{fit.model.key}, {where}{STAYS if stays else ''}",
        evidence=tuple(_evidence(tenures[0].source, found)),
        confidence=confidence,
        severity=Severity.INFO if stays else None,
        act=None if stays else _act(owner, gpus, found),
        fix=Fix(note="try one replica on the smaller model, compare latency and throughput, then move the rest"),
        refutation="a latency objective that only the larger model meets, a number format or a feature that the "
        "smaller one lacks, or a busier day than those seen",
    )


def _stays(snapshot: Snapshot, owner: str, confidence: Confidence) -> bool:
    """Whether MIG devices of the GPUs that it has would do and are no less sure: one future is proposed, not two."""
    cut = usual_opportunities(snapshot).get(owner)
    return cut is not None and (confidence == "investigate" or (confidence == "likely" and cut.sure(owner)))


def _act(owner: str, gpus: float, found: Oversize) -> Act:
    smaller = f"{amount(gpus)} of {found.fit.model.key}"
    return Act(kind="resize", target=owner, from_=f"{amount(gpus)} of {found.held.key}", to=smaller)


def _evidence(source: str, found: Oversize) -> Iterator[Evidence]:
    compute, memory, fit = found.compute, found.memory, found.fit
    for name, value in (("SMs or tensor cores", compute.compute), ("memory bandwidth", compute.bandwidth)):
        yield Evidence(
            name=f"need of {name}, of {found.held.key}",
            value=round(value or 0.0, 4),
            unit="ratio",
            statistic="busiest hour or p95",
            window_seconds=compute.hours * 3600,
            source=source,
        )
    yield Evidence(name="measured by", value=compute.because, source=source)
    yield Evidence(
        name=f"memory need of a replica ({memory.kind})",
        value=round(memory.mib or 0.0),
        unit="MiB",
        statistic="max",
        source=source,
    )
    yield Evidence(name="memory because", value=memory.because, source=source)
    if memory.exceeded is not None:
        chance = round(memory.exceeded, 4)
        yield Evidence(name="the next day's peak is above it, at most", value=chance, unit="probability")
    model, place = fit.model, "fleet" if fit.in_fleet else "catalogue of its provider"
    yield Evidence(name=f"{model.key}: compute", value=round(fit.compute, 4), unit="ratio", source=place)
    yield Evidence(name=f"{model.key}: bandwidth", value=round(fit.bandwidth, 4), unit="ratio", source=place)
    yield Evidence(name=f"{model.key}: memory", value=round(fit.memory, 4), unit="ratio", source=place)
    yield Evidence(name="GPUs of a replica", value=found.devices, unit="GPUs", source="kubernetes")
    yield Evidence(name="seen", value=duration(compute.hours), source=source)
