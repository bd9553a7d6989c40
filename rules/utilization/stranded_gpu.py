"""Rule stranded-gpu."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta

from gpuaudit.cluster.nodes import Tenant
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import Stranding, strandings
from gpuaudit.demand.subjects import amount, duration, free_devices, listed, node_groups, node_subject, place
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule

WAYS_OUT = {
    "not_ready": "repair or replace the node",
    "cordoned": "uncordon the node, or release it",
    "tainted": "remove the taint, or let GPU work tolerate it",
    "cpu": "lower the CPU that the GPU pods there ask for, or spread them",
    "memory": "lower the memory that the GPU pods there ask for, or spread them",
    "pods": "raise the node's limit of pods",
}


@rule(Severity.MEDIUM, needs={"nodes", "pods"})
def stranded_gpu(snapshot: Snapshot, *, planned_hours: float = 24.0, likely_hours: float = 72.0) -> Iterator[Finding]:
    """Free GPUs cannot be given out.

    The scheduler counts them as free and will not use them: their node is not ready, cordoned or tainted against all
    GPU work, or other pods have taken the CPU, memory or pod slots that a GPU pod needs beside its GPU. They are paid
    for and help nobody, and a queue may be waiting next to them. Maintenance of less than a day is only noted.

    Bring the node back or let it go; keep CPU-only work off GPU nodes with a taint, and move what is there now.
    """
    found = strandings(snapshot)
    closed = [one for one in found.values() if not one.blockers]
    for group in node_groups(one.node for one in closed):
        yield _closed_finding(snapshot, [found[node.key] for node in group], planned_hours, likely_hours)
    by_blocker: dict[str, list[tuple[Stranding, Tenant]]] = defaultdict(list)
    for one in found.values():
        for tenant in one.blockers:
            by_blocker[tenant.workload].append((one, tenant))
    for workload, blocks in sorted(by_blocker.items()):
        yield _blocked_finding(snapshot, workload, blocks)


def _closed_finding(
    snapshot: Snapshot, group: Sequence[Stranding], planned_hours: float, likely_hours: float
) -> Finding:
    nodes = [one.node for one in group]
    gpus = sum(one.gpus for one in group)
    ages = [None if one.since is None else (snapshot.taken_at - one.since) / timedelta(hours=1) for one in group]
    planned = all(one.planned for one in group)
    young = all(age is not None and age < planned_hours for age in ages)
    old = all(age is not None and age >= likely_hours for age in ages) and not planned
    confidence: Confidence = "likely" if old else "investigate"
    causes = listed([_told(one, age) for one, age in zip(group, ages, strict=True)])
    return Finding(
        subject=node_subject(nodes, devices=(d for n in nodes for d in free_devices(snapshot, n)), gpus=gpus),
        message=f"{amount(gpus)} in {place(nodes)} cannot be given out: {causes}",
        evidence=tuple(_closed_evidence(group, ages)),
        confidence=confidence,
        severity=Severity.INFO if planned or young else None,
        act=None if planned or young else Act(kind="configure", target=nodes[0].pool or nodes[0].name),
        fix=Fix(note="; ".join(sorted({WAYS_OUT[one.cause] for one in group}))),
        refutation="a repair, an upgrade or a vendor case under way that the node does not show",
    )


def _told(one: Stranding, age: float | None) -> str:
    since = f" for {duration(age)}" if age is not None else ""
    planned = f" ({one.planned})" if one.planned and one.planned not in one.detail else ""
    verb = "is" if one.cause in ("not_ready", "cordoned", "tainted") else "has"
    return f"{one.node.name} {verb} {one.detail}{since}{planned}"


def _closed_evidence(group: Sequence[Stranding], ages: Sequence[float | None]) -> Iterator[Evidence]:
    for one, age in zip(group, ages, strict=True):
        name = f"free on {one.node.name}, {one.detail}"
        yield Evidence(name=name, value=round(one.gpus, 3), unit="GPUs", statistic="now", source="kubernetes")
        if age is not None:
            name = f"{one.node.name} {one.detail} for"
            yield Evidence(name=name, value=round(age, 1), unit="hours", statistic="now", source="kubernetes")
        if one.planned:
            yield Evidence(name=f"maintenance of {one.node.name}", value=one.planned, source="kubernetes")


def _blocked_finding(snapshot: Snapshot, workload: str, blocks: Sequence[tuple[Stranding, Tenant]]) -> Finding:
    strandings_here = [one for one, _ in blocks]
    nodes = [one.node for one in strandings_here]
    gpus = sum(one.gpus for one in strandings_here)
    devices = [device for node in nodes for device in free_devices(snapshot, node)]
    single = nodes[0].name if len(nodes) == 1 else None
    subject = workload_subject(snapshot, workload, devices=devices, gpus=gpus, node=single)
    cores = sum(tenant.cpu_cores for _, tenant in blocks)
    left = listed([f"{one.node.name} has {one.detail}" for one in strandings_here])
    return Finding(
        subject=subject,
        workload=workload,
        message=f"{subject.namespace}/{subject.name} takes {cores:g} cores of GPU nodes and strands {amount(gpus)}: "
        f"{left}",
        evidence=tuple(_blocked_evidence(snapshot, workload, blocks)),
        confidence="likely",
        act=Act(kind="move", target=workload, from_=single, unblocks=amount(gpus)),
        fix=Fix(generate="scheduling", note="move it to CPU nodes, and taint the GPU nodes so that it stays away"),
        refutation="GPU pods that need far less CPU and memory beside a GPU than those of this pool do now",
    )


def _blocked_evidence(
    snapshot: Snapshot, workload: str, blocks: Sequence[tuple[Stranding, Tenant]]
) -> Iterator[Evidence]:
    for one, tenant in blocks:
        where = one.node.name
        name = f"free on {where}, of which stranded"
        yield Evidence(name=name, value=round(one.gpus, 3), unit="GPUs", statistic="now", source="kubernetes")
        name = f"requested on {where} by its {tenant.pods} pods"
        yield Evidence(name=name, value=tenant.cpu_cores, unit="cores", statistic="now", source="kubernetes")
        gib = round(tenant.memory_bytes / 2**30, 1)
        yield Evidence(name=name, value=gib, unit="GiB", statistic="now", source="kubernetes")
    cores: dict[str, float] = defaultdict(float)
    for node in snapshot.gpu_nodes:
        for tenant in node.tenants:
            if node.cluster == blocks[0][0].node.cluster and not tenant.daemon and tenant.workload != workload:
                cores[tenant.workload] += tenant.cpu_cores
    for other, asked in sorted(cores.items()):
        yield Evidence(
            name=f"runs on GPU nodes too: {other}",
            value=round(asked, 3),
            unit="cores",
            statistic="now",
            source="kubernetes",
        )
