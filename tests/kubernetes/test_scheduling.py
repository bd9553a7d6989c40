"""What rules of scheduling read: where pods may stand, quotas by flavor, refused pods, budgets, settings."""

import json

import pytest

from gpuaudit.cluster.workloads import Pod
from tests.kubernetes.objects import Tree, inventory, node, owned_by, pod, thing

GPU = {"nvidia.com/gpu": "4"}


def waiting_pod(**spec: object) -> Pod:
    (found,) = inventory(pod(node_name=None, requests=GPU, spec=spec)).pods
    return found


def test_required_affinity_keeps_its_terms_and_fields() -> None:
    terms = [
        {
            "matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}],
            "matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n1"]}],
        },
        {"matchExpressions": [{"key": "gpu", "operator": "Exists"}]},
    ]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    found = waiting_pod(affinity=affinity)
    assert found.node_terms == (
        (("zone", "In", ("a", "b")), ("metadata.name", "NotIn", ("n1",))),
        (("gpu", "Exists", ()),),
    )
    assert found.affinity_keys == ("gpu", "metadata.name", "zone")


@pytest.mark.parametrize(
    ("toleration", "told"),
    [
        ({"operator": "Exists"}, "*"),
        ({"key": "nvidia.com/gpu", "operator": "Exists"}, "nvidia.com/gpu"),
        ({"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}, "sku=gpu:NoSchedule"),
        ({"key": "sku", "value": "gpu"}, "sku=gpu"),
        ({"key": "sku", "operator": "Equal"}, "sku="),
    ],
)
def test_tolerations(toleration: Tree, told: str) -> None:
    assert waiting_pod(tolerations=[toleration]).tolerations == (told,)


def test_shared_memory_of_the_node() -> None:
    assert waiting_pod(hostIPC=True).host_shm
    assert waiting_pod(volumes=[{"name": "shm", "hostPath": {"path": "/dev/shm"}}]).host_shm
    assert not waiting_pod(volumes=[{"name": "x", "hostPath": {"path": "/data"}}]).host_shm


@pytest.mark.parametrize(
    ("meta", "spec"),
    [
        ({"labels": {"scheduling.x-k8s.io/pod-group": "g"}}, {}),
        ({"annotations": {"scheduling.k8s.io/group-name": "g"}}, {}),
        ({}, {"workloadRef": {"name": "g", "podGroup": "workers"}}),
        ({}, {"schedulingGroup": {"podGroupName": "g"}}),
    ],
)
def test_a_pod_names_its_gang(meta: Tree, spec: Tree) -> None:
    (found,) = inventory(pod(requests=GPU, meta=meta, spec=spec)).pods
    assert found.pod_group == "g"


def test_how_a_container_ended_last() -> None:
    status = {
        "containerStatuses": [{"name": "main", "restartCount": 2, "lastState": {"terminated": {"exitCode": 135}}}]
    }
    (found,) = inventory(pod(requests=GPU, status=status)).pods
    assert [c.last_exit_code for c in found.containers] == [135]


def test_what_a_cluster_queue_may_use_by_flavor() -> None:
    resource = {"name": "nvidia.com/gpu", "nominalQuota": 8, "borrowingLimit": "4", "lendingLimit": 0}
    groups = [{"coveredResources": ["nvidia.com/gpu"], "flavors": [{"name": "h100", "resources": [resource]}]}]
    usage = [{"name": "h100", "resources": [{"name": "nvidia.com/gpu", "total": "10", "borrowed": "2"}]}]
    queue = thing(
        "ClusterQueue",
        "ml",
        "kueue.x-k8s.io/v1beta2",
        namespace="",
        spec={"cohortName": "all", "stopPolicy": "Hold", "resourceGroups": groups},
        status={"flavorsUsage": usage},
    )
    (found,) = inventory(queue).queues
    (flavor,) = found.flavors
    assert (flavor.flavor, flavor.nominal, flavor.borrowing_limit, flavor.lending_limit) == ("h100", 8, 4, 0)
    assert (flavor.used, flavor.borrowed) == (10, 2)
    assert (found.cohort, found.stopped) == ("all", "Hold")


def test_the_hard_limits_of_kai_and_volcano() -> None:
    kai = thing(
        "Queue", "a", "scheduling.run.ai/v2", namespace="", spec={"resources": {"gpu": {"quota": 4, "limit": 8}}}
    )
    free = thing(
        "Queue", "b", "scheduling.run.ai/v2", namespace="", spec={"resources": {"gpu": {"quota": 4, "limit": -1}}}
    )
    volcano = thing(
        "Queue", "c", "scheduling.volcano.sh/v1beta1", namespace="", spec={"capability": {"nvidia.com/gpu": "16"}}
    )
    limits = {queue.name: queue.limit for queue in inventory(kai, free, volcano).queues}
    assert limits == {"a": {"nvidia.com/gpu": 8}, "b": {}, "c": {"nvidia.com/gpu": 16}}


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
    job = thing("Job", "a", "batch/v1", spec=spec, status={"succeeded": 1})
    assert [found.pods for found in inventory(job, refusal("Job", "a")).waiting] == [1]


def test_a_job_of_a_schedule_lacks_what_it_says_itself() -> None:
    template = {"spec": {"containers": [{"name": "m", "resources": {"requests": GPU}}]}}
    spec = {"parallelism": 3, "template": template}
    cron = thing("CronJob", "nightly", "batch/v1", spec={"schedule": "5 1 * * *", "jobTemplate": {"spec": spec}})
    job = thing("Job", "nightly-1", "batch/v1", owner=cron, spec=spec)
    (found,) = inventory(cron, job, refusal("Job", "nightly-1")).waiting
    assert (found.workload, found.pods) == ("c/CronJob/team/nightly", 3)


TEMPLATE = {"spec": {"containers": [{"name": "m", "resources": {"requests": GPU}}]}}


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


def test_the_selector_of_a_budget_and_the_scopes_of_a_quota() -> None:
    expression = {"key": "app", "operator": "In", "values": ["a", "b"]}
    budget = thing(
        "PodDisruptionBudget",
        "b",
        "policy/v1",
        spec={"selector": {"matchExpressions": [expression]}, "maxUnavailable": 0},
    )
    scope = {"scopeName": "PriorityClass", "operator": "In", "values": ["low"]}
    quota = thing(
        "ResourceQuota", "q", spec={"scopes": ["NotTerminating"], "scopeSelector": {"matchExpressions": [scope]}}
    )
    found = inventory(budget, quota)
    assert found.budgets[0].expressions == (("app", "In", ("a", "b")),)
    assert (found.budgets[0].selector, found.budgets[0].max_unavailable) == ({}, "0")
    assert found.quotas[0].scopes == ("NotTerminating", "PriorityClass In low")


def test_fields_of_a_workload_that_rules_read() -> None:
    template = {"size": 2, "workerTemplate": {"spec": {"containers": [{"resources": {"requests": GPU}}]}}}
    spec = {"replicas": 1, "startupPolicy": "LeaderReady", "leaderWorkerTemplate": template}
    (found,) = inventory(thing("LeaderWorkerSet", "l", "leaderworkerset.x-k8s.io/v1", spec=spec)).workloads
    assert found.extra["spec.startupPolicy"] == '"LeaderReady"'
    assert found.extra["spec.leaderWorkerTemplate.size"] == "2"


SCHEDULER = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: /etc/secret.conf}
profiles:
- schedulerName: default-scheduler
  plugins: {permit: {enabled: [{name: Coscheduling}]}}
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated, resources: [{name: nvidia.com/gpu, weight: 5}]}}
"""
KUEUE = """
apiVersion: config.kueue.x-k8s.io/v1beta1
kind: Configuration
webhook: {port: 9443}
waitForPodsReady: {enable: true, timeout: 10m}
"""


def settings(**texts: str) -> dict[str, str]:
    found = inventory(thing("ConfigMap", "x", data=texts)).custom_objects
    return found[0].fields if found else {}


def test_settings_of_schedulers_are_kept_and_nothing_else_of_their_files() -> None:
    found = settings(config=SCHEDULER)
    assert set(found) == {"scheduler.default-scheduler"}
    assert json.loads(found["scheduler.default-scheduler"]) == {
        "scoring": "MostAllocated",
        "resources": ["nvidia.com/gpu"],
        "gang": True,
    }


def test_settings_of_kueue() -> None:
    assert settings(config=KUEUE) == {
        "kueue.seen": "true",
        "kueue.waitForPodsReady": '{"enable": true, "timeout": "10m"}',
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kind: KubeSchedulerConfiguration\nprofiles: {a: [}",
        "a KubeSchedulerConfiguration is a text",
        "[" * 500 + "KubeSchedulerConfiguration",
    ],
)
def test_what_is_no_such_file_is_not_kept(text: str) -> None:
    assert settings(config=text) == {}


def test_a_scheduler_file_without_profiles_has_the_default_one() -> None:
    found = settings(config="kind: KubeSchedulerConfiguration\napiVersion: kubescheduler.config.k8s.io/v1\n")
    assert json.loads(found["scheduler.default-scheduler"]) == {"scoring": None, "resources": [], "gang": False}


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
    deployment, replica_set = server(2)
    told = refusal("ReplicaSet", "a-1")
    told["message"] = str(told["message"]).replace(
        "requested: requests.nvidia.com/gpu=4", f"requested: requests.nvidia.com/gpu={amount}"
    )
    assert inventory(deployment, replica_set, told).waiting == ()


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
