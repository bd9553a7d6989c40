"""Who calls models past a gateway: of the address only its class survives the reading."""

from typing import Any

import pytest

from gpuaudit.store import dumps
from tests.clusters.building import Site, Tree, deployment, node, replicas_of, requests, thing

IMAGE = "registry.example.com/shop/web:4"


def app(name: str, namespace: str = "shop", replicas: int = 1, **env: Any) -> Tree:
    variables = [{"name": key, "value": value} for key, value in env.items() if value is not None]
    return deployment(namespace, name, IMAGE, replicas, env=variables)


def service(name: str, namespace: str, selector: Tree, **labels: str) -> Tree:
    return thing("Service", name, namespace=namespace, meta={"labels": labels}, spec={"selector": selector})


def site(*objects: Tree) -> Site:
    """A cluster with one model behind a Service, a gateway, and a Service of anything."""
    made = Site("c", "v1.33.4")
    labels = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.count": "8"}
    made.add(node("n1", labels=labels, capacity={"cpu": "96", "memory": "1Ti", "pods": "110", "nvidia.com/gpu": "8"}))
    server = deployment("ai", "llama", "vllm/vllm-openai:v0.22.1")
    spec = {"containers": [{"name": "main", "image": "vllm/vllm-openai:v0.22.1", "resources": requests(gpu="1")}]}
    made.add(server, *replicas_of(server, ["n1"], spec, labels={"app": "llama"}))
    made.add(service("llama", "ai", {"app": "llama"}), service("proxy", "ai", {"app": "proxy"}))
    made.add(service("gw", "ai", {"app": "x"}, **{"app.kubernetes.io/name": "litellm"}))
    made.add(*objects)
    return made


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("http://llama.ai.svc.cluster.local:8000/v1", "model"),
        ("http://llama.ai:8000/v1", "model"),
        ("llama.ai.svc", "model"),
        ("http://gw.ai.svc:4000", "gateway"),
        ("http://litellm.elsewhere.svc:4000", "gateway"),
        ("http://proxy.ai.svc:80", "in-cluster"),
        ("http://llama:8000", "in-cluster"),  # a Service of its own namespace, which there is none of
        ("http://localhost:8000", "in-cluster"),
        ("https://api.openai.com/v1", "provider"),
        ("https://eu.openai.azure.com/", "provider"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com", "provider"),
        ("https://llm-gateway.corp.example/v1", "gateway"),
        ("https://ai.corp.example/v1", "external"),
        ("https://notopenai.com.example.org/v1", "external"),
    ],
)
def test_the_class_of_an_address(address: str, kind: str) -> None:
    (client,) = site(app("web", OPENAI_BASE_URL=address)).snapshot().model_clients
    assert (client.kind, client.namespace, client.name) == ("Deployment", "shop", "web")
    assert client.endpoints == {"OPENAI_BASE_URL": kind}


def test_the_address_itself_goes_no_further() -> None:
    secret = "https://user:hunter2secret@very-private-host.corp.example:8443/tenant-9?key=topsecret"
    found = site(app("web", OPENAI_BASE_URL=secret, LLM_ENDPOINT=secret, OTHER_URL=secret)).snapshot()
    (client,) = found.model_clients
    assert client.endpoints == {"LLM_ENDPOINT": "external", "OPENAI_BASE_URL": "external"}
    stored = repr(found.model_clients) + repr(found.workloads) + repr(found.systems)
    for word in ("hunter2secret", "very-private-host", "tenant-9", "topsecret"):
        assert word not in stored
        assert word.encode() not in dumps(found)


@pytest.mark.parametrize("value", ["", "   ", "$(MODEL_HOST)", "http://$(HOST):8000", "{{ .Values.url }}", None])
def test_what_is_filled_in_later_is_not_guessed(value: str | None) -> None:
    assert site(app("web", OPENAI_BASE_URL=value)).snapshot().model_clients == ()


def test_who_is_no_client() -> None:
    url = "http://llama.ai.svc:8000"
    gateway = deployment(
        "ai", "litellm", "ghcr.io/berriai/litellm:main-v1.75.0", env=[{"name": "OPENAI_BASE_URL", "value": url}]
    )
    idle = app("asleep", replicas=0, OPENAI_BASE_URL=url)
    other = app("plain", DATABASE_URL="postgres://db.shop.svc/x", APP_BASE_URL=url)
    assert site(gateway, idle, other).snapshot().model_clients == ()


def test_hostile_templates_are_bounded() -> None:
    many = {f"OPENAI_BASE_URL{n}": "http://llama.ai.svc" for n in range(500)}
    long = app("long", OPENAI_BASE_URL="http://" + "a." * 100_000 + "svc", **many)
    (client,) = site(long).snapshot().model_clients
    assert len(client.endpoints) == 1
