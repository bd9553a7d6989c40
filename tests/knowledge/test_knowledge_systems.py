"""Known systems: patterns compile, the stack's rows are all there, a recorded cluster's workloads are recognised."""

import re
from pathlib import Path

import pytest
import yaml

from gpuaudit.knowledge import systems

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
SYSTEMS = systems.all_systems()

STACK = """
GPU Operator | MIG | Karpenter | Cluster Autoscaler | vLLM | NIM | Dynamo | Triton | TGI | SGLang | KServe | Ray Serve
| llm-d | RoCE | PFC | SR-IOV | Network Operator | GPUDirect RDMA | InfiniBand | EFA | Run:ai | Volcano | KAI | Kueue
| KEDA | Argo Workflows | Prometheus | Grafana | DCGM exporter | OpenTelemetry | cost attribution | chargeback
"""
ROWS = [row.strip() for row in STACK.split("|")]


@pytest.mark.parametrize(
    ("kind", "namespace", "name"),
    [
        ("Deployment", "airflow", "scheduler"),
        ("Deployment", "shop", "binder"),
        ("Deployment", "shop", "admission"),
        ("DaemonSet", "telemetry", "collector"),
        ("Deployment", "shop", "workload-controller"),
        ("Deployment", "monitoring", "grafana-agent-operator"),
        ("Deployment", "monitoring", "grafana-alloy"),
    ],
)
def test_plain_names_say_nothing_elsewhere(kind: str, namespace: str, name: str) -> None:
    assert not [one.key for one in SYSTEMS if one.matches_workload(kind=kind, name=name, namespace=namespace)]


def test_stack_rows_are_complete_and_in_order() -> None:
    assert [row.system for row in systems.STACK_ROWS] == ROWS


def test_stack_rows_are_evidenced_by_known_systems() -> None:
    for row in systems.STACK_ROWS:
        for key in row.keys:
            system = systems.by_key(key)
            assert system is not None, key
            assert system.layer == row.layer, key
    assert [row.system for row in systems.STACK_ROWS if not row.keys] == ["chargeback"]


def test_keys_are_unique() -> None:
    assert len({system.key for system in SYSTEMS}) == len(SYSTEMS)
    assert systems.by_key("no-such") is None


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.key)
def test_signals_are_usable(system: systems.System) -> None:
    patterns = [*system.images, *system.sidecar_images, *system.commands, *(row.name for row in system.workloads)]
    patterns += filter(None, [system.crd_regex, system.resource_regex, system.product_regex, system.metric_regex])
    patterns += filter(None, [system.log_regex])
    for pattern in patterns:
        assert not re.compile(pattern).search(""), pattern
    assert all(crd.count(".") >= 1 for crd in system.crds)
    assert system.sources
    shown = [
        name
        for name in systems.System.__struct_fields__
        if name not in ("key", "layer", "name", "sources", "ambiguous")
    ]
    assert any(getattr(system, name) for name in shown)


@pytest.mark.parametrize(
    ("image", "keys"),
    [
        ("vllm/vllm-openai:v0.11.0", {"vllm"}),
        ("mirror.example/hub/vllm/vllm-openai@sha256:00", {"vllm"}),
        ("nvcr.io/nim/meta/llama-3.1-70b-instruct:1.8.4", {"nim"}),
        ("lmsysorg/sglang:v0.5.2-cu126", {"sglang"}),
        ("nvcr.io/nvidia/tritonserver:25.06-py3", {"triton"}),
        ("ghcr.io/huggingface/text-generation-inference:3.0", {"tgi"}),
        ("ghcr.io/huggingface/text-embeddings-inference:89-1.7", {"tei"}),
        ("registry.k8s.io/autoscaling/cluster-autoscaler:v1.33.0", {"cluster_autoscaler"}),
        ("nvcr.io/nvidia/mellanox/sriov-network-operator:network-operator-25.4.0", {"sriov"}),
        ("nvcr.io/nvidia/cloud-native/network-operator:v25.4.0", {"network_operator"}),
        ("602401143452.dkr.ecr.us-west-2.amazonaws.com/eks/aws-efa-k8s-device-plugin:v0.5.8", {"efa"}),
        ("registry.corp.example/ml/ocr-batch:7", set()),
        ("nginx", set()),
    ],
)
def test_images(image: str, keys: set[str]) -> None:
    assert {system.key for system in SYSTEMS if system.matches_image(image)} == keys
    assert set(systems.of_image(image)) == keys


@pytest.mark.parametrize(
    ("kind", "name", "key"),
    [
        ("Deployment", "nvidia-network-operator", "network_operator"),
        ("Deployment", "sriov-network-operator", "sriov"),
        ("Deployment", "kai-scheduler-default", None),
        ("DaemonSet", "nvidia-mig-manager", "mig"),
        ("Deployment", "aws-cluster-autoscaler", "cluster_autoscaler"),
    ],
)
def test_workloads(kind: str, name: str, key: str | None) -> None:
    found = {system.key for system in SYSTEMS if system.matches_workload(kind=kind, name=name)}
    assert set(systems.of_workload(kind=kind, name=name)) == found
    assert key is None or found == {key}


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("vllm serve meta-llama/Llama-3.1-8B --tensor-parallel-size 2", "vllm"),
        ("python3 -m vllm.entrypoints.openai.api_server --model x", "vllm"),
        ("python3 -m sglang.launch_server --tp 8", "sglang"),
        ("tritonserver --model-repository=/models", "triton"),
        ("trtllm-serve /model", "tensorrt_llm"),
        ("text-generation-launcher --model-id x", "tgi"),
    ],
)
def test_commands(command: str, key: str) -> None:
    assert {system.key for system in SYSTEMS if system.matches_command(command)} == {key}


def test_a_recorded_clusters_systems_are_recognised() -> None:
    path = SHARED / "lab" / "dump" / "workloads-and-config.yaml"
    if not path.is_file():
        pytest.skip("no recorded cluster beside this checkout")
    items = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["items"]
    kinds = {"Deployment", "DaemonSet", "StatefulSet"}
    workloads = {(item["kind"], item["metadata"]["name"]) for item in items if item["kind"] in kinds}
    found = {s.key for s in SYSTEMS for kind, name in workloads if s.matches_workload(kind=kind, name=name)}
    expected = {"karpenter", "cluster_autoscaler", "keda", "volcano", "kueue", "prometheus", "grafana", "dcgm_exporter"}
    expected |= {"opentelemetry", "opencost", "kserve", "ray", "gpu_operator", "mig", "network_operator", "sriov"}
    expected |= {"argo_workflows", "nim", "nfd", "kube_state_metrics", "node_exporter"}
    assert expected <= found
    assert not {"runai", "dynamo", "litellm"} & found
