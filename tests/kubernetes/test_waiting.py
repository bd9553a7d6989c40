"""Unmet demand, each once."""

import pytest

from tests.kubernetes.objects import GFD_A100, Tree, inventory, node, owned_by, pod, thing
from tests.kubernetes.test_scheduling import refusal

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
    assert [row[:4] for row in waits(job, group, first)] == [
        ("c/VolcanoJob/team/train", "nvidia.com/gpu", 4.0, "Pending"),
        ("c/VolcanoJob/team/train", "nvidia.com/gpu", 4.0, "Unschedulable"),  # the pod that was not made yet
    ]


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


def test_a_gang_of_bare_pods_lacks_those_that_neither_run_nor_wait() -> None:
    group = thing("PodGroup", "gang", "scheduling.volcano.sh/v1beta1", status={"phase": "Inqueue"})
    group["spec"] = {"minMember": 3, "minResources": {"nvidia.com/gpu": "12"}}
    meta = {"annotations": {"scheduling.k8s.io/group-name": "gang"}}
    there = [pod(name, node_name=where, requests=GPU, meta=meta) for name, where in (("a", None), ("z", "n1"))]
    assert [(*row[:4], row[5]) for row in waits(group, *there)] == [
        ("c/Pod/team/a", "nvidia.com/gpu", 4.0, "Pending", 1),
        ("c/Pod/team/a", "nvidia.com/gpu", 4.0, "Unschedulable", 1),
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


def volcano(phase: str, gpus: int, members: int, owner: Tree | None = None, name: str = "pg") -> Tree:
    """A PodGroup of Volcano."""
    spec = {"minMember": members, "minResources": {"nvidia.com/gpu": str(gpus)}}
    return thing("PodGroup", name, "scheduling.volcano.sh/v1beta1", spec=spec, status={"phase": phase}, owner=owner)


def sums(*objects: Tree) -> tuple[float, int]:
    """What waits in all: devices and pods."""
    found = inventory(*objects).waiting
    return sum(one.count for one in found), sum(one.pods for one in found)


@pytest.mark.parametrize(
    ("phase", "made", "running", "expected"),
    [
        ("Inqueue", 1, 0, (32, 4)),  # one was made, three come
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


def test_a_quota_that_refused_what_a_queue_waits_for_adds_nothing() -> None:
    job = thing("Job", "train", "batch.volcano.sh/v1alpha1", spec={})
    refused = refusal("Job", "train")
    assert sums(job, volcano("Pending", 16, 4, job), refused) == (16, 4)
    refused["involvedObject"]["apiVersion"] = "batch.volcano.sh/v1alpha1"
    assert sums(job, volcano("Pending", 16, 4, job), refused) == (16, 4)
    other = thing("Job", "other", "batch/v1", spec={"parallelism": 2, "template": {"spec": {}}})
    assert sums(job, other, volcano("Pending", 16, 4, job), refused) == (16, 4)


def test_an_event_tells_which_of_two_jobs_of_a_name_it_is_about() -> None:
    template = {"spec": {"containers": [{"name": "m", "resources": {"requests": GPU}}]}}
    jobs = [
        thing("Job", "train", "batch/v1", spec={"parallelism": 3, "template": template}),
        thing("Job", "train", "batch.volcano.sh/v1alpha1", spec={}),
    ]
    jobs[1]["metadata"]["uid"] += "-volcano"
    refused = refusal("Job", "train")
    for group, expected in (("batch", "Job"), ("batch.volcano.sh", "VolcanoJob")):
        refused["involvedObject"]["apiVersion"] = f"{group}/v1"
        assert [one.workload for one in inventory(*jobs, refused).waiting] == [f"c/{expected}/team/train"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("kubeflow.org/v1 PyTorchJob", {"conditions": [{"type": "Succeeded", "status": "True"}]}),
        ("kubeflow.org/v1 MPIJob", {"completionTime": "2026-11-23T17:00:00Z"}),
        ("ray.io/v1 RayJob", {"jobStatus": "SUCCEEDED"}),
        ("jobset.x-k8s.io/v1alpha2 JobSet", {"conditions": [{"type": "Failed", "status": "True"}]}),
        ("batch.volcano.sh/v1alpha1 Job", {"state": {"phase": "Aborted"}}),
    ],
)
def test_a_job_that_ended_lacks_no_pod(kind: str, status: Tree) -> None:
    version, name = kind.split(" ")
    assert sums(thing(name, "train", version, spec={}, status=status), refusal(name, "train")) == (0, 0)
    assert sums(thing(name, "train", version, spec={}, status={}), refusal(name, "train")) == (4, 1)


def test_failed_indexes_are_not_tried_again() -> None:
    template = {"spec": {"containers": [{"name": "m", "resources": {"requests": GPU}}]}}
    spec = {"parallelism": 8, "completions": 8, "completionMode": "Indexed", "template": template}
    job = thing("Job", "train", "batch/v1", spec=spec, status={"succeeded": 2, "failedIndexes": "1,3-5"})
    assert sums(job, refusal("Job", "train")) == (8, 2)


def test_pods_that_stand_for_waiting_fractions_are_not_counted_beside_them() -> None:
    """KAI's node-scale-adjuster asks for whole GPUs in the place of fractions."""
    part = pod("part", node_name=None, meta={"annotations": {"gpu-fraction": "0.5"}})
    stand_in = pod("scaling-part", node_name=None, namespace="kai-scale-adjust", requests={"nvidia.com/gpu": "1"})
    assert [(one.resource, one.gpus) for one in inventory(part, stand_in).waiting] == [("gpu-fraction", 0.5)]


SHARED = {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.replicas": "4"}
SINGLE = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", "nvidia.com/mig.strategy": "single"}


@pytest.mark.parametrize(
    ("nodes", "each", "selector", "expected"),
    [
        ([SHARED, SHARED], 1, {}, 0.25),
        ([GFD_A100, GFD_A100], 1, {}, 1.0),
        ([GFD_A100 | SINGLE], 1, {}, 1 / 7),
        ([GFD_A100, SHARED], 1, {}, None),  # nobody knows where it goes
        ([GFD_A100, SHARED | {"pool": "dev"}], 1, {"pool": "dev"}, 0.25),
        ([GFD_A100, SHARED], 2, {}, 2.0),  # several replicas give no more than one
        ([], 1, {}, 1.0),
    ],
)
def test_what_a_pod_that_waits_would_get(nodes: list[Tree], each: int, selector: Tree, expected: float | None) -> None:
    there = [node(f"n{i}", labels=labels, gpu=8) for i, labels in enumerate(nodes)]
    one = pod(node_name=None, requests={"nvidia.com/gpu": str(each)}, spec={"nodeSelector": selector})
    (found,) = inventory(*there, one).waiting
    assert found.gpus == (None if expected is None else pytest.approx(expected))
    template = {"spec": {"nodeSelector": selector, "containers": one["spec"]["containers"]}}
    group = kueue("w", None, NO_QUOTA)
    group["spec"]["podSets"] = [{"name": "main", "count": 1, "template": template}]
    (queued,) = inventory(*there, group).waiting
    assert queued.gpus == found.gpus


@pytest.mark.parametrize("name", ["deviceclass.resource.kubernetes.io/gpu.nvidia.com", "example.com/card"])
def test_a_pod_that_asks_for_a_device_class_by_a_resource(name: str) -> None:
    known = thing("DeviceClass", "gpu.nvidia.com", "resource.k8s.io/v1", spec={"extendedResourceName": name})
    nic = thing(
        "DeviceClass", "nic.example.com", "resource.k8s.io/v1", spec={"extendedResourceName": "example.com/nic"}
    )
    others = pod("other", node_name=None, requests={"example.com/nic": "2"})
    (found,) = inventory(known, nic, pod(node_name=None, requests={name: "2"}), others).waiting
    assert (found.resource, found.count, found.gpus) == ("gpu.nvidia.com", 2.0, 2.0)


def test_of_a_claim_that_is_held_a_pod_asks_nothing_more() -> None:
    """Two pods share a claim: one runs, the other waits for a place beside it."""
    exactly = {"deviceClassName": "gpu.nvidia.com"}
    result = {"request": "r", "driver": "gpu.nvidia.com", "pool": "n1", "device": "gpu-0"}
    claim = thing(
        "ResourceClaim",
        "one",
        "resource.k8s.io/v1",
        spec={"devices": {"requests": [{"name": "r", "exactly": exactly}]}},
        status={"allocation": {"devices": {"results": [result]}}, "reservedFor": [{"resource": "pods", "name": "a"}]},
    )
    use = {"resourceClaims": [{"name": "g", "resourceClaimName": "one"}]}
    found = inventory(claim, pod("a", spec=use), pod("b", node_name=None, spec=use))
    assert found.waiting == ()
    assert {one.name: [held.gpus for held in one.holdings] for one in found.pods} == {"a": [1.0], "b": [0.0]}
    claim["status"]["reservedFor"] = [{"apiGroup": "scheduling.k8s.io", "resource": "podgroups", "name": "g"}]
    group = inventory(claim, pod("a", spec=use), pod("b", node_name=None, spec=use), pod("c", spec=use))
    assert {one.name: [held.gpus for held in one.holdings] for one in group.pods} == {
        "a": [0.5],
        "b": [0.0],
        "c": [0.5],
    }


@pytest.mark.parametrize("count", [-5, 0, 2**40])
def test_a_number_of_devices_that_no_server_takes_is_not_known(count: int) -> None:
    exactly = {"deviceClassName": "gpu.nvidia.com", "count": count}
    spec = {"devices": {"requests": [{"name": "r", "exactly": exactly}]}}
    claim = thing("ResourceClaim", "one", "resource.k8s.io/v1", spec=spec)
    use = {"resourceClaims": [{"name": "g", "resourceClaimName": "one"}]}
    (found,) = inventory(claim, pod(node_name=None, spec=use)).pods
    assert [(held.count, held.gpus) for held in found.holdings] == [(0.0, None)]


def test_a_server_that_claims_a_network_card_is_no_gpu_workload() -> None:
    def template(name: str, device_class: str) -> Tree:
        exactly = {"deviceClassName": device_class}
        spec = {"spec": {"devices": {"requests": [{"name": "r", "exactly": exactly}]}}}
        return thing("ResourceClaimTemplate", name, "resource.k8s.io/v1", spec=spec)

    def server(name: str) -> Tree:
        claims = [{"name": "x", "resourceClaimTemplateName": name}]
        spec = {"containers": [{"name": "m"}], "resourceClaims": claims}
        return thing("Deployment", name, "apps/v1", spec={"replicas": 0, "template": {"spec": spec}})

    templates = [template("nic", "nic.example.com"), template("gpu", "gpu.nvidia.com")]
    found = inventory(*templates, *map(server, ("nic", "gpu", "unknown"))).workloads
    assert [one.name for one in found] == ["gpu", "unknown"]


def test_the_pods_of_a_serverless_model_are_its_service_s() -> None:
    """The Revision and the Configuration between them are not read."""
    model = thing("InferenceService", "llm", "serving.kserve.io/v1beta1", spec={})
    above = thing("Revision", "llm-predictor-00001", "serving.knative.dev/v1")
    server = thing("Deployment", "llm-predictor-00001-deployment", "apps/v1", owner=above)
    replicas = thing("ReplicaSet", "llm-predictor-00001-deployment-x", "apps/v1", owner=server)
    marks = {"serving.knative.dev/service": "llm-predictor", "serving.knative.dev/revision": "llm-predictor-00001"}
    meta = {"ownerReferences": [owned_by(replicas)]}
    plain = pod(requests=GPU, meta=meta | {"labels": marks})
    assert [one.workload for one in inventory(server, replicas, plain).pods] == ["c/KnativeService/team/llm-predictor"]
    served = pod(requests=GPU, meta=meta | {"labels": marks | {"serving.kserve.io/inferenceservice": "llm"}})
    found = inventory(model, server, replicas, served)
    assert [one.workload for one in found.pods] == ["c/InferenceService/team/llm"]
    assert [(one.kind, one.listed) for one in found.workloads] == [("InferenceService", True)]
