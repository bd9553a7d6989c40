"""Small Kubernetes objects for tests, as an API server would answer them."""

import json
from typing import Any

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.workloads import Pod
from gpuaudit.collect.builder import InventoryBuilder
from gpuaudit.collect.inventory import Inventory

Tree = dict[str, Any]

GFD_A100 = {
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB",
    "nvidia.com/gpu.count": "8",
    "nvidia.com/gpu.memory": "40960",
    "nvidia.com/gpu.replicas": "1",
    "nvidia.com/gpu.sharing-strategy": "none",
    "nvidia.com/mig.strategy": "mixed",
}


def node(name: str = "n1", labels: Tree | None = None, annotations: Tree | None = None, **resources: Any) -> Tree:
    """A node; resources by name, `gpu` short for nvidia.com/gpu; `allocatable` overrides."""
    allocatable = resources.pop("allocatable", {})
    capacity = {"cpu": "96", "memory": "1Ti", "pods": "110"} | {_full(k): str(v) for k, v in resources.items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"node-{name}", "labels": labels or {}, "annotations": annotations or {}},
        "spec": {},
        "status": {"capacity": capacity, "allocatable": capacity | allocatable},
    }


def pod(name: str = "p1", *, node_name: str | None = "n1", namespace: str = "team", **options: Any) -> Tree:
    """A running pod; `requests` of its container, or whole `containers`, `init`, `spec`, `status`, `meta`."""
    containers = options.get("containers") or [container(options.get("requests", {}))]
    spec = {"containers": containers, "initContainers": options.get("init", [])} | options.get("spec", {})
    if node_name:
        spec["nodeName"] = node_name
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": f"pod-{namespace}-{name}"} | options.get("meta", {}),
        "spec": spec,
        "status": {"phase": "Running" if node_name else "Pending"} | options.get("status", {}),
    }


def container(requests: Tree, name: str = "main", **options: Any) -> Tree:
    """A container with requests."""
    return {
        "name": name,
        "image": "x:1",
        "resources": {"requests": {_full(k): v for k, v in requests.items()}},
    } | options


def thing(kind: str, name: str, api_version: str = "v1", namespace: str = "team", **rest: Any) -> Tree:
    """Any other object; `owner` is the object above it."""
    meta: Tree = {"name": name, "namespace": namespace, "uid": f"{kind}-{namespace}-{name}"}
    if owner := rest.pop("owner", None):
        meta["ownerReferences"] = [owned_by(owner)]
    return {"apiVersion": api_version, "kind": kind, "metadata": meta | rest.pop("meta", {})} | rest


def owned_by(owner: Tree) -> Tree:
    """An owner reference."""
    meta = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }


def inventory(*objects: Tree) -> Inventory:
    """The inventory of these objects."""
    builder = InventoryBuilder("c")
    builder.add_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}).encode())
    return builder.finish()


def the_node(*objects: Tree) -> Node:
    """The only node of these objects."""
    return inventory(*objects).nodes[0]


def the_pod(*objects: Tree, name: str = "p1") -> Pod:
    """A pod of these objects."""
    return next(item for item in inventory(*objects).pods if item.name == name)


def _full(name: str) -> str:
    return {"gpu": "nvidia.com/gpu"}.get(name, name)
