"""Rule multi-node-without-rdma."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network import nccl
from gpuaudit.demand.network.crossing import Crossing, by_owner, crossings
from gpuaudit.demand.network.network_words import crossing_evidence, fabric_words, over, sureness
from gpuaudit.demand.network.rdma_asked import asked
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.knowledge import fabric
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule


@rule(Severity.MEDIUM, needs={"nodes", "pods"})
def multi_node_without_rdma(snapshot: Snapshot, *, slow_below_gbps: float = 100.0) -> Iterator[Finding]:
    """A job computes on several nodes, and nothing lets it use RDMA.

    Ranks that wait for each other then talk over TCP sockets, through the CPU: at most 3 to 12 GB/s where the fabric
    of such nodes gives 50 to 400. GPUs wait for the network, and more of them make it worse. Only gangs with a sign of
    collectives are judged; without measured traffic or a model split beyond a pod it only asks for a look. Host
    network, privileges, extra networks and network claims may be RDMA that cannot be seen, and silence it; so does an
    NCCL log that names one; one that names sockets is nccl-socket-fallback. A gang that set its network up and asks too
    little is rdma-not-requested; nodes on a slow link that offer no RDMA to pods are slow-link; one NVLink domain over
    several nodes needs no network.

    Let its pods ask for the fabric of their nodes (vpc.amazonaws.com/efa, an rdma/ or SR-IOV resource, GKE's device
    networks) with the plugin that NCCL needs in the image, and check with NCCL_DEBUG=INFO. Or keep the job on one node.
    """
    for owner, gangs in by_owner(crossings(snapshot)):
        found = [gang for gang in gangs if _without(snapshot, gang, slow_below_gbps)]
        if found:
            yield _finding(snapshot, owner, found)


def _without(snapshot: Snapshot, gang: Crossing, slow_below_gbps: float) -> bool:
    log = nccl.of_workload(snapshot, gang.owner)
    if log is not None and (log.rdma is not False or nccl.fell_back(snapshot, log)):
        return False
    if any(asked(snapshot, pod, None).answer != "no" for pod in gang.pods):
        return False
    told = gang.fabrics
    if all(one.exposed for one in told) and _set_up(gang):
        return False
    if all(one.rdma is None for one in told):
        return gang.proven
    slow = all(one.exposed is not True and one.gbps is not None and one.gbps < slow_below_gbps for one in told)
    return not slow


def _set_up(gang: Crossing) -> bool:
    """Whether somebody thought of its network."""
    names = (name for pod in gang.pods for container in pod.containers for name in container.env)
    return bool(fabric.named(names, fabric.fabric().collective.network_env))


def _finding(snapshot: Snapshot, owner: str, gangs: Sequence[Crossing]) -> Finding:
    gang = gangs[0]
    subject = workload_subject(snapshot, owner, gpus=_gpus(gangs))
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} computes on {over(gangs)} without RDMA: its pods ask for none, "
        f"{_nodes_have(gang)}",
        evidence=(
            *crossing_evidence(gangs),
            Evidence(name="RDMA asked for by its pods", value="none", statistic="now", source="kubernetes"),
            Evidence(name="fabric of its nodes", value=fabric_words(gang), statistic="now", source="kubernetes"),
        ),
        confidence=sureness(gangs),
        act=Act(kind="configure", risk="restart", target=owner, unblocks="GPUs that wait for the network"),
        fix=Fix(generate="network", note="ask for the fabric's resource; check the choice with NCCL_DEBUG=INFO"),
        refutation="ranks that work each for itself, or an NCCL log that names a network other than Socket",
    )


def _nodes_have(gang: Crossing) -> str:
    told = gang.fabrics
    if all(one.rdma is False for one in told):
        return "and its nodes have none"
    if any(one.rdma and one.exposed is False for one in told):
        return f"and its nodes ({fabric_words(gang)}) offer none to pods"
    if all(one.rdma is None for one in told):
        return "and nothing shows any on its nodes"
    return f"though its nodes have it ({fabric_words(gang)})"


def _gpus(gangs: Sequence[Crossing]) -> float | None:
    amounts = [gang.gpus for gang in gangs]
    return None if any(one is None for one in amounts) else sum(one for one in amounts if one is not None)
