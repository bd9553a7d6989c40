"""Rule rdma-not-requested."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.network import nccl
from gpuaudit.demand.network.crossing import Crossing, by_owner, crossings
from gpuaudit.demand.network.network_words import crossing_evidence, over
from gpuaudit.demand.network.rdma_asked import Asked, asked
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.knowledge import fabric
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule


@rule(Severity.MEDIUM, needs={"nodes", "pods"})
def rdma_not_requested(snapshot: Snapshot, *, half: float = 0.5) -> Iterator[Finding]:
    """A job over several nodes asks for no RDMA device, or for fewer than go with its GPUs.

    The device plugin gives a container only the devices that it asks for. A p5 has 32 EFA devices for its 8 GPUs: a pod
    that takes all GPUs and one device drives 3,200 Gbit/s of fabric through 100. Counts are compared for EFA and for
    SR-IOV rails, in proportion to the pod's GPUs; those of shared RDMA device plugins are no devices. Pods with the
    host's network, privileges, extra networks by annotation or network claims are not judged.

    Ask for the devices that go with the GPUs (vpc.amazonaws.com/efa: 32 on a whole p5, 16 on a p5en, 4 on a p4d; one of
    each rail), with huge pages where EFA needs them, and check with NCCL_DEBUG=INFO.
    """
    for owner, gangs in by_owner(crossings(snapshot)):
        short = [one for gang in gangs if (one := _short(snapshot, gang)) is not None]
        if short:
            yield _finding(snapshot, owner, gangs, short[0], half)


Short = tuple[Pod, Asked]


def _short(snapshot: Snapshot, gang: Crossing) -> Short | None:
    """Return the pod that is shortest of devices, None when none is, or nobody can tell."""
    log = nccl.of_workload(snapshot, gang.owner)
    told = [(pod, asked(snapshot, pod, snapshot.node_by_key.get((pod.cluster, pod.node or "")))) for pod in gang.pods]
    if any(one.answer == "unknown" for _, one in told) or not all(one.exposed for one in gang.fabrics):
        return None
    none = [(pod, one) for pod, one in told if one.answer == "no"]
    if none and log is not None and log.rdma:
        return None
    if none and (len(none) < len(told) or _set_up(gang)):
        return none[0]
    fewer = [
        (pod, one) for pod, one in told if one.answer == "yes" and one.share is not None and one.devices < one.share
    ]
    return min(fewer, key=lambda item: item[1].devices / (item[1].share or 1)) if fewer else None


def _set_up(gang: Crossing) -> bool:
    names = (name for pod in gang.pods for container in pod.containers for name in container.env)
    return bool(fabric.named(names, fabric.fabric().collective.network_env))


def _finding(snapshot: Snapshot, owner: str, gangs: Sequence[Crossing], short: Short, half: float) -> Finding:
    pod, told = short
    subject = workload_subject(snapshot, owner, gpus=pod.gpus if len(gangs) == 1 and len(gangs[0].pods) == 1 else None)
    most = told.share is not None and told.devices >= half * told.share
    return Finding(
        subject=subject,
        workload=owner,
        severity=Severity.LOW if most else None,
        message=f"{subject.namespace}/{subject.name} computes on {over(gangs)}, and its pods {_asks(told)}",
        evidence=(
            *crossing_evidence(gangs),
            Evidence(name=f"RDMA devices asked for by {pod.name}", value=told.devices, unit="devices", statistic="now",
                     source="kubernetes"),
            Evidence(name="devices that go with its GPUs", value=told.share, unit="devices", statistic="now",
                     source="allocatable of its node"),
        ),
        confidence="likely" if told.devices or all(gang.proven for gang in gangs) else "investigate",
        act=Act(kind="configure", risk="restart", target=owner, from_=str(told.devices), to=str(told.share or "all")),
        fix=Fix(generate="network", note="ask for the devices that go with the GPUs"),
        refutation="an NCCL log that names a network other than Socket on all devices",
    )  # fmt: skip


def _asks(told: Asked) -> str:
    if told.answer == "yes":
        return f"ask for {told.devices} of the {told.share} RDMA devices that go with their GPUs"
    if told.share is None:
        return "ask for no RDMA device, which their nodes offer"
    return (
        f"ask for none of the {told.share} RDMA devices that go with their GPUs"
        if told.share > 1
        else "ask for no RDMA device"
    )
