"""Rule busy-but-inefficient."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import DRAM_CEILING, Tenure, underused
from gpuaudit.demand.serving.served import serves
from gpuaudit.demand.subjects import amount
from gpuaudit.demand.usage.units import settled, units_by_owner, workload_subject
from gpuaudit.demand.work.inefficiency import (
    BUSY_ABOVE,
    USED_BELOW,
    Bound,
    Inefficiency,
    cores_per_gpu,
    inefficiency,
    narrow_links,
)
from gpuaudit.demand.work.notebooks import is_notebook
from gpuaudit.demand.work.stalling import stall
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule

FACTS = ("utilization", "sm_active", "gpu_util", "dram_active", "pod_attribution", "history")
WORDS: dict[Bound, str] = {
    "input": "its host: launches, data loading or copies over PCIe",
    "cpu": "too few CPU cores beside its GPUs, for data loading and launches",
    "pcie": "a PCIe link with fewer lanes than it can use",
    "launch": "kernels too small for the GPU",
    "ranks": "kernels too small for its GPUs, or GPUs that wait for each other",
    "communication": "communication between its nodes, or kernels too small",
    "bandwidth": "memory bandwidth",
}
NOTES: dict[Bound, str] = {
    "input": "give the data loaders more CPU cores and workers, pin memory, prefetch, and profile a step (nsys)",
    "cpu": "ask for more CPU cores, give the data loaders more workers, and profile a step (nsys)",
    "pcie": "look at the slot and the riser of that GPU, and keep data on the GPU where it can stay",
    "launch": "use larger batches, fuse kernels (torch.compile), capture CUDA graphs, and profile a step (nsys)",
    "ranks": "profile a step (nsys): larger batches, fused kernels and CUDA graphs, or less waiting in NCCL",
    "communication": "look at the share of NCCL kernels in a profile (nsys), at the fabric, and at the batch size",
    "bandwidth": "use lower precision, fused kernels and a better memory layout, and profile a step (ncu)",
}


@rule(Severity.LOW, needs=FACTS)
def busy_but_inefficient(
    snapshot: Snapshot, *, busy_above: float = BUSY_ABOVE, used_below: float = USED_BELOW, hours: float = 24.0
) -> Iterator[Finding]:
    """A workload keeps its GPUs busy and uses little of them.

    GPU_UTIL says only that some kernel ran. Where it is high while the SMs, the tensor cores and the memory are all
    used by less than half, the GPU is held back by something else, and the job could end sooner on the same GPUs. Two
    losses tell them apart: the time in which no kernel ran (the GPU waits for its host: for data, for launches, for a
    narrow PCIe link), and the SMs that running kernels leave empty (kernels too small, or ranks that wait for each
    other). Only hours in which the GPU was busy
    count. What a metric cannot show is left to a profiler, so this never asks for more than a look. Serving, which
    does as much as it is asked for, notebooks, and shared or MIG devices are left out; what does little even in its
    busy hours is underused-gpu's, what computes nothing at all stalled-job's.

    Profile one step before changing anything. Then feed the GPU better (loaders, CPU cores, pinned memory) or give it
    larger pieces of work (batch size, fused kernels, CUDA graphs), and watch SM activity, not GPU_UTIL.
    """
    for owner, units in units_by_owner(snapshot).items():
        if serves(snapshot, owner) or is_notebook(snapshot, owner) or not settled(snapshot, owner, hours):
            continue
        found = [
            (unit, told)
            for unit in units
            if (told := inefficiency(snapshot, unit, busy_above=busy_above, used_below=used_below)) is not None
            and told.hours >= hours * len(unit)
            and stall(snapshot, unit) is None
            and not all(underused(tenure) for tenure in unit)
        ]
        if found:
            yield _finding(snapshot, owner, found, used_below)


def _finding(
    snapshot: Snapshot, owner: str, found: Sequence[tuple[Sequence[Tenure], Inefficiency]], used_below: float
) -> Finding:
    tenures = [tenure for unit, _ in found for tenure in unit]
    gpus = round(sum(tenure.gpus for tenure in tenures), 4)
    worst = max((told for _, told in found), key=lambda told: told.hours)
    subject = workload_subject(snapshot, owner, devices=(t.device for t in tenures), gpus=gpus)
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} keeps {amount(gpus)} at {worst.gpu_util:.0%} GPU_UTIL and uses "
        f"{worst.sm:.0%} of the SMs, most likely bound by {WORDS[worst.bound]}",
        evidence=tuple(_evidence(snapshot, owner, tenures, worst, used_below)),
        confidence="investigate",
        act=Act(kind="configure", risk="restart", target=owner),
        fix=Fix(note=NOTES[worst.bound]),
        refutation="a profile in which the kernels of a step fill the GPU, or work that cannot be made larger "
        "(a step that waits for another system by design)",
    )


def _evidence(
    snapshot: Snapshot, owner: str, tenures: Sequence[Tenure], told: Inefficiency, used_below: float
) -> Iterator[Evidence]:
    source, window = tenures[0].source, snapshot.window_seconds
    means = [("gpu_util", told.gpu_util), ("sm_active", told.sm), ("dram_active", told.dram)]
    means += [("tensor_active", told.tensor)] if told.tensor is not None else []
    for name, value in means:
        yield Evidence(
            name=name,
            value=round(value, 4),
            unit="ratio",
            statistic="mean of busy hours",
            window_seconds=window,
            source=source,
        )
    yield Evidence(name="no kernel ran", value=round(told.no_kernel, 4), unit="ratio", source=source)
    yield Evidence(name="SMs that kernels left empty", value=round(told.unfilled, 4), unit="ratio", source=source)
    yield Evidence(name="threshold of SMs, tensor cores and memory", value=used_below, unit="ratio", observed=False)
    if told.dram_p95 is not None:
        share = round(min(1.0, told.dram_p95 / DRAM_CEILING), 4)
        yield Evidence(name="bandwidth that kernels reach", value=share, unit="ratio", statistic="p95", source=source)
    yield Evidence(name="likely bound", value=told.bound, source=source)
    yield Evidence(name="busy", value=round(told.hours, 1), unit="GPU-hours", statistic="sum", source=source)
    cores = cores_per_gpu(snapshot, owner)
    if cores is not None:
        yield Evidence(name="CPU cores asked for beside one GPU", value=round(cores, 2), source="kubernetes")
    for name, width, most in narrow_links(snapshot, tenures):
        yield Evidence(name=f"PCIe width of {name}", value=f"x{width} of x{most}", source="node facts")
