"""The root owner of a pod, through listed and unlisted links."""

from tests.kubernetes.objects import Tree, inventory, node, owned_by, pod, thing

GPU = {"gpu": "1"}


def owned(owner: Tree, name: str = "p1", **meta: object) -> Tree:
    """A GPU pod of an owner."""
    return pod(name, requests=GPU, meta={"ownerReferences": [owned_by(owner)]} | meta)


def roots(*objects: Tree) -> list[tuple[str, bool]]:
    """Ids of the workloads, and whether they were listed."""
    return [(item.id.removeprefix("c/"), item.listed) for item in inventory(node(gpu=8), *objects).workloads]


def test_a_bare_pod_is_its_own() -> None:
    assert roots(pod(requests=GPU)) == [("Pod/team/p1", True)]


def test_deployment_through_its_replica_set() -> None:
    deployment = thing("Deployment", "web", "apps/v1", spec={"replicas": 2})
    replicas = thing("ReplicaSet", "web-abc", "apps/v1", owner=deployment)
    assert roots(deployment, replicas, owned(replicas)) == [("Deployment/team/web", True)]
    assert roots(owned(replicas), replicas, deployment) == [("Deployment/team/web", True)]  # in any order


def test_deployment_by_the_hash_when_the_replica_set_was_not_listed() -> None:
    replicas = thing("ReplicaSet", "web-7f9c", "apps/v1")
    found = roots(owned(replicas, labels={"pod-template-hash": "7f9c"}))
    assert found == [("Deployment/team/web", False)]
    assert roots(owned(replicas)) == [("ReplicaSet/team/web-7f9c", False)]
    assert roots(owned(replicas, labels={"rollouts-pod-template-hash": "7f9c"})) == [("Rollout/team/web", False)]


def test_cron_job_through_its_job() -> None:
    cron = thing("CronJob", "nightly", "batch/v1", spec={"schedule": "5 1 * * *"})
    job = thing("Job", "nightly-29400000", "batch/v1", owner=cron)
    assert roots(cron, job, owned(job)) == [("CronJob/team/nightly", True)]
    assert roots(job, owned(job)) == [("CronJob/team/nightly", False)]


def test_cron_job_by_the_minute_in_the_jobs_name() -> None:
    job = thing("Job", "nightly-29938606", "batch/v1")  # 2026-12-03T13:06Z
    assert roots(owned(job, creationTimestamp="2026-12-03T13:06:02Z")) == [("CronJob/team/nightly", False)]
    assert roots(owned(job, creationTimestamp="2026-11-03T13:06:02Z")) == [("Job/team/nightly-29938606", False)]
    dated = thing("Job", "sweep-20261203", "batch/v1")
    assert roots(owned(dated, creationTimestamp="2026-12-03T13:06:02Z")) == [("Job/team/sweep-20261203", False)]


def test_custom_owners_are_roots_listed_or_not() -> None:
    service = thing("NIMService", "llama", "apps.nvidia.com/v1alpha1", spec={"replicas": 2})
    deployment = thing("Deployment", "llama", "apps/v1", owner=service)
    replicas = thing("ReplicaSet", "llama-1", "apps/v1", owner=deployment)
    assert roots(service, deployment, replicas, owned(replicas)) == [("NIMService/team/llama", True)]
    assert roots(deployment, replicas, owned(replicas)) == [("NIMService/team/llama", False)]
    ray = thing("RayCluster", "batch", "ray.io/v1")
    assert roots(owned(ray)) == [("RayCluster/team/batch", False)]


def test_a_workload_known_from_its_pods_has_what_they_have_in_common() -> None:
    custom = thing("ModelServing", "m", "example.com/v1")
    first = owned(custom, "m-0", labels={"team": "search", "index": "0"}, creationTimestamp="2026-11-02T00:00:00Z")
    other = owned(custom, "m-1", labels={"team": "search", "index": "1"}, creationTimestamp="2026-11-01T00:00:00Z")
    (found,) = inventory(node(gpu=8), first, other).workloads
    assert (found.labels, found.listed) == ({"team": "search"}, False)
    assert found.created
    assert found.created.day == 1


def test_leader_worker_set_also_when_a_leader_pod_owns_the_workers() -> None:
    group = thing("LeaderWorkerSet", "llm", "leaderworkerset.x-k8s.io/v1", spec={"replicas": 1})
    leaders = thing("StatefulSet", "llm", "apps/v1", owner=group)
    leader = owned(leaders, "llm-0", labels={"leaderworkerset.sigs.k8s.io/name": "llm"})
    workers = thing(
        "StatefulSet", "llm-0", "apps/v1", owner=leader, meta={"labels": {"leaderworkerset.sigs.k8s.io/name": "llm"}}
    )
    worker = owned(workers, "llm-0-1", labels={"leaderworkerset.sigs.k8s.io/name": "llm"})
    assert roots(group, leaders, leader, workers, worker) == [("LeaderWorkerSet/team/llm", True)]
    assert roots(worker) == [("LeaderWorkerSet/team/llm", False)]


def test_volcanos_job_is_told_from_kubernetes_own() -> None:
    volcano = thing("Job", "train", "batch.volcano.sh/v1alpha1", spec={})
    plain = thing("Job", "train", "batch/v1", spec={})
    volcano["metadata"]["uid"] = "volcano"
    assert roots(volcano, plain, owned(volcano), owned(plain, "p2")) == [
        ("Job/team/train", True),
        ("VolcanoJob/team/train", True),
    ]


def test_platform_is_no_owner_of_work() -> None:
    """A static pod belongs to itself, a DaemonSet to nobody above it."""
    policy = thing("ClusterPolicy", "cp", "nvidia.com/v1", "")
    daemons = thing("DaemonSet", "exporter", "apps/v1", owner=policy)
    static = {"requests": {"cpu": "1"}, "meta": {"ownerReferences": [owned_by(thing("Node", "n1", namespace=""))]}}
    found = inventory(
        node(gpu=8),
        pod("e", requests={"cpu": "1"}, meta={"ownerReferences": [owned_by(daemons)]}),
        pod("static", **static),
        pod("static-too", **static),
        daemons,
        policy,
    ).nodes[0]
    assert [(t.workload, t.daemon) for t in found.tenants] == [
        ("c/DaemonSet/team/exporter", True),
        ("c/Pod/team/static", True),
        ("c/Pod/team/static-too", True),
    ]


def test_owners_in_a_circle_end() -> None:
    one = thing("Deployment", "a", "apps/v1")
    two = thing("Deployment", "b", "apps/v1", owner=one)
    one["metadata"]["ownerReferences"] = [owned_by(two)]
    assert len(roots(one, two, owned(two))) == 1


def test_what_workloads_tell_of_themselves() -> None:
    template = {"spec": {"containers": [{"name": "m", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}}
    deployment = thing(
        "Deployment",
        "web",
        "apps/v1",
        spec={
            "replicas": 0,
            "template": template,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
        },
        meta={
            "labels": {"app.kubernetes.io/managed-by": "Helm", "kueue.x-k8s.io/queue-name": "q"},
            "annotations": {
                "gpuaudit.io/ignore": "idle-gpu, no-autoscaler",
                "gpuaudit.io/role": "spare",
                "secret": "x",
            },
        },
    )
    revision = thing(
        "ReplicaSet", "web-1", "apps/v1", owner=deployment, meta={"creationTimestamp": "2026-11-20T00:00:00Z"}
    )
    (found,) = inventory(deployment, revision).workloads  # scaled to zero, yet its template asks for a GPU
    assert (found.replicas, found.max_surge, found.strategy) == (0, "1", "RollingUpdate")
    assert (found.managed_by, found.queue, found.role) == ("helm", "q", "spare")
    assert found.ignore == ("idle-gpu", "no-autoscaler")
    assert found.changed
    assert found.changed.isoformat() == "2026-11-20T00:00:00+00:00"
    assert "secret" not in found.annotations


def test_engine_and_model_of_a_workload() -> None:
    args = ["--model=meta-llama/Llama-3.1-8B-Instruct", "--api-key", "sk-secret", "--tensor-parallel-size", "2"]
    env = [
        {"name": "NCCL_DEBUG", "value": "INFO"},
        {"name": "HF_TOKEN", "value": "hf_x"},
        {"name": "OPENAI_BASE_URL", "value": "https://u:p@api.example.com/v1"},
    ]
    containers = [
        {
            "name": "m",
            "image": "vllm/vllm-openai:v0.11.0",
            "args": args,
            "env": env,
            "resources": {"limits": {"nvidia.com/gpu": "2"}},
        }
    ]
    found = inventory(node(gpu=8), pod(containers=containers))
    assert (found.workloads[0].engine, found.workloads[0].model) == ("vllm", "meta-llama/Llama-3.1-8B-Instruct")
    assert found.pods[0].containers[0].args == (
        "--model=meta-llama/Llama-3.1-8B-Instruct",
        "--tensor-parallel-size",
        "2",
    )
    assert found.pods[0].containers[0].env == {"NCCL_DEBUG": "INFO", "OPENAI_BASE_URL": "external"}


def test_static_pods_of_a_listed_node_are_one_each() -> None:
    """The node is listed and owns them all: it is nobody's root."""
    host = node(gpu=8)
    meta = {"ownerReferences": [owned_by(host)]}
    gpus = [pod(name, requests=GPU, meta=meta) for name in ("a", "b")]
    plain = [pod(name, requests={"cpu": "1"}, meta=meta) for name in ("etcd", "proxy")]
    found = inventory(host, *gpus, *plain)
    assert [item.id for item in found.workloads] == ["c/Pod/team/a", "c/Pod/team/b"]
    assert [tenant.workload for tenant in found.nodes[0].tenants] == ["c/Pod/team/etcd", "c/Pod/team/proxy"]


def test_a_driver_without_a_gpu_leads_to_whose_its_executors_are() -> None:
    application = thing("SparkApplication", "etl", "sparkoperator.k8s.io/v1beta2", spec={})
    driver = pod("etl-driver", requests={"cpu": "1"}, meta={"ownerReferences": [owned_by(application)]})
    executors = [owned(driver, f"etl-exec-{number}") for number in range(2)]
    for order in ([application, driver, *executors], [*executors, driver, application]):
        assert roots(*order) == [("SparkApplication/team/etl", True)]
    job = thing("Job", "launch", "batch/v1", spec={})
    launcher = pod("launch-x", requests={"cpu": "1"}, meta={"ownerReferences": [owned_by(job)]})
    assert [name for name, _ in roots(job, launcher, owned(launcher, "w"))] == ["Job/team/launch"]


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
