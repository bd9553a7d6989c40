"""Keys of Kubernetes objects: sources resolve, nothing secret is kept, unknown stays unknown."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaudit.knowledge import kubernetes as k8s
from gpuaudit.knowledge import metrics, prices
from gpuaudit.knowledge.stack import stack

TABLE = k8s._file()


def tagged(value: object) -> set[str]:
    """All source tags within a table."""
    if isinstance(value, dict):
        return set().union(*map(tagged, value.values()), set())
    if isinstance(value, tuple):
        return set().union(*map(tagged, value), set())
    found = set(getattr(value, "sources", ()))
    found |= {value.source} if hasattr(value, "source") else set()
    return found


def test_every_source_tag_resolves() -> None:
    for name in type(TABLE).__struct_fields__:
        if name not in ("compiled", "sources"):
            assert tagged(getattr(TABLE, name)) <= set(k8s.sources()), name
    assert set(k8s.sources()) == set().union(
        *(tagged(getattr(TABLE, name)) for name in type(TABLE).__struct_fields__ if name not in ("compiled", "sources"))
    )


@pytest.mark.parametrize(
    ("labels", "purchase", "reservation"),
    [
        ({"karpenter.sh/capacity-type": "spot"}, "spot", None),
        ({"karpenter.sh/capacity-type": "on-demand"}, "on_demand", None),
        ({"karpenter.sh/capacity-type": "reserved"}, "reserved", None),
        (
            {"karpenter.sh/capacity-type": "reserved", "karpenter.k8s.aws/capacity-reservation-id": "cr-1"},
            "reserved",
            "cr-1",
        ),
        ({"eks.amazonaws.com/capacityType": "CAPACITY_BLOCK"}, "reserved", None),
        ({"eks.amazonaws.com/capacityType": "ON_DEMAND", "cloud.google.com/reservation-name": "r"}, "reserved", "r"),
        ({"eks.amazonaws.com/capacityType": "SPOT"}, "spot", None),
        ({"cloud.google.com/gke-spot": "true"}, "spot", None),
        ({"cloud.google.com/gke-provisioning": "standard"}, "on_demand", None),
        ({"kubernetes.azure.com/scalesetpriority": "spot"}, "spot", None),
    ],
)
def test_how_a_node_is_paid_for(labels: dict[str, str], purchase: str, reservation: str | None) -> None:
    paid = k8s.paid(labels)
    assert paid is not None
    assert (paid.purchase, paid.reservation) == (purchase, reservation)
    key, _, value = paid.evidence.partition("=")
    assert labels[key] == value


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"karpenter.sh/capacity-type": ""},
        {"karpenter.sh/capacity-type": "new-kind"},
        {"cloud.google.com/gke-spot": "no"},
    ],
)
def test_nothing_said_is_unknown_not_on_demand(labels: dict[str, str]) -> None:
    assert k8s.paid(labels) is None


@pytest.mark.parametrize(
    ("provider_id", "labels", "name"),
    [
        ("aws:///us-east-1a/i-08646a8869ee44092", [], "aws"),
        ("gce://ml-prod/us-central1-a/gke-x", [], "gcp"),
        ("azure:///subscriptions/0", [], "azure"),
        ("ocid1.instance.oc1.iad.x", [], "oci"),
        ("", ["eks.amazonaws.com/nodegroup"], "aws"),
        (None, ["kubernetes.azure.com/agentpool"], "azure"),
        ("vsphere://1", [], "metal"),
        (None, ["kubernetes.io/hostname"], None),
        ("unheard-of://x", [], None),
    ],
)
def test_provider(provider_id: str | None, labels: list[str], name: str | None) -> None:
    found = k8s.provider(provider_id, labels)
    assert (found and found.name) == name


def test_provider_names_join_the_catalogue() -> None:
    assert {offer.provider for offer in prices.catalogue()} <= {row.name for row in k8s.providers()}


@pytest.mark.parametrize(
    ("labels", "annotations", "tool"),
    [
        ({"app.kubernetes.io/managed-by": "Helm"}, {}, "helm"),
        ({}, {"meta.helm.sh/release-name": "x"}, "helm"),
        ({"app.kubernetes.io/managed-by": "Helm"}, {"argocd.argoproj.io/tracking-id": "x"}, "argocd"),
        ({"kustomize.toolkit.fluxcd.io/name": "x"}, {}, "flux"),
        ({"helm.toolkit.fluxcd.io/name": "x", "app.kubernetes.io/managed-by": "Helm"}, {}, "flux"),
        ({"app.kubernetes.io/managed-by": "karpenter", "app.kubernetes.io/instance": "x"}, {}, None),
        ({}, {}, None),
    ],
)
def test_who_would_revert_a_change(labels: dict[str, str], annotations: dict[str, str], tool: str | None) -> None:
    assert k8s.managed_by(labels, annotations) == tool


@pytest.mark.parametrize(
    "name",
    [
        "NCCL_DEBUG",
        "NCCL_IB_DISABLE",
        "CUDA_VISIBLE_DEVICES",
        "VLLM_LOGGING_LEVEL",
        "MAX_TOTAL_TOKENS",
        "NIM_CACHE_PATH",
        "FI_PROVIDER",
    ],
)
def test_settings_are_kept(name: str) -> None:
    assert k8s.keeps_env(name)


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "NGC_API_KEY",
        "VLLM_API_KEY",
        "NIM_AUTH_TOKEN",
        "WANDB_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "PATH",
        "DB_PASSWORD",
        "",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "SGLANG_ADMIN_KEY",
        "OPENAI_BASE_URL",
    ],
)
def test_secrets_and_everything_else_are_dropped(name: str) -> None:
    assert not k8s.keeps_env(name)


@given(
    st.sampled_from(["VLLM_", "NIM_", "SGLANG_", "DYN_", "NCCL_", "DCGM_EXPORTER_", "RUNAI_STREAMER_"]),
    st.sampled_from(["TOKEN", "API_KEY", "APIKEY", "SECRET", "PASSWORD", "AUTH", "ACCESS_KEY", "CREDENTIALS"]),
    st.sampled_from(["", "_FILE", "_2", "_VALUE"]),
)
def test_no_name_of_a_secret_is_kept(prefix: str, word: str, suffix: str) -> None:
    assert not k8s.keeps_env(prefix + word + suffix)


@pytest.mark.parametrize(
    "value",
    [
        "hf_abcdefgh",
        "sk-123",
        "nvapi-x",
        "AKIA0000",
        "https://user:pass@host/x",
        "eyJhbGciOi",
        "-----BEGIN RSA",
        "Bearer x",
    ],
)
def test_values_that_look_like_credentials(value: str) -> None:
    assert k8s.is_secret(value)


@pytest.mark.parametrize(
    "value", ["INFO", "meta-llama/Llama-3.1-8B", "s3://bucket/model", "https://host:8080/x", "0.9", ""]
)
def test_values_that_do_not(value: str) -> None:
    assert not k8s.is_secret(value)


def test_flags() -> None:
    for flag in ("--model", "--tensor-parallel-size", "--gpu-memory-utilization", "--max-model-len", "--quantization"):
        assert k8s.keeps_flag(flag)
    for flag in ("--api-key", "--hf-token", "--password", "--ssl-keyfile", "", "--"):
        assert not k8s.keeps_flag(flag)
    assert not [flag for flag in k8s.keep().flags if re.search("key|token(?!s|izer|-num)|secret|passw", flag)]
    assert len(set(k8s.keep().flags)) == len(k8s.keep().flags)


def test_endpoints_keep_only_the_class_of_host() -> None:
    assert k8s.is_endpoint_env("OPENAI_BASE_URL")
    assert k8s.is_endpoint_env("AZURE_OPENAI_API_BASE")
    assert not k8s.is_endpoint_env("NCCL_DEBUG")
    assert all(k8s.is_endpoint_env(name) for name in stack().client.env)


@pytest.mark.parametrize(
    "name",
    [
        "ip-10-0-41-18.ec2.internal",
        "i-08646a8869ee44092",
        "gke-ml-a3-high-7d1f0a52-k2zq",
        "aks-ndh100-31415926-vmss000003",
        "10.0.4.7",
    ],
)
def test_names_that_a_machine_made_up(name: str) -> None:
    assert k8s.is_generated_node_name(name)


@pytest.mark.parametrize("name", ["dgx-01", "rack07-gpu01.dc1.corp.example", "gpu-node-7", "node1", "train-h100-13"])
def test_names_that_a_person_gave(name: str) -> None:
    assert not k8s.is_generated_node_name(name)


def test_patterns_compile_and_do_not_match_nothing() -> None:
    groups = [TABLE.node_names.generated, k8s.spare().images, k8s.spare().names, k8s.maintenance().taint_patterns]
    groups += [k8s.maintenance().label_patterns, k8s.notebooks().images, k8s.notebooks().commands]
    groups += [k8s.notebooks().idle_commands, k8s.notebooks().culler_commands, k8s.keep().secret_names]
    for pattern in (pattern for group in groups for pattern in group):
        assert not re.compile(pattern).search(""), pattern


def test_first_takes_the_preferred_key_that_says_something() -> None:
    keys = k8s.labels().pool
    assert keys[0] == "karpenter.sh/nodepool"
    assert k8s.first({keys[3]: "b", keys[1]: "a", keys[0]: ""}, keys) == "a"
    assert k8s.first({}, keys) is None


def test_kube_state_metrics_writes_resources_its_own_way() -> None:
    resource = re.sub("[^a-zA-Z0-9_]", "_", k8s.resources().gpu)
    assert f'resource="{resource}"' in metrics.kube_state_metrics().requests


def test_own_annotations() -> None:
    assert (k8s.own().role, k8s.own().ignore) == ("gpuaudit.io/role", "gpuaudit.io/ignore")
    assert set(k8s.own().roles) == {"spare", "dr", "canary", "debug", "lab", "tenant"}


@pytest.mark.parametrize(
    "key", ["example.com/maintenance", "nvsentinel.nvidia.com/fault", "ops/rma", "rma-pending", "node/drain"]
)
def test_maintenance_that_companies_name_themselves(key: str) -> None:
    assert any(re.search(pattern, key) for pattern in k8s.maintenance().taint_patterns)


@pytest.mark.parametrize("key", ["nvidia.com/gpu", "example.com/performance", "karma", "team/brain", "sku"])
def test_ordinary_taints_are_no_maintenance(key: str) -> None:
    assert not any(re.search(pattern, key) for pattern in k8s.maintenance().taint_patterns)
    assert key not in k8s.maintenance().taints


def test_a_cordon_alone_is_no_maintenance() -> None:
    assert "node.kubernetes.io/unschedulable" not in k8s.maintenance().taints
