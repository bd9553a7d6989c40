"""Rule stalled-job."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import Tenure
from gpuaudit.demand.subjects import amount, duration
from gpuaudit.demand.usage.units import units_by_owner, workload_subject, works_alone
from gpuaudit.demand.work.stalling import DRAM_BELOW, POWER_BELOW, SPINS_ABOVE, TENSOR_BELOW, Stall, stall
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule

FACTS = ("utilization", "pod_attribution", "history", "gpu_util", "tensor_active", "dram_active", "power")


@rule(Severity.HIGH, needs=FACTS)
def stalled_job(
    snapshot: Snapshot,
    *,
    minutes: float = 30.0,
    spins_above: float = SPINS_ABOVE,
    tensor_below: float = TENSOR_BELOW,
    dram_below: float = DRAM_BELOW,
    power_below: float = POWER_BELOW,
) -> Iterator[Finding]:
    """A job hangs: its GPUs look 100 % busy and compute nothing.

    When one rank dies or falls out of step, the others wait for it inside a collective, in a kernel that spins.
    GPU_UTIL says 100 %, the pods are Running, no alert fires; but tensor cores and memory stand still and power is
    far below its limit, on every GPU of the gang at once. Nothing else costs so much unnoticed: a weekend of 64 GPUs
    is gone by Monday. One rank that computes, or a serving engine, is no stall; a job that was never seen to use
    tensor cores, or pods that work each for itself, only ask for a look. idle-gpu and underused-gpu leave such a job
    to this rule.

    Take the stacks of all ranks first (py-spy, the flight recorder of NCCL), then end it and start it again from its
    last checkpoint. Let a collective time out (TORCH_NCCL_ASYNC_ERROR_HANDLING, a heartbeat) so that the next hang
    ends alone.
    """
    limits = {
        "spins_above": spins_above,
        "tensor_below": tensor_below,
        "dram_below": dram_below,
        "power_below": power_below,
    }
    for owner, units in units_by_owner(snapshot).items():
        for unit in units:
            found = stall(snapshot, unit, **limits)
            if found is not None and found.hours > minutes / 60:
                yield _finding(snapshot, owner, unit, found, limits)


def _finding(snapshot: Snapshot, owner: str, unit: Sequence[Tenure], found: Stall, limits: dict[str, float]) -> Finding:
    gpus = sum(tenure.gpus for tenure in unit)
    subject = workload_subject(snapshot, owner, devices=(t.device for t in unit), gpus=gpus)
    certain = found.worked_before and not found.unseen and not works_alone(snapshot, owner)
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} most likely hangs for {duration(found.hours)}: {amount(gpus)} at "
        f"100 % GPU_UTIL compute nothing, {gpus * found.hours:,.0f} GPU-hours lost so far",
        evidence=tuple(_evidence(snapshot, unit, found, limits)),
        confidence="likely" if certain else "investigate",
        act=Act(kind="release_gpus", target=owner, from_=amount(gpus), to="0 GPUs"),
        fix=Fix(note="take the stacks of all ranks, then end it and start it again from its last checkpoint"),
        refutation="steps that still count up in the job's log, or work that uses neither tensor cores nor memory "
        "(a kernel that waits for a device by intention)",
    )


def _evidence(snapshot: Snapshot, unit: Sequence[Tenure], found: Stall, limits: dict[str, float]) -> Iterator[Evidence]:
    source, seconds = unit[0].source, found.hours * 3600
    gpus = sum(tenure.gpus for tenure in unit)
    yield Evidence(name="stalled", value=round(found.hours, 1), unit="hours", statistic="now", source=source)
    yield Evidence(name="lost", value=round(gpus * found.hours, 1), unit="GPU-hours", source=source)
    for name, sign, option in (
        ("gpu_util", "above", "spins_above"),
        ("tensor_active", "below", "tensor_below"),
        ("dram_active", "below", "dram_below"),
        ("power of the limit", "below", "power_below"),
    ):
        yield Evidence(
            name=f"{name} of every GPU {sign}",
            value=limits[option],
            unit="ratio",
            statistic="mean of each hour",
            window_seconds=seconds,
            source=source,
        )
    yield Evidence(
        name="computed before", value=found.worked_before, window_seconds=snapshot.window_seconds, source=source
    )
    if found.unseen:
        yield Evidence(name="GPUs without these metrics", value=len(found.unseen), unit="GPUs", source=source)
