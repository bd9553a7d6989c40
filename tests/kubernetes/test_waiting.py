"""Unmet demand, each once."""

from tests.kubernetes.objects import Tree, inventory, owned_by, pod, thing

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


def test_pods_of_a_workload_wait_together() -> None:
    job = thing("Job", "sweep", "batch/v1")
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/35 nodes",
        "lastTransitionTime": "2026-11-21T14:46:13Z",
    }
    pods = [
        pod(
            f"s{i}",
            node_name=None,
            requests=GPU,
            meta={"ownerReferences": [owned_by(job)]},
            status={"conditions": [condition]},
        )
        for i in range(3)
    ]
    (found,) = inventory(job, *pods).waiting
    assert (found.workload, found.count, found.gpus, found.pods) == ("c/Job/team/sweep", 12.0, 12.0, 3)
    assert (found.reason, found.message) == ("Unschedulable", "0/35 nodes")
    assert found.since
    assert found.since.isoformat() == "2026-11-21T14:46:13+00:00"


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
    group = thing("PodGroup", "train", "scheduling.volcano.sh/v1beta1", status={"phase": "Inqueue"})
    group["spec"] = {"minMember": 2, "minResources": {"nvidia.com/gpu": "8"}}
    meta = {"annotations": {"scheduling.k8s.io/group-name": "train"}, "ownerReferences": [owned_by(job)]}
    first = pod("train-0", node_name=None, requests=GPU, meta=meta)
    assert [row[:3] for row in waits(job, group, first)] == [("c/VolcanoJob/team/train", "nvidia.com/gpu", 4.0)]


def test_cpu_work_that_waits_is_not_reported() -> None:
    assert waits(pod(node_name=None, requests={"cpu": "4"})) == []


def test_a_deleted_pending_pod_does_not_wait() -> None:
    assert waits(pod(node_name=None, requests=GPU, meta={"deletionTimestamp": "2026-11-21T14:46:13Z"})) == []


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


def test_a_gang_of_bare_pods_of_which_some_run_counts_those_that_wait() -> None:
    group = thing("PodGroup", "gang", "scheduling.volcano.sh/v1beta1", status={"phase": "Inqueue"})
    group["spec"] = {"minMember": 3, "minResources": {"nvidia.com/gpu": "12"}}
    meta = {"annotations": {"scheduling.k8s.io/group-name": "gang"}}
    there = [pod(name, node_name=where, requests=GPU, meta=meta) for name, where in (("a", None), ("z", "n1"))]
    assert [row[:3] for row in waits(group, *there)] == [("c/Pod/team/a", "nvidia.com/gpu", 4.0)]


def test_work_that_has_its_quota_and_waits_for_a_check_lacks_no_quota() -> None:
    job = thing("Job", "train", "batch/v1", spec={"suspend": True})
    reserved = {"type": "QuotaReserved", "status": "True", "message": "Quota reserved in ClusterQueue cq"}
    assert [row[3] for row in waits(job, kueue("w", job, reserved))] == ["Suspended"]
