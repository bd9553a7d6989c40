"""Rule small-shm."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Container, Pod
from gpuaudit.demand.subjects import count, listed
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.knowledge.scheduling import scheduling
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule


@rule(Severity.INFO, needs={"pods", "workloads"})
def small_shm(snapshot: Snapshot, *, settled_hours: float = 1.0) -> Iterator[Finding]:
    """Processes of a GPU pod share memory through /dev/shm, which has the default 64 MiB.

    Loader processes of PyTorch hand batches over in /dev/shm, and NCCL between the GPUs of one pod may use it too.
    Where it is full, a write ends the process with a bus error (exit code 135), often hours into a run. Any
    memory-backed emptyDir, hostIPC or the node's own /dev/shm is enough, wherever it is mounted. A job that runs well
    with 64 MiB is only noted, a model server that does is not even that.

    Mount an emptyDir with medium: Memory at /dev/shm, with a sizeLimit: it counts against the pod's memory.
    """
    for workload, pods in sorted(snapshot.pods_by_workload.items()):
        small = [pod for pod in pods if pod.holdings and not pod.ended and pod.shm_bytes is None and not pod.host_shm]
        failed = [c for pod in small for c in pod.containers if _bus_error(c)]
        signs = sorted({sign for pod in small for sign in _signs(pod)})
        record = snapshot.workload_by_id.get(workload)
        serves = bool(record and record.engine) and all(_runs_well(snapshot, pod, settled_hours) for pod in small)
        if workload and (failed or (signs and not serves)):
            yield _finding(snapshot, workload, small, failed, signs, settled_hours=settled_hours)


def _finding(
    snapshot: Snapshot,
    workload: str,
    pods: Sequence[Pod],
    failed: Sequence[Container],
    signs: Sequence[str],
    *,
    settled_hours: float,
) -> Finding:
    subject = workload_subject(snapshot, workload)
    hurt = bool(failed)
    well = all(_runs_well(snapshot, pod, settled_hours) for pod in pods)
    why = "a bus error ended its processes" if hurt else listed(list(signs))
    return Finding(
        subject=subject,
        workload=workload,
        message=f"{subject.namespace}/{subject.name} shares memory in the default 64 MiB of /dev/shm: {why}",
        evidence=tuple(_evidence(pods, failed, signs)),
        confidence="likely" if hurt else "investigate",
        severity=Severity.MEDIUM if hurt else Severity.INFO if well else Severity.LOW,
        act=Act(kind="configure", risk="restart", target=workload, to="emptyDir, medium: Memory, at /dev/shm")
        if hurt or not well
        else None,
        fix=Fix(generate="scheduling", note="mount a memory-backed emptyDir at /dev/shm"),
        refutation="a runtime that gives containers more than 64 MiB, or processes that share little",
    )


def _bus_error(container: Container) -> bool:
    return container.last_exit_code == scheduling().shared_memory.bus_error_exit and not container.init


def _signs(pod: Pod) -> Iterator[str]:
    """Yield what shows that several processes of one pod work together on its GPUs."""
    known = scheduling().gang
    if (pod.gpus or 0.0) < 2:
        return
    for container in pod.containers:
        words = [word.partition("=")[0] for word in container.args]
        started = [word for word in words if word in known.programs]
        spread = [word for word in words if word in (*known.process_flags, *known.parallel_flags)]
        spread += [name for name in known.process_env if name in container.env]
        talks = [name for name in sorted(container.env) if name.startswith(known.env_prefixes)]
        if not container.init and (spread or (started and talks)):
            yield f"{(spread or started)[0]} over {pod.gpus:g} GPUs of one pod"


def _runs_well(snapshot: Snapshot, pod: Pod, settled_hours: float) -> bool:
    since = [c.running_since for c in pod.containers if not c.init and c.running_since]
    start = max(since, default=pod.ready_at or pod.started)
    calm = not any(container.restarts for container in pod.containers)
    settled = start is not None and snapshot.taken_at - start >= timedelta(hours=settled_hours)
    return calm and settled and pod.phase == "Running"


def _evidence(pods: Sequence[Pod], failed: Sequence[Container], signs: Sequence[str]) -> Iterator[Evidence]:
    yield Evidence(name="pods without a volume in memory", value=count(len(pods), "pod"), source="kubernetes")
    size = scheduling().shared_memory.default_bytes // 2**20
    yield Evidence(name="shared memory of a container by default", value=size, unit="MiB", observed=False)
    for container in failed[:10]:
        name = f"last exit code of {container.name}"
        yield Evidence(name=name, value=container.last_exit_code, statistic="now", source="kubernetes")
    for sign in signs[:10]:
        yield Evidence(name="several processes", value=sign, source="kubernetes")
