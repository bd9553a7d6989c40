"""What rules of scheduling read: where pods may stand, quotas by flavor, refused pods, budgets, settings."""

import json

import pytest

from gpuaudit.cluster.workloads import Pod
from tests.kubernetes.objects import Tree, inventory, pod, thing

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
