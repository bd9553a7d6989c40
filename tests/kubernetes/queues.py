"""What queues and quotas say of work, as an API server would answer it, and what waits of it."""

from tests.kubernetes.objects import Tree, inventory, thing

GPU = {"nvidia.com/gpu": "4"}


def kueue(name: str, owner: Tree | None, *conditions: Tree, active: bool = True) -> Tree:
    """A Kueue Workload of two pods with four GPUs each."""
    template = {"spec": {"containers": [{"name": "m", "resources": {"requests": GPU}}]}}
    spec = {"active": active, "queueName": "research", "podSets": [{"name": "main", "count": 2, "template": template}]}
    return thing(
        "Workload", name, "kueue.x-k8s.io/v1beta2", spec=spec, status={"conditions": list(conditions)}, owner=owner
    )


NO_QUOTA = {
    "type": "QuotaReserved",
    "status": "False",
    "reason": "Pending",
    "message": "insufficient quota for nvidia.com/gpu",
}


def waits(*objects: Tree) -> list[tuple[str, str, float, str, str | None, int]]:
    return [(w.workload, w.resource, w.count, w.reason, w.queue, w.pods) for w in inventory(*objects).waiting]


def volcano(phase: str, gpus: int, members: int, owner: Tree | None = None, name: str = "pg") -> Tree:
    """A PodGroup of Volcano."""
    spec = {"minMember": members, "minResources": {"nvidia.com/gpu": str(gpus)}}
    return thing("PodGroup", name, "scheduling.volcano.sh/v1beta1", spec=spec, status={"phase": phase}, owner=owner)


def sums(*objects: Tree) -> tuple[float, int]:
    """What waits in all: devices and pods."""
    found = inventory(*objects).waiting
    return sum(one.count for one in found), sum(one.pods for one in found)


def refusal(about: str, name: str) -> Tree:
    """An event of a controller whose pod a quota refused."""
    return thing(
        "Event",
        f"{name}.1",
        involvedObject={"kind": about, "name": name, "namespace": "team"},
        reason="FailedCreate",
        message='Error creating: pods "a-x" is forbidden: exceeded quota: gpu, requested: requests.nvidia.com/gpu=4, '
        "used: requests.nvidia.com/gpu=8, limited: requests.nvidia.com/gpu=8",
        firstTimestamp="2026-11-23T10:00:00Z",
        lastTimestamp="2026-11-23T16:00:00Z",
    )
