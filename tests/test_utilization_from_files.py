"""The utilization rules on a cluster read from plain files: what kubectl prints, and two weeks of exporter samples."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gpuaudit.audit import audit
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.config import Config
from gpuaudit.loader import load_rules
from gpuaudit.plan.pricebook import PriceBook
from gpuaudit.schema import FindingPart
from tests.captures import NOW, collect, listed, series, stamp, write

Tree = dict[str, Any]
GPU = "nvidia.com/gpu"
STEP = timedelta(minutes=10)
START = NOW - timedelta(days=14)
A100, L4 = "NVIDIA A100-SXM4-80GB", "NVIDIA L4"
SM, UTIL, TENSOR = "DCGM_FI_PROF_SM_ACTIVE", "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"
DRAM, USED, POWER = "DCGM_FI_PROF_DRAM_ACTIVE", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_POWER_USAGE"


def node(name: str, product: str, memory: int, pool: str, shape: str, capacity_type: str) -> Tree:
    amounts = {"cpu": "96", "memory": "1Ti", "pods": "110", GPU: "4"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": stamp(NOW - timedelta(days=60)),
            "labels": {
                "nvidia.com/gpu.product": product.replace(" ", "-"),
                "nvidia.com/gpu.count": "4",
                "nvidia.com/gpu.memory": str(memory),
                "karpenter.sh/nodepool": pool,
                "karpenter.sh/capacity-type": capacity_type,
                "node.kubernetes.io/instance-type": shape,
                "topology.kubernetes.io/zone": "us-east-1a",
            },
        },
        "spec": {"providerID": f"aws:///us-east-1a/i-{name}"},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": stamp(NOW)}],
        },
    }


def work(kind: str, api: str, space: str, name: str, on: str, spec: Tree) -> list[Tree]:
    owner = {"apiVersion": api, "kind": kind, "name": name, "uid": f"uid-{name}", "controller": True}
    container = {
        "name": "main",
        "image": "x:1",
        "resources": {"requests": {GPU: "1", "cpu": "8"}, "limits": {GPU: "1"}},
    }
    meta = {"namespace": space, "creationTimestamp": stamp(NOW - timedelta(days=30))}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta | {"name": f"{name}-0", "uid": f"uid-{name}-0", "ownerReferences": [owner]},
        "spec": {"nodeName": on, "containers": [container]},
        "status": {"phase": "Running", "startTime": stamp(NOW - timedelta(days=30))},
    }
    template = {"spec": {"containers": [container]}}
    thing = {"apiVersion": api, "kind": kind, "metadata": meta | {"name": name, "uid": f"uid-{name}"}}
    return [pod, thing | {"spec": spec | {"template": template}}]


def queue(name: str, quota: int, used: int) -> list[Tree]:
    resource = {"name": GPU, "nominalQuota": str(quota)}
    group = {"coveredResources": [GPU], "flavors": [{"name": "a100", "resources": [resource]}]}
    usage = [{"name": "a100", "resources": [{"name": GPU, "total": str(used)}]}]
    api = "kueue.x-k8s.io/v1beta1"
    return [
        {
            "apiVersion": api,
            "kind": "ClusterQueue",
            "metadata": {"name": name, "uid": f"cq-{name}"},
            "spec": {"resourceGroups": [group]},
            "status": {"flavorsUsage": usage},
        },
        {
            "apiVersion": api,
            "kind": "LocalQueue",
            "metadata": {"name": name, "namespace": name, "uid": f"lq-{name}"},
            "spec": {"clusterQueue": name},
        },
    ]


def queues() -> list[Tree]:
    flavor = {"metadata": {"name": "a100", "uid": "rf"}, "spec": {"nodeLabels": {"karpenter.sh/nodepool": "a100"}}}
    pod_set = {"count": 1, "template": {"spec": {"containers": [{"resources": {"requests": {GPU: "1"}}}]}}}
    message = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor a100"
    reserved = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": message}
    waits = {
        "metadata": {
            "name": "job-next",
            "namespace": "nlp",
            "uid": "wl",
            "creationTimestamp": stamp(NOW - timedelta(hours=20)),
        },
        "spec": {"queueName": "nlp", "active": True, "podSets": [pod_set]},
        "status": {"conditions": [reserved]},
    }
    api = {"apiVersion": "kueue.x-k8s.io/v1beta1"}
    return [
        api | {"kind": "ResourceFlavor"} | flavor,
        *queue("robots", 4, 0),
        *queue("nlp", 1, 1),
        api | {"kind": "Workload"} | waits,
    ]


def samples(host: str, index: int, model: str, pod: str, **values: Callable[[datetime], float]) -> str:
    """Return two weeks of a GPU; a metric not named is 0."""
    moments = [START + STEP * (number + 1) for number in range(int(timedelta(days=14) / STEP))]
    names = {SM: "sm", UTIL: "util", TENSOR: "tensor", DRAM: "dram", USED: "used", POWER: "power"}
    holder = {"pod": pod.partition("/")[2], "namespace": pod.partition("/")[0], "container": "main"} if pod else {}
    idle = {"power": lambda _: 60.0}
    text = ""
    for metric, short in names.items():
        value = values.get(short, idle.get(short, lambda _: 0.0))
        points = [(moment, round(value(moment), 4)) for moment in moments]
        text += series(metric, host, index, points, modelName=model, **holder)
    return text


def steady(value: float) -> Callable[[datetime], float]:
    return lambda moment: value * (1 + 0.01 * (moment.minute % 7))


def at_the_office(value: float) -> Callable[[datetime], float]:
    return lambda moment: value if moment.weekday() < 5 and 8 <= moment.hour < 18 else 0.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    objects = [
        node("big", A100, 81920, "a100", "a100x4", "on-demand"),
        node("kept", A100, 81920, "reserved", "a100x4", "reserved"),
        node("small", L4, 23034, "l4", "g6.12xlarge", "on-demand"),
        *work("StatefulSet", "apps/v1", "ads", "render", "big", {"replicas": 1}),
        *work("Job", "batch/v1", "ml", "train", "big", {"backoffLimit": 3}),
        *work("Job", "batch/v1", "ml", "score", "big", {"backoffLimit": 0}),
        *queues(),
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d", "namespace": "x", "uid": "d"},
            "spec": {},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "ads"}, "spec": {}},
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "x"}, "spec": {}},
    ]
    render = {"sm": at_the_office(0.7), "util": at_the_office(90), "tensor": at_the_office(0.2)}
    render |= {"dram": at_the_office(0.5), "used": steady(40000), "power": at_the_office(300.0)}
    train = {"sm": steady(0.3), "util": steady(93), "tensor": steady(0.05), "dram": steady(0.2)}
    score = {"sm": steady(0.1), "util": steady(30), "tensor": steady(0.02), "dram": steady(0.05)}
    metrics = samples("big", 0, A100, "ads/render-0", **render)
    metrics += samples("big", 1, A100, "ml/train-0", used=steady(50000), power=steady(180), **train)
    metrics += samples("big", 2, A100, "ml/score-0", used=steady(6000), power=steady(90), **score)
    metrics += samples("big", 3, A100, "")
    metrics += "".join(samples("kept", index, A100, "") for index in range(4))
    metrics += "".join(samples("small", index, L4, "") for index in range(4))
    folder = write(tmp_path_factory.mktemp("cluster"), **{"objects.json": listed(*objects), "metrics.txt": metrics})
    return collect(folder)


@pytest.fixture(scope="module")
def findings(cluster: Snapshot) -> dict[tuple[str, str], FindingPart]:
    found = audit(cluster, load_rules(), Config(), PriceBook(None)).findings
    return {(finding.rule, finding.subject.name): finding for finding in found}


@pytest.mark.parametrize(
    ("rule", "subject", "confidence"),
    [
        ("off-hours-idle", "render", "confirmed"),
        ("busy-but-inefficient", "train", "investigate"),
        ("oversized-gpu-model", "score", "likely"),
        ("interruptible-on-demand", "train", "investigate"),
        ("unused-reservation", "kept", "confirmed"),
        ("quota-hoarding", "robots", "likely"),
    ],
)
def test_what_is_wrong_is_found(
    findings: dict[tuple[str, str], FindingPart], rule: str, subject: str, confidence: str
) -> None:
    assert findings[rule, subject].confidence == confidence


def test_nothing_else_is_said_by_these_rules(findings: dict[tuple[str, str], FindingPart]) -> None:
    rules = {"off-hours-idle", "busy-but-inefficient", "oversized-gpu-model", "unused-reservation", "quota-hoarding"}
    said = {(rule, subject) for rule, subject in findings if rule in rules}
    assert said == {
        ("off-hours-idle", "render"),
        ("busy-but-inefficient", "train"),
        ("oversized-gpu-model", "score"),
        ("unused-reservation", "kept"),
        ("quota-hoarding", "robots"),
    }


def test_the_office_hours_are_told_in_the_configured_zone(cluster: Snapshot) -> None:
    config = Config(timezone="Asia/Tokyo")
    found = audit(cluster, load_rules(), config, PriceBook(None)).findings
    (rhythm,) = [finding for finding in found if finding.rule == "off-hours-idle"]
    assert "Asia/Tokyo" in rhythm.message
    assert "Tue-Fri 03-17" in rhythm.message


def test_the_retries_and_the_queue_came_through(cluster: Snapshot) -> None:
    retries = {workload.name: workload.retries for workload in cluster.workloads}
    assert (retries["train"], retries["score"]) == (3, 0)
    (waiting,) = cluster.waiting
    assert (waiting.reason, waiting.queue, waiting.gpus) == ("QuotaExhausted", "nlp", 1)
    assert cluster.window.end.astimezone(UTC) == NOW
