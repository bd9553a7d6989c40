"""Objects of queues that outlive their pods, of two queues for the same pods, and names in several words."""

import pytest

from tests.kubernetes.objects import GFD_A100, Tree, inventory, node, owned_by, pod, thing
from tests.kubernetes.queues import GPU, NO_QUOTA, kueue, sums, volcano

TEMPLATE = {"spec": {"containers": [{"name": "m", "resources": {"requests": GPU}}]}}
GATED = {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}
GONE = {"deletionTimestamp": "2026-11-23T10:00:00Z"}


def job(spec: Tree | None = None, status: Tree | None = None, **meta: object) -> Tree:
    """A Job of pods with four GPUs."""
    return thing("Job", "j", "batch/v1", spec={"template": TEMPLATE} | (spec or {}), status=status or {}, meta=meta)


@pytest.mark.parametrize(
    "owner",
    [
        thing("StatefulSet", "s", "apps/v1", spec={"replicas": 0, "template": TEMPLATE}),
        job(status={"conditions": [{"type": "Complete", "status": "True"}]}),
        job({"suspend": True}),
        job(**GONE),
        job({"parallelism": 2, "completions": 2}, {"succeeded": 2}),
        thing("PyTorchJob", "t", "kubeflow.org/v1", spec={}, status={"completionTime": "2026-11-23T10:00:00Z"}),
        thing("Job", "v", "batch.volcano.sh/v1alpha1", spec={}, status={"state": {"phase": "Aborted"}}),
        thing("Job", "v", "batch.volcano.sh/v1alpha1", spec={}, meta=GONE),
    ],
    ids=["scaled down", "complete", "suspended", "going", "succeeded", "PyTorchJob", "aborted", "VolcanoJob going"],
)
@pytest.mark.parametrize("phase", ["Pending", "Inqueue"])
def test_a_group_whose_pods_nobody_wants_any_more_is_no_demand(owner: Tree, phase: str) -> None:
    """Volcano lets a group wait again as soon as its pods are gone (volcano-sh/volcano#4195, #2208, #3603, #1853)."""
    assert sums(owner, volcano(phase, 8, 2, owner)) == (0, 0)


def test_the_group_of_an_old_replica_set_is_no_demand() -> None:
    server = thing("Deployment", "d", "apps/v1", spec={"replicas": 1, "template": TEMPLATE})
    old, new = (thing("ReplicaSet", name, "apps/v1", owner=server) for name in ("d-1", "d-2"))
    running = pod("d-2-x", requests=GPU, meta={"ownerReferences": [owned_by(new)]})
    left = volcano("Inqueue", 4, 1, old)
    assert sums(node(gpu=8), server, old, new, running, left) == (0, 0)
    assert sums(node(gpu=8), server, old, new, left) == (4, 1)  # its own pods were not made yet


def test_a_group_of_a_pod_that_ended_is_no_demand() -> None:
    done = pod("p", requests=GPU, status={"phase": "Succeeded"})
    assert sums(done, volcano("Pending", 4, 1, done)) == (0, 0)


def test_pods_that_wait_for_two_queues_wait_once() -> None:
    """Kueue holds a pod's gate; Volcano, its scheduler, has made a group for it."""
    meta = {"annotations": {"scheduling.k8s.io/group-name": "pg"}}
    alone = pod("p", node_name=None, requests=GPU, meta=meta, spec=GATED)
    own = kueue("pod-p-1a2b3", alone, NO_QUOTA)
    own["spec"]["podSets"][0]["count"] = 1
    (found,) = inventory(alone, own, volcano("Pending", 4, 1, alone)).waiting
    assert (found.count, found.pods, found.reason) == (4.0, 1, "QuotaExhausted")


def test_work_that_waits_in_two_queues_without_pods_waits_once() -> None:
    cluster = thing("RayCluster", "r", "ray.io/v1", spec={"suspend": True})
    assert sums(cluster, kueue("raycluster-r-1", cluster, NO_QUOTA), volcano("Pending", 8, 2, cluster)) == (8, 2)
    assert sums(cluster, kueue("raycluster-r-1", cluster, NO_QUOTA)) == (8, 2)


@pytest.mark.parametrize("others", [{}, {"pod-group-name": "pg-l-0"}])
def test_another_scheduler_s_group_does_not_hide_kueue_s(others: Tree) -> None:
    """Two groups of a LeaderWorkerSet: one runs, one waits without pods. KAI names its own groups too."""
    lws = thing("LeaderWorkerSet", "l", "leaderworkerset.x-k8s.io/v1", spec={"replicas": 2})
    meta = {"labels": {"kueue.x-k8s.io/pod-group-name": "l-0"}, "annotations": others}
    running = [pod(f"l-0-{i}", requests=GPU, meta=meta | {"ownerReferences": [owned_by(lws)]}) for i in range(2)]
    groups = [kueue("l-0", lws, {"type": "Admitted", "status": "True"}), kueue("l-1", lws, NO_QUOTA)]
    assert sums(lws, *running, *groups) == (8, 2)


@pytest.mark.parametrize("key", ["scheduling.k8s.io/group-name", "scheduling.volcano.sh/group-name"])
def test_both_words_by_which_a_pod_names_volcano_s_group(key: str) -> None:
    pods = [pod(f"p{i}", node_name=None, requests=GPU, meta={"annotations": {key: "pg"}}) for i in range(2)]
    assert sums(volcano("Pending", 8, 2), *pods) == (8, 2)


def test_variants_of_a_workload_ask_for_the_same() -> None:
    owner = job({"suspend": True})
    first = kueue("job-j-1", owner, NO_QUOTA)
    assert sums(owner, first, kueue("job-j-1-a", first, NO_QUOTA), kueue("job-j-1-b", first, NO_QUOTA)) == (8, 2)


@pytest.mark.parametrize("name", ["deviceclass.resource.kubernetes.io/gpu.nvidia.com", "example.com/card"])
def test_a_group_and_its_pods_that_ask_for_a_device_class(name: str) -> None:
    known = thing("DeviceClass", "gpu.nvidia.com", "resource.k8s.io/v1", spec={"extendedResourceName": name})
    group = volcano("Pending", 0, 2)
    group["spec"]["minResources"] = {name: "8"}
    meta = {"annotations": {"scheduling.k8s.io/group-name": "pg"}}
    pods = [pod(f"p{i}", node_name=None, requests={name: "4"}, meta=meta) for i in range(2)]
    for count in (0, 1, 2):
        found = inventory(known, group, *pods[:count]).waiting
        assert {one.resource for one in found} == {"gpu.nvidia.com"}
        assert (sum(one.count for one in found), sum(one.gpus or 0 for one in found)) == (8.0, 8.0)


def test_a_claim_that_the_pods_of_a_queue_name_is_asked_for_once() -> None:
    exactly = {"deviceClassName": "gpu.nvidia.com", "count": 4}
    spec = {"devices": {"requests": [{"name": "r", "exactly": exactly}]}}
    claim = thing("ResourceClaim", "c", "resource.k8s.io/v1", spec=spec)
    group = kueue("w", None, NO_QUOTA)
    named = {"containers": [{"name": "m"}], "resourceClaims": [{"name": "g", "resourceClaimName": "c"}]}
    group["spec"]["podSets"][0]["template"] = {"spec": named}
    assert [(one.resource, one.count) for one in inventory(claim, group).waiting] == [("gpu.nvidia.com", 4.0)]


def test_parts_of_a_card_that_only_a_queue_tells_of() -> None:
    """HAMi: a Workload tells them by its containers; of a group nobody says what part each pod asks for."""
    each = {"nvidia.com/gpu": "1", "nvidia.com/gpumem-percentage": "25"}
    containers = [{"name": name, "resources": {"requests": each}} for name in ("a", "b")]
    group = kueue("w", None, NO_QUOTA)
    group["spec"]["podSets"] = [{"name": "main", "count": 1, "template": {"spec": {"containers": containers}}}]
    shared = {"hami.io/node-nvidia-register": "GPU-1,10,40960,100,NVIDIA-A100,0,true:"}
    there = node("h", annotations=shared, gpu=10)
    assert [(one.count, one.gpus) for one in inventory(there, group).waiting] == [(2.0, 0.5)]
    assert [(one.count, one.gpus) for one in inventory(there, volcano("Pending", 2, 2)).waiting] == [(2.0, None)]


@pytest.mark.parametrize(("total", "members", "expected"), [(8, 8, None), (8, 2, 8.0)])
def test_what_part_of_a_card_members_of_a_group_ask_for(total: int, members: int, expected: float | None) -> None:
    """Several for each member: then cards."""
    shared = GFD_A100 | {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.replicas": "4"}
    there = [node("a", labels=GFD_A100, gpu=8), node("b", labels=shared, gpu=32)]
    assert [one.gpus for one in inventory(*there, volcano("Pending", total, members)).waiting] == [expected]
