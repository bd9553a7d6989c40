"""Rule no-gpudirect-rdma."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.platform import CustomObject
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network import nccl
from gpuaudit.demand.network.crossing import by_owner, crossings
from gpuaudit.demand.network.fabric import gpudirect, node_fabric, policies, value
from gpuaudit.demand.network.network_words import by_pool, pool_subject
from gpuaudit.demand.subjects import count, listed, place
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.knowledge import fabric
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, Subject, rule

DIRECT = ("infiniband", "roce", "rdma")  # EFA and TCPX bring their own way to GPU memory


@rule(Severity.MEDIUM, needs={"gpudirect"})
def no_gpudirect_rdma(snapshot: Snapshot) -> Iterator[Finding]:
    """Network cards cannot reach GPU memory, though the nodes have RDMA.

    Each message is then copied through the host's memory, twice, and takes half the bandwidth and CPU time with it.
    Either the module nvidia_peermem or DMA-BUF (open kernel modules, kernel 5.12 or newer) is enough: where a label or
    a host does not tell, it is unknown. The GPU Operator's driver.rdma.enabled=false only asks for a look, unless it
    drives open kernel modules, which need no module. It matters where a job spans nodes, and is low elsewhere. Settings
    of a job that switch it off count too (NCCL_NET_GDR_LEVEL=LOC), and so does NCCL's log. EFA and GPUDirect-TCPX do
    without.

    Prefer DMA-BUF: driver.kernelModuleType=open; else driver.rdma.enabled=true (with useHostMofed where the host has
    the network driver). Then look for GDRDMA in NCCL's log.
    """
    gangs = {node.key for gang in crossings(snapshot) for node in gang.nodes}
    for group in by_pool(node for node in snapshot.gpu_nodes if _is_off(snapshot, node)):
        yield _of_nodes(group, hurt=any(node.key in gangs for node in group))
    for cluster in sorted({node.cluster for node in snapshot.gpu_nodes}):
        unsure = [node for node in snapshot.gpu_nodes if node.cluster == cluster and _is_unknown(snapshot, node)]
        for policy in policies(snapshot, cluster, "ClusterPolicy"):
            if unsure and _switched_off(policy):
                yield _of_policy(policy, unsure, hurt=any(node.key in gangs for node in unsure))
    yield from _of_jobs(snapshot)


def _is_off(snapshot: Snapshot, node: Node) -> bool:
    return node_fabric(node).kind in DIRECT and gpudirect(snapshot, [node]).on is False


def _is_unknown(snapshot: Snapshot, node: Node) -> bool:
    return node_fabric(node).kind in DIRECT and gpudirect(snapshot, [node]).on is None


def _switched_off(policy: CustomObject) -> bool:
    rdma = value(policy, "spec.driver.rdma")
    off = isinstance(rdma, dict) and rdma.get("enabled") is False
    return off and value(policy, "spec.driver.kernelModuleType") != "open"


def _of_nodes(group: Sequence[Node], *, hurt: bool) -> Finding:
    return Finding(
        subject=pool_subject(group),
        severity=None if hurt else Severity.LOW,
        message=f"network cards of {count(len(group), 'node')} in {place(group)} cannot reach GPU memory: neither "
        f"nvidia_peermem nor DMA-BUF on {listed([node.name for node in group])}",
        evidence=tuple(
            Evidence(name=f"{name} on {node.name}", value=told, statistic="now", source="node facts")
            for node in group[:4]
            for name, told in (("nvidia_peermem loaded", node.peermem), ("DMA-BUF possible", node.dma_buf))
        ),
        confidence="likely",
        act=Act(kind="configure", risk="drain", target=group[0].pool or group[0].name),
        fix=Fix(note="open kernel modules on a kernel of 5.12 or newer, or load nvidia_peermem"),
        refutation="GDRDMA in the NCCL log of a job on these nodes",
    )


def _of_policy(policy: CustomObject, nodes: Sequence[Node], *, hurt: bool) -> Finding:
    managed = value(policy, "spec.driver.enabled") is not False
    whose = "" if managed else ", and the operator does not bring the driver, so that the hosts must"
    return Finding(
        subject=Subject(cluster=policy.cluster, kind=policy.kind, name=policy.name),
        severity=None if hurt else Severity.LOW,
        message=f"GPUDirect RDMA is off in ClusterPolicy {policy.name} (driver.rdma.enabled=false){whose}; "
        f"{count(len(nodes), 'GPU node')} with RDMA: {listed([node.name for node in nodes])}",
        evidence=(
            Evidence(name="spec.driver.rdma.enabled", value=False, statistic="now", source="kubernetes"),
            Evidence(name="spec.driver.enabled", value=managed, statistic="now", source="kubernetes"),
            Evidence(
                name="spec.driver.kernelModuleType",
                value=str(value(policy, "spec.driver.kernelModuleType") or "not set"),
                source="kubernetes",
            ),
        ),
        confidence="investigate",
        act=Act(
            kind="configure",
            risk="drain",
            target=policy.name,
            from_="driver.rdma.enabled=false",
            to="driver.rdma.enabled=true",
        ),
        fix=Fix(generate="network", note="or driver.kernelModuleType=open: DMA-BUF needs no module"),
        refutation="open kernel modules (DMA-BUF) or nvidia_peermem on these hosts, or GDRDMA in an NCCL log",
    )  # fmt: skip


def _of_jobs(snapshot: Snapshot) -> Iterator[Finding]:
    facts = fabric.fabric().nccl
    for owner, gangs in by_owner(crossings(snapshot)):
        env = {name: text for pod in gangs[0].pods for one in pod.containers for name, text in one.env.items()}
        off = fabric.settings(env, facts.gdr_off_env)
        log = nccl.of_workload(snapshot, owner)
        if not all(told.rdma for told in gangs[0].fabrics) or (log is not None and log.gpudirect):
            continue
        own_way = not all(told.kind in DIRECT for told in gangs[0].fabrics)
        logged = log is not None and log.gpudirect is False and log.rdma and not own_way
        if off or logged:
            said = f"{off[0].name}={off[0].values[0]}" if off else "NCCL's log says GPU Direct RDMA Disabled"
            subject = workload_subject(snapshot, owner)
            yield Finding(
                subject=subject,
                workload=owner,
                message=f"{subject.namespace}/{subject.name} keeps network cards from GPU memory: {said}",
                evidence=(Evidence(name="GPUDirect RDMA", value=said, statistic="now",
                                   source=f"NCCL log {log.name}" if log and not off else "kubernetes"),),
                confidence="likely",
                act=Act(kind="configure", risk="restart", target=owner),
                fix=Fix(note="take the setting away; look for GDRDMA in the log"),
                refutation="GDRDMA in the job's NCCL log",
            )  # fmt: skip
