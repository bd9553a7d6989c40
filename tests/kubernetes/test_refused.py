"""Pods that a quota refused: events tell of them."""

import pytest

from tests.kubernetes.objects import Tree, inventory, node, owned_by, pod, thing
from tests.kubernetes.queues import GPU, refusal, sums, volcano

TEMPLATE = {"spec": {"containers": [{"name": "m", "resources": {"requests": GPU}}]}}


def server(replicas: int) -> tuple[Tree, Tree]:
    """A Deployment of pods with four GPUs, and its ReplicaSet."""
    template = {"spec": {"containers": [{"name": "m", "resources": {"requests": GPU}}]}}
    deployment = thing("Deployment", "a", "apps/v1", spec={"replicas": replicas, "template": template})
    return deployment, thing("ReplicaSet", "a-1", "apps/v1", owner=deployment)


def test_pods_that_a_quota_refused_wait_too() -> None:
    deployment, replica_set = server(4)
    there = [pod(f"a-1-{i}", requests=GPU, meta={"ownerReferences": [owned_by(replica_set)]}) for i in range(2)]
    (found,) = inventory(node(gpu=8), deployment, replica_set, *there, refusal("ReplicaSet", "a-1")).waiting
    assert (found.workload, found.count, found.pods) == ("c/Deployment/team/a", 8.0, 2)
    assert (found.reason, found.gpus) == ("QuotaExhausted", 8.0)
    assert found.since
    assert found.since.isoformat() == "2026-11-23T10:00:00+00:00"


def test_an_old_refusal_of_a_complete_workload_is_over() -> None:
    deployment, replica_set = server(1)
    there = pod("a-1-x", requests=GPU, meta={"ownerReferences": [owned_by(replica_set)]})
    assert inventory(deployment, replica_set, there, refusal("ReplicaSet", "a-1")).waiting == ()


def test_what_wants_no_pods_lacks_none() -> None:
    """Scaled to none, complete, or suspended since the refusal."""
    deployment, replica_set = server(0)
    assert inventory(deployment, replica_set, refusal("ReplicaSet", "a-1")).waiting == ()
    template = {"spec": {"containers": [{"name": "m", "resources": {"requests": GPU}}]}}
    spec = {"parallelism": 2, "completions": 2, "template": template}
    complete = {"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 2}
    for more, status in (({}, complete), ({"suspend": True}, {}), ({}, {"succeeded": 2}), ({"parallelism": 0}, {})):
        job = thing("Job", "a", "batch/v1", spec=spec | more, status=status)
        assert inventory(job, refusal("Job", "a")).waiting == ()
    queue = thing("Job", "a", "batch/v1", spec={"parallelism": 2, "template": template}, status={"succeeded": 1})
    assert inventory(queue, refusal("Job", "a")).waiting == ()  # of a work queue, when one succeeds no more start
    job = thing("Job", "a", "batch/v1", spec=spec, status={"succeeded": 1})
    assert [found.pods for found in inventory(job, refusal("Job", "a")).waiting] == [1]


def test_a_job_of_a_schedule_lacks_what_it_says_itself() -> None:
    template = {"spec": {"containers": [{"name": "m", "resources": {"requests": GPU}}]}}
    spec = {"parallelism": 3, "template": template}
    cron = thing("CronJob", "nightly", "batch/v1", spec={"schedule": "5 1 * * *", "jobTemplate": {"spec": spec}})
    job = thing("Job", "nightly-1", "batch/v1", owner=cron, spec=spec)
    (found,) = inventory(cron, job, refusal("Job", "nightly-1")).waiting
    assert (found.workload, found.pods) == ("c/CronJob/team/nightly", 3)


@pytest.mark.parametrize(
    ("root", "kind", "expected"),
    [
        (thing("JobSet", "r", "jobset.x-k8s.io/v1alpha2"), "Job", "JobSet"),
        (thing("CronJob", "r", "batch/v1", spec={"schedule": "5 1 * * *"}), "Job", "CronJob"),
        (thing("LeaderWorkerSet", "r", "leaderworkerset.x-k8s.io/v1"), "StatefulSet", "LeaderWorkerSet"),
    ],
    ids=["JobSet", "CronJob", "LeaderWorkerSet"],
)
def test_running_siblings_are_not_taken_for_what_was_refused(root: Tree, kind: str, expected: str) -> None:
    """Of four parts of two pods one runs, one half, and two have none: five pods lack. Each refusal is told twice."""
    group = "batch/v1" if kind == "Job" else "apps/v1"
    size = {"parallelism": 2} if kind == "Job" else {"replicas": 2}
    parts = [thing(kind, f"r-{n}", group, owner=root, spec=size | {"template": TEMPLATE}) for n in range(4)]
    pods = [
        pod(f"r-{part}-{number}", requests=GPU, meta={"ownerReferences": [owned_by(parts[part])]})
        for part, number in ((0, 0), (0, 1), (1, 0))
    ]
    told = [refusal(kind, f"r-{number}") for number in range(4)]
    again = [event | {"metadata": event["metadata"] | {"name": f"{event['metadata']['name']}.b"}} for event in told]
    (found,) = inventory(node(gpu=32), root, *parts, *pods, *told, *again).waiting
    assert (found.workload, found.pods, found.count) == (f"c/{expected}/team/r", 5, 20.0)


def test_a_refusal_of_something_unknown_counts_for_nothing() -> None:
    assert inventory(refusal("ReplicaSet", "gone-1")).waiting == ()


def test_a_refusal_is_counted_by_the_controller_nearest_to_it() -> None:
    """KServe: the service says one pod at least, its Deployment wants five."""
    service = thing("InferenceService", "llm", "serving.kserve.io/v1beta1", spec={"predictor": {"minReplicas": 1}})
    deployment, replica_set = server(5)
    deployment["metadata"]["ownerReferences"] = [owned_by(service)]
    there = pod("a-1-0", requests=GPU, meta={"ownerReferences": [owned_by(replica_set)]})
    (found,) = inventory(node(gpu=8), service, deployment, replica_set, there, refusal("ReplicaSet", "a-1")).waiting
    assert (found.workload, found.count, found.pods) == ("c/InferenceService/team/llm", 16.0, 4)


@pytest.mark.parametrize("amount", ["-5", "9E", "0", "1e400"])
def test_a_refusal_of_what_no_pod_asks_for_tells_nothing(amount: str) -> None:
    """Where the template is known that counts, whatever the message says."""
    named = f"requested: requests.nvidia.com/gpu={amount}"
    for about, name, others, expected in (
        ("PyTorchJob", "a", [thing("PyTorchJob", "a", "kubeflow.org/v1", spec={})], (0, 0)),
        ("ReplicaSet", "a-1", [*server(2)], (8, 2)),
    ):
        told = refusal(about, name)
        told["message"] = str(told["message"]).replace("requested: requests.nvidia.com/gpu=4", named)
        assert sums(*others, told) == expected


@pytest.mark.parametrize(
    ("kind", "version", "reason"),
    [("PyTorchJob", "kubeflow.org/v1", "FailedCreatePod"), ("RayCluster", "ray.io/v1", "FailedToCreateWorkerPod")],
)
def test_refusals_are_told_in_other_words_too(kind: str, version: str, reason: str) -> None:
    owner = thing(kind, "train", version, spec={})
    told = refusal(kind, "train") | {"reason": reason}
    (found,) = inventory(owner, told).waiting
    assert (found.workload, found.count) == (f"c/{kind}/team/train", 4.0)


def test_workers_below_a_leader_pod_do_not_hide_a_leader_that_was_refused() -> None:
    """LeaderWorkerSet: one StatefulSet makes the leaders, and each leader pod owns the one of its workers."""
    template = {"spec": {"containers": [{"name": "m", "resources": {"requests": GPU}}]}}
    whole = thing("LeaderWorkerSet", "llm", "leaderworkerset.x-k8s.io/v1", spec={"replicas": 2})
    leaders = thing("StatefulSet", "llm", "apps/v1", owner=whole, spec={"replicas": 2, "template": template})
    leader = pod("llm-0", requests=GPU, meta={"ownerReferences": [owned_by(leaders)], "uid": "u-llm-0"})
    workers = thing("StatefulSet", "llm-0", "apps/v1", owner=leader, spec={"replicas": 2, "template": template})
    there = [pod(f"llm-0-{i}", requests=GPU, meta={"ownerReferences": [owned_by(workers)]}) for i in (1, 2)]
    (found,) = inventory(node(gpu=16), whole, leaders, leader, workers, *there, refusal("StatefulSet", "llm")).waiting
    assert (found.workload, found.count, found.pods) == ("c/LeaderWorkerSet/team/llm", 4.0, 1)


def test_a_suspended_job_of_another_kind_wants_nothing() -> None:
    job = thing("PyTorchJob", "train", "kubeflow.org/v1", spec={"runPolicy": {"suspend": True}})
    assert inventory(job, refusal("PyTorchJob", "train") | {"reason": "FailedCreatePod"}).waiting == ()


def test_a_quota_that_refused_what_a_queue_waits_for_adds_nothing() -> None:
    job = thing("Job", "train", "batch.volcano.sh/v1alpha1", spec={})
    refused = refusal("Job", "train")
    assert sums(job, volcano("Pending", 16, 4, job), refused) == (16, 4)
    refused["involvedObject"]["apiVersion"] = "batch.volcano.sh/v1alpha1"
    assert sums(job, volcano("Pending", 16, 4, job), refused) == (16, 4)
    other = thing("Job", "other", "batch/v1", spec={"parallelism": 2, "template": {"spec": {}}})
    assert sums(job, other, volcano("Pending", 16, 4, job), refused) == (16, 4)
    for name in ("train-0", "train-1"):
        there = pod(name, node_name=None, requests=GPU, meta={"ownerReferences": [owned_by(job)]})
        again = refused | {"metadata": refused["metadata"] | {"name": "again", "uid": "again"}}
        assert sums(job, volcano("Inqueue", 16, 4, job), there) == (4, 1)  # no word of the others
        assert sums(job, volcano("Inqueue", 16, 4, job), there, refused, again) == (16, 4)


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


@pytest.mark.parametrize("more", ["requests.cpu=32", "pods=1", "requests.memory=64Gi"])
def test_a_refusal_over_something_else_keeps_gpus_waiting_too(more: str) -> None:
    """A quota's message names only what was exceeded."""
    told = refusal("ReplicaSet", "a-1")
    told["message"] = (
        f'Error creating: pods "x" is forbidden: exceeded quota: q, requested: {more}, used: 9, limited: 9'
    )
    (found,) = inventory(*server(2), told).waiting
    assert (found.count, found.gpus, found.pods, found.shapes[0].pods) == (8.0, 8.0, 2, 2)


def test_a_refused_part_of_a_card_stays_a_part() -> None:
    """HAMi: two virtual GPUs of a quarter of a card each."""
    each = {"nvidia.com/gpu": "1", "nvidia.com/gpumem-percentage": "25"}
    template = {"spec": {"containers": [{"name": "m", "resources": {"requests": each}}]}}
    job = thing("Job", "a", "batch/v1", spec={"parallelism": 2, "template": template})
    assert [(one.count, one.gpus) for one in inventory(job, refusal("Job", "a")).waiting] == [(2.0, 0.5)]


def trainer(**more: object) -> Tree:
    """A PyTorchJob of a master and seven workers with four GPUs each."""
    roles = {"Master": {"template": TEMPLATE}, "Worker": {"replicas": 7, "template": TEMPLATE}}
    return thing("PyTorchJob", "train", "kubeflow.org/v1", spec={"pytorchReplicaSpecs": roles} | more)


def ray(*groups: Tree) -> Tree:
    """A RayCluster whose head has no GPU."""
    head = {"template": {"spec": {"containers": [{"name": "head"}]}}}
    return thing("RayCluster", "r", "ray.io/v1", spec={"headGroupSpec": head, "workerGroupSpecs": list(groups)})


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (trainer(), (32.0, 8)),
        (trainer(runPolicy={"suspend": True}), (0.0, 0)),
        (trainer() | {"status": {"conditions": [{"type": "Failed", "status": "True"}]}}, (0.0, 0)),
        (ray({"groupName": "a", "replicas": 2, "numOfHosts": 2, "template": TEMPLATE}), (16.0, 4)),
        (ray({"groupName": "a", "minReplicas": 1, "template": TEMPLATE}), (4.0, 1)),
        (ray({"groupName": "a", "replicas": 0, "template": TEMPLATE}), (0.0, 0)),
        (
            ray({"groupName": "a", "template": TEMPLATE}, {"groupName": "b", "suspend": True, "template": TEMPLATE}),
            (4.0, 1),
        ),
        (
            thing(
                "Job",
                "v",
                "batch.volcano.sh/v1alpha1",
                spec={"tasks": [{"name": "t", "replicas": 3, "template": TEMPLATE}]},
            ),
            (12.0, 3),
        ),
    ],
    ids=["PyTorchJob", "suspended", "failed", "hosts", "least", "none", "a group at rest", "Volcano"],
)
def test_a_custom_job_lacks_all_the_pods_that_it_wants(job: Tree, expected: tuple[float, int]) -> None:
    told = refusal(job["kind"], job["metadata"]["name"])
    told["involvedObject"]["apiVersion"] = job["apiVersion"]
    assert sums(node(gpu=8), job, told) == expected


def test_a_custom_job_has_the_pods_that_there_are() -> None:
    """By role where they tell it: a worker that succeeded is not made again, a failed one is."""
    job, told = trainer(), refusal("PyTorchJob", "train")

    def made(name: str, phase: str, **labels: str) -> Tree:
        meta = {
            "ownerReferences": [owned_by(job)],
            "labels": {f"training.kubeflow.org/{key}": v for key, v in labels.items()},
        }
        return pod(name, requests=GPU, status={"phase": phase}, meta=meta)

    there = [made("train-master-0", "Running", **{"replica-type": "master"})]
    there += [made(f"train-worker-{n}", "Succeeded", **{"replica-type": "worker"}) for n in range(2)]
    assert sums(node(gpu=8), job, told, *there) == (20.0, 5)
    there.append(made("train-worker-2", "Failed", **{"replica-type": "worker"}))
    assert sums(node(gpu=8), job, told, *there) == (20.0, 5)
    there.append(made("train-x", "Running"))
    assert sums(node(gpu=8), job, told, *there) == (16.0, 4)
