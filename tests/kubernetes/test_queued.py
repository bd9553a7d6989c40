"""What queues hold back beyond the pods that there are: Kueue and Volcano."""

import pytest

from tests.kubernetes.objects import Tree, inventory, owned_by, pod, thing
from tests.kubernetes.queues import GPU, NO_QUOTA, kueue, sums, volcano, waits


def test_a_suspended_kueue_job_without_pods() -> None:
    job = thing("Job", "ablation", "batch/v1", spec={"suspend": True})
    assert waits(job, kueue("w", job, NO_QUOTA)) == [
        ("c/Job/team/ablation", "nvidia.com/gpu", 8.0, "QuotaExhausted", "research", 2)
    ]


def test_kueue_and_its_gated_pods_count_once() -> None:
    job = thing("Job", "ablation", "batch/v1")
    gated = {"spec": {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}}
    pods = [
        pod(f"a{i}", node_name=None, requests=GPU, meta={"ownerReferences": [owned_by(job)]}, **gated) for i in range(2)
    ]
    expected = [("c/Job/team/ablation", "nvidia.com/gpu", 8.0, "QuotaExhausted", "research", 2)]
    assert waits(job, *pods, kueue("w", job, NO_QUOTA)) == expected
    assert waits(job, *pods, kueue("job-ablation-7d1e2", None, NO_QUOTA)) == expected  # joined by its name


def test_admitted_finished_and_inactive_workloads_do_not_wait() -> None:
    for done in ("Admitted", "Finished"):
        assert waits(kueue("w", None, {"type": done, "status": "True"})) == []
    assert waits(kueue("w", None, active=False)) == []


def test_a_volcano_group_without_pods_waits_by_its_least_resources() -> None:
    job = thing("Job", "train", "batch.volcano.sh/v1alpha1", spec={})
    spec = {"minMember": 2, "queue": "q", "minResources": {"nvidia.com/gpu": "16", "cpu": "4"}}
    group = thing("PodGroup", "pg", "scheduling.volcano.sh/v1beta1", spec=spec, status={"phase": "Pending"}, owner=job)
    assert waits(job, group) == [("c/VolcanoJob/team/train", "nvidia.com/gpu", 16.0, "Inadmissible", "q", 2)]
    running = thing(
        "PodGroup", "pg", "scheduling.volcano.sh/v1beta1", spec=spec, status={"phase": "Running"}, owner=job
    )
    assert waits(job, running) == []


def test_a_volcano_group_and_its_pods_count_once_also_without_an_owner() -> None:
    job = thing("Job", "train", "batch.volcano.sh/v1alpha1", spec={})
    group = thing("PodGroup", "train", "scheduling.volcano.sh/v1beta1", status={"phase": "Pending"})
    group["spec"] = {"minMember": 2, "minResources": {"nvidia.com/gpu": "8"}}
    meta = {"annotations": {"scheduling.k8s.io/group-name": "train"}, "ownerReferences": [owned_by(job)]}
    first = pod("train-0", node_name=None, requests=GPU, meta=meta)
    assert [row[:4] for row in waits(job, group, first)] == [
        ("c/VolcanoJob/team/train", "nvidia.com/gpu", 4.0, "Inadmissible"),  # the pod that was not made yet
        ("c/VolcanoJob/team/train", "nvidia.com/gpu", 4.0, "Pending"),
    ]


def test_what_several_parts_of_a_workload_wait_for_is_added_up() -> None:
    """The Jobs of a Workflow, each suspended with a Workload of its own; equal pods are one shape."""
    flow = thing("Workflow", "flow", "argoproj.io/v1alpha1", spec={})
    jobs = [thing("Job", name, "batch/v1", spec={"suspend": True}, owner=flow) for name in ("a", "b")]
    queued = [kueue(f"job-{job['metadata']['name']}-1", job, NO_QUOTA) for job in jobs]
    whole = inventory(flow, *jobs, *queued)
    (found,) = whole.waiting
    assert (found.workload, found.count, found.pods) == ("c/Workflow/team/flow", 16.0, 4)
    assert [(shape.pods, shape.requests) for shape in found.shapes] == [(4, {"nvidia.com/gpu": 4.0})]


def test_a_part_without_pods_waits_beside_one_with_pods() -> None:
    flow = thing("Workflow", "flow", "argoproj.io/v1alpha1", spec={})
    made = thing("Job", "made", "batch/v1", owner=flow)
    held = thing("Job", "held", "batch/v1", spec={"suspend": True}, owner=flow)
    first = pod("made-0", node_name=None, requests=GPU, meta={"ownerReferences": [owned_by(made)]})
    assert waits(flow, made, held, first, kueue("job-held-1", held, NO_QUOTA)) == [
        ("c/Workflow/team/flow", "nvidia.com/gpu", 4.0, "Pending", None, 1),
        ("c/Workflow/team/flow", "nvidia.com/gpu", 8.0, "QuotaExhausted", "research", 2),
    ]


def test_a_workload_of_an_owner_that_was_not_listed_and_its_pods_count_once() -> None:
    """A RayJob's pods are its RayCluster's, whose label names it."""
    job = thing("RayJob", "train", "ray.io/v1")
    cluster = thing("RayCluster", "train-x", "ray.io/v1", owner=job)
    gated = {"spec": {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}}
    pods = [
        pod(f"w{i}", node_name=None, requests=GPU, meta={"ownerReferences": [owned_by(cluster)]}, **gated)
        for i in range(2)
    ]
    expected = [("c/RayJob/team/train", "nvidia.com/gpu", 8.0, "QuotaExhausted", "research", 2)]
    assert waits(cluster, *pods, kueue("rayjob-train-1", job, NO_QUOTA)) == expected


def test_a_gang_of_bare_pods_lacks_those_that_neither_run_nor_wait() -> None:
    group = thing("PodGroup", "gang", "scheduling.volcano.sh/v1beta1", status={"phase": "Pending"})
    group["spec"] = {"minMember": 3, "minResources": {"nvidia.com/gpu": "12"}}
    meta = {"annotations": {"scheduling.k8s.io/group-name": "gang"}}
    there = [pod(name, node_name=where, requests=GPU, meta=meta) for name, where in (("a", None), ("z", "n1"))]
    assert [(*row[:4], row[5]) for row in waits(group, *there)] == [
        ("c/Pod/team/a", "nvidia.com/gpu", 4.0, "Inadmissible", 1),
        ("c/Pod/team/a", "nvidia.com/gpu", 4.0, "Pending", 1),
    ]


def test_work_that_has_its_quota_and_waits_for_a_check_lacks_no_quota() -> None:
    job = thing("Job", "train", "batch/v1", spec={"suspend": True})
    reserved = {"type": "QuotaReserved", "status": "True", "message": "Quota reserved in ClusterQueue cq"}
    assert [row[3] for row in waits(job, kueue("w", job, reserved))] == ["Suspended"]


def gpu_pods(count: int, *, owner: Tree | None = None, running: int = 0, each: str = "8", **meta: Tree) -> list[Tree]:
    """Pods of which so many run, the others wait."""
    owned = {"ownerReferences": [owned_by(owner)]} if owner else {}
    return [
        pod(f"p{i}", node_name="n1" if i < running else None, requests={"nvidia.com/gpu": each}, meta=owned | meta)
        for i in range(count)
    ]


@pytest.mark.parametrize(
    ("phase", "made", "running", "expected"),
    [
        ("Pending", 1, 0, (32, 4)),  # one was made, three come
        ("Inqueue", 1, 0, (8, 1)),  # it was let in, and its pods are made at once
        ("Inqueue", 0, 0, (32, 4)),
        ("Pending", 4, 3, (8, 1)),  # the fourth was lost, the group waits again
        ("Pending", 3, 3, (8, 1)),
        ("Pending", 4, 4, (0, 0)),
        ("Pending", 5, 4, (8, 1)),  # more than it needs at least
        ("Running", 3, 3, (0, 0)),
    ],
)
def test_a_gang_lacks_what_it_needs_beyond_its_pods(
    phase: str, made: int, running: int, expected: tuple[float, int]
) -> None:
    job = thing("Job", "train", "batch.volcano.sh/v1alpha1", spec={})
    group = volcano(phase, 32, 4, job)
    assert sums(job, group, *gpu_pods(made, owner=job, running=running)) == expected
    named = gpu_pods(made, running=running, annotations={"scheduling.k8s.io/group-name": "pg"})
    assert sums(volcano(phase, 32, 4), *named) == expected


@pytest.mark.parametrize("names", [("requests.nvidia.com/gpu",), ("nvidia.com/gpu", "requests.nvidia.com/gpu")])
def test_a_group_tells_its_resources_as_quotas_do(names: tuple[str, ...]) -> None:
    """Volcano sums up what a ResourceQuota would count; before 1.8 it left out the plain names of devices."""
    group = volcano("Pending", 0, 2)
    group["spec"]["minResources"] = dict.fromkeys(names, "16") | {"count/pods": "2", "limits.cpu": "8", "pods": "2"}
    assert sums(group) == (16, 2)


def test_a_group_whose_leader_alone_was_made_waits_for_all() -> None:
    """LeaderWorkerSet, startup policy LeaderReady: Kueue holds the leader's gate, so no worker is made."""
    lws = thing("LeaderWorkerSet", "big", "leaderworkerset.x-k8s.io/v1", spec={})
    leaders = thing("StatefulSet", "big", "apps/v1", owner=lws)
    groups = [kueue(f"big-{i}", lws, NO_QUOTA) for i in range(2)]
    meta = {"labels": {"kueue.x-k8s.io/pod-group-name": "big-0"}, "ownerReferences": [owned_by(leaders)]}
    gated = {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}
    leader = pod("big-0", node_name=None, requests=GPU, meta=meta, spec=gated)
    found = inventory(lws, leaders, leader, *groups).waiting
    assert [(one.count, one.pods, one.reason, one.workload) for one in found] == [
        (4.0, 1, "QuotaExhausted", "c/LeaderWorkerSet/team/big"),
        (12.0, 3, "QuotaExhausted", "c/LeaderWorkerSet/team/big"),
    ]


def test_pods_of_a_group_that_was_let_in_are_not_the_next_ones() -> None:
    lws = thing("LeaderWorkerSet", "big", "leaderworkerset.x-k8s.io/v1", spec={})
    meta = {"labels": {"kueue.x-k8s.io/pod-group-name": "big-0"}, "ownerReferences": [owned_by(lws)]}
    running = [pod(f"big-{i}", requests=GPU, meta=meta) for i in range(2)]
    let_in = kueue("big-0", lws, {"type": "Admitted", "status": "True"})
    assert sums(lws, *running, let_in, kueue("big-1", lws, NO_QUOTA)) == (8, 2)


def test_all_pods_of_a_plain_group_get_its_reason() -> None:
    gated = {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}
    meta = {"labels": {"kueue.x-k8s.io/pod-group-name": "w"}}
    pods = [pod(f"b{i}", node_name=None, requests=GPU, meta=meta, spec=gated) for i in range(2)]
    group = kueue("w", None, NO_QUOTA)
    group["metadata"]["ownerReferences"] = [owned_by(one) | {"controller": False} for one in pods]
    assert [row[2:4] for row in waits(*pods, group)] == [(4.0, "QuotaExhausted")] * 2


def test_a_launcher_without_a_gpu_is_no_pod_that_waits_for_one() -> None:
    group = kueue("w", None, NO_QUOTA)
    launcher = {"spec": {"containers": [{"name": "l", "resources": {"requests": {"cpu": "1"}}}]}}
    group["spec"]["podSets"].insert(0, {"name": "launcher", "count": 1, "template": launcher})
    assert sums(group) == (8, 2)


def test_pods_that_are_not_needed_any_more_are_given_back() -> None:
    group = kueue("w", None, NO_QUOTA)
    group["status"]["reclaimablePods"] = [{"name": "main", "count": 1}]
    assert sums(group) == (4, 1)


def test_fractions_and_claims_of_work_in_a_queue() -> None:
    """Kueue's object alone tells: by annotation, and by a template of claims."""
    part, claim, launcher = (
        {"spec": {"containers": [{"name": "m", "resources": {}}]}, "metadata": {"annotations": marks}}
        for marks in ({"gpu-fraction": "0.5"}, {}, {})
    )
    claim["spec"]["resourceClaims"] = [{"name": "g", "resourceClaimTemplateName": "two"}]
    exactly = {"deviceClassName": "gpu.nvidia.com", "count": 2}
    spec = {"spec": {"devices": {"requests": [{"name": "r", "exactly": exactly}]}}}
    two = thing("ResourceClaimTemplate", "two", "resource.k8s.io/v1", spec=spec)
    group = kueue("w", None, NO_QUOTA)
    group["spec"]["podSets"] = [
        {"name": name, "count": 3, "template": template}
        for name, template in (("part", part), ("claim", claim), ("launcher", launcher))
    ]
    assert {(one.resource, one.count, one.gpus, one.pods) for one in inventory(two, group).waiting} == {
        ("gpu-fraction", 3.0, 1.5, 3),
        ("gpu.nvidia.com", 6.0, 6.0, 3),
    }


def test_work_without_pods_keeps_what_its_pods_would_ask() -> None:
    template = {
        "spec": {
            "nodeSelector": {"pool": "h100"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "containers": [{"name": "m", "resources": {"requests": {"nvidia.com/gpu": "8", "cpu": "4"}}}],
        }
    }
    spec = {"queueName": "ml", "podSets": [{"name": "main", "count": 3, "template": template}]}
    (found,) = inventory(thing("Workload", "w", "kueue.x-k8s.io/v1beta2", spec=spec)).waiting
    (shape,) = found.shapes
    assert (shape.pods, shape.requests) == (3, {"nvidia.com/gpu": 8.0, "cpu": 4.0})
    assert (shape.node_selector, shape.tolerations) == ({"pool": "h100"}, ("nvidia.com/gpu",))
