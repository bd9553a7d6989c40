"""Rule nccl-socket-fallback."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.network import nccl
from gpuaudit.demand.network.crossing import Crossing, by_owner, crossings
from gpuaudit.demand.network.nccl import Chosen
from gpuaudit.demand.network.network_words import crossing_evidence, fabric_words, over
from gpuaudit.demand.network.rdma_asked import asked
from gpuaudit.demand.subjects import count
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.knowledge import fabric
from gpuaudit.knowledge.fabric import Setting
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, Subject, rule


@rule(Severity.MEDIUM, needs={"job_network"})
def nccl_socket_fallback(snapshot: Snapshot) -> Iterator[Finding]:
    """A job over several nodes uses TCP sockets where its nodes have RDMA.

    Either its environment says so (NCCL_IB_DISABLE=1, NCCL_NET=Socket), often left over from a day of debugging, or
    NCCL's log does: `Using network Socket`. NCCL falls back silently when a library or a device is missing in the
    container, and the job runs, ten to a hundred times slower between nodes. Only that line decides: bootstrap on
    sockets is normal, and Omni-Path, OFI, Libfabric and TCPX are RDMA. NCCL_IB_DISABLE says nothing about EFA or TCPX,
    unless the pod asks for no device either. A log only asks for a look where it does not tell whether the job spans
    nodes, or nothing shows that they have RDMA.

    Take the setting away, or put what is missing into the image (rdma-core, the aws-ofi-nccl or TCPX plugin, IPC_LOCK,
    the RDMA resource), and look at the line again with NCCL_DEBUG=INFO.
    """
    said = set()
    for owner, gangs in by_owner(crossings(snapshot)):
        for gang in gangs[:1]:
            settings = _forced(snapshot, gang)
            if settings:
                said.add(owner)
                yield _of_settings(snapshot, owner, gangs, settings)
    for job in nccl.chosen(snapshot):
        if job.workload not in said and nccl.fell_back(snapshot, job):
            yield _of_log(snapshot, job)


def _forced(snapshot: Snapshot, gang: Crossing) -> tuple[Setting, ...]:
    """Return the settings that keep RDMA away from a gang whose nodes have it."""
    if not all(one.rdma for one in gang.fabrics):
        return ()
    facts = fabric.fabric().nccl
    pod = gang.pods[0]
    env = {name: value for container in pod.containers for name, value in container.env.items()}
    found = fabric.settings(env, facts.socket_env)
    if any(one.kind in ("efa", "tcpx") for one in gang.fabrics) and not _asks_none(snapshot, gang.pods):
        found = tuple(one for one in found if one.name not in facts.ib_only_env)
    if not any(one.kind in ("efa", "omnipath", "rdma") for one in gang.fabrics):
        found = tuple(one for one in found if one.name not in facts.libfabric_env)
    log = nccl.of_workload(snapshot, gang.owner)
    return () if log is not None and log.rdma else found


def _asks_none(snapshot: Snapshot, pods: Sequence[Pod]) -> bool:
    return all(asked(snapshot, pod, None).answer == "no" for pod in pods)


def _of_settings(snapshot: Snapshot, owner: str, gangs: Sequence[Crossing], settings: Sequence[Setting]) -> Finding:
    subject = workload_subject(snapshot, owner)
    named = " and ".join(f"{one.name}={one.values[0]}" for one in settings)
    bare = _asks_none(snapshot, gangs[0].pods)
    none = ", its pods ask for no RDMA device," if bare else ","
    ask = ", ask for the devices" if bare else ""
    log = nccl.of_workload(snapshot, owner)
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} computes on {over(gangs)} with {named}: {settings[0].means}{none} "
        f"though its nodes have {fabric_words(gangs[0])}",
        evidence=(
            *crossing_evidence(gangs),
            *(Evidence(name=one.name, value=one.means, statistic="now", source="kubernetes") for one in settings),
            *_log_evidence(log),
        ),
        confidence="likely",
        act=Act(kind="configure", risk="restart", target=owner, unblocks="GPUs that wait for the network"),
        fix=Fix(generate="network", note=f"take the setting away{ask}; check the choice with NCCL_DEBUG=INFO"),
        refutation="an NCCL log of this job that names a network other than Socket",
    )


def _of_log(snapshot: Snapshot, job: Chosen) -> Finding:
    hosts = max(log.hosts for log in job.logs)
    subject = (
        workload_subject(snapshot, job.workload)
        if job.workload
        else Subject(cluster=job.cluster, kind="NCCLLog", name=job.name)
    )
    where = f"{count(hosts, 'host')} of " if job.spans else "a host of "
    name = f"{subject.namespace}/{subject.name}" if subject.namespace else subject.name
    reason = next((text for log in job.logs for text in log.warnings), "")
    had = nccl.had_rdma(snapshot, job)
    return Finding(
        subject=subject,
        workload=job.workload,
        message=f"NCCL chose sockets on {where}{name}{f': {reason}' if reason else ''}{_matters(job, had)}",
        evidence=(*_log_evidence(job), *_asked_evidence(snapshot, job)),
        confidence="likely" if job.spans and had else "investigate",
        act=Act(
            kind="configure", risk="restart", target=job.workload or job.name, unblocks="GPUs that wait for the network"
        ),
        fix=Fix(note="give the container RDMA devices and the library or plugin that NCCL misses"),
        refutation="nodes without RDMA, or a job that stays on one node",
    )


def _matters(job: Chosen, had: bool | None) -> str:
    if not job.spans:
        return "; it matters only if the job spans nodes, which the log does not tell"
    return "" if had else "; it matters only if its nodes have RDMA, which nothing shows"


def _asked_evidence(snapshot: Snapshot, job: Chosen) -> Iterator[Evidence]:
    pods = [pod for pod in snapshot.pods_by_workload.get(job.workload or "", ()) if pod.gpus]
    for why in sorted({asked(snapshot, pod, None).why for pod in pods}):
        yield Evidence(name="its pods", value=why, statistic="now", source="kubernetes")


def _log_evidence(job: Chosen | None) -> Iterator[Evidence]:
    if job is None:
        return
    first = job.logs[0]
    source = f"NCCL log {first.name}"
    yield Evidence(name="network that NCCL chose", value=", ".join(job.networks) or "not told", source=source)
    yield Evidence(name="hosts in the log", value=max(log.hosts for log in job.logs), unit="hosts", source=source)
    if first.ranks:
        yield Evidence(name="ranks", value=first.ranks, unit="ranks", source=source)
    if interfaces := sorted({name for log in job.logs for name in log.interfaces}):
        yield Evidence(name="interfaces of the sockets", value=", ".join(interfaces[:4]), source=source)
    for text in first.warnings[:2]:
        yield Evidence(name="warning", value=text, source=source)
    if not job.workload:
        yield Evidence(name="host", value=f"{first.host}: no pod or node of that name is listed", source=source)
