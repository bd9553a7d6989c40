"""Rule ownerless-gpu-pod."""

from collections.abc import Iterator
from datetime import timedelta

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.subjects import amount, duration
from gpuaudit.demand.usage.units import devices_of, is_spare, owner_of, stands_for_others, workload_subject
from gpuaudit.knowledge import kubernetes, pods
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule


@rule(Severity.LOW, needs={"pods"})
def ownerless_gpu_pod(snapshot: Snapshot, *, hours: float = 24.0, confirmed_hours: float = 72.0) -> Iterator[Finding]:
    """A GPU is held by a pod that nothing owns.

    Nobody restarts such a pod, scales it or ends it: it holds its GPUs until somebody remembers it, and when its node
    goes it is gone for good. Most were started by hand for an hour. Pods that another system runs without an owner
    reference (notebook hubs, workflow engines, queues), static pods and reservations are not meant.

    Ask whoever started it; run what must stay as a Deployment, Job or Notebook, and end the rest.
    """
    for pod in snapshot.pods:
        if not pod.holds or not _ownerless(snapshot, pod) or pod.deleted is not None:
            continue
        since = pod.scheduled or pod.started or pod.created
        age = (snapshot.taken_at - since) / timedelta(hours=1) if since else None
        if age is not None and age < hours:
            continue
        owner = owner_of(pod)
        held = amount(pod.gpus) if pod.gpus is not None else "a GPU"
        sleeps = _sleeps(pod)
        yield Finding(
            subject=workload_subject(snapshot, owner, devices=devices_of(snapshot, pod), gpus=pod.gpus, node=pod.node),
            workload=owner,
            message=f"{pod.namespace}/{pod.name} holds {held}{f' for {duration(age)}' if age else ''} and nothing owns "
            f"it{f'; it runs `{sleeps}`' if sleeps else ''}",
            evidence=tuple(_evidence(pod, age, sleeps)),
            confidence="confirmed" if age is not None and age >= confirmed_hours else "likely",
            act=Act(kind="release_gpus", target=owner, from_=held, to="0 GPUs"),
            fix=Fix(note="ask whoever started it; end it, or run it under a controller"),
            refutation="a system outside the cluster that starts and ends it",
        )


def _ownerless(snapshot: Snapshot, pod: Pod) -> bool:
    """Whether neither a controller nor a mark of another system stands behind the pod."""
    if pod.workload and workload_subject(snapshot, pod.workload).kind != "Pod":
        return False
    if pods.pods().mirror_annotation in pod.annotations or stands_for_others(pod.namespace) or is_spare(pod):
        return False
    marks = (*pods.pods().manager_labels, *kubernetes.notebooks().label_keys, *kubernetes.queues().labels)
    groups = (*kubernetes.queues().annotations, *kubernetes.queues().pod_groups)
    return not any(key in pod.labels for key in marks) and not any(
        key in pod.annotations or key in pod.labels for key in groups
    )


def _sleeps(pod: Pod) -> str | None:
    """Return the command of a container that only waits, None when there is none."""
    patterns = kubernetes.notebooks().idle_commands
    commands = (" ".join(container.args) for container in pod.containers if not container.init)
    return next((command[:60] for command in commands if kubernetes.matches(patterns, command)), None)


def _evidence(pod: Pod, age: float | None, sleeps: str | None) -> Iterator[Evidence]:
    yield Evidence(name="owner reference", value=False, statistic="now", source="kubernetes")
    if age is not None:
        yield Evidence(name="held", value=round(age, 1), unit="hours", statistic="now", source="kubernetes")
    if sleeps:
        yield Evidence(name="command", value=sleeps, source="kubernetes")
    for container in pod.containers:
        if container.image and not container.init:
            yield Evidence(name=f"image of {container.name}", value=container.image, source="kubernetes")
