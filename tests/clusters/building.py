"""Whole clusters from objects as their platforms show them, read by the product's own collector."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gpuaudit.cluster.platform import Source
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.builder import InventoryBuilder
from gpuaudit.collect.inventory import Inventory
from gpuaudit.collect.joining.assemble import Materials, assemble
from gpuaudit.collect.metrics.store import SampleStore
from gpuaudit.knowledge.kinds import all_kinds

Tree = dict[str, Any]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BORN = "2026-09-01T08:00:00Z"
STARTED = "2026-11-10T08:00:00Z"


@dataclass
class Site:
    """The objects of a cluster, and the API groups that its server has."""

    name: str
    version: str
    groups: tuple[str, ...] = ()
    objects: list[Tree] = field(default_factory=list)

    def add(self, *objects: Tree) -> None:
        """Add objects."""
        self.objects += objects

    def snapshot(self, measured: Callable[[Inventory], SampleStore] | None = None) -> Snapshot:
        """Return the snapshot, all lists read, and what `measured` says of the GPUs."""
        builder = InventoryBuilder(self.name, server="api.example.com")
        builder.add_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": self.objects}).encode())
        builder.add_groups(self.groups)
        builder.set_version(self.version)
        for kind in all_kinds():
            builder.complete((kind.group, kind.kind))
        inventory = builder.finish()
        assert builder.broken == 0
        source = Source(
            name="kubernetes", status="ok", detail="all lists read", provides=inventory.provides, cluster=self.name
        )
        materials = Materials(
            names=(self.name,),
            inventories=(inventory,),
            sources=(source,),
            samples=measured(inventory) if measured else SampleStore(),
            metric_files=("metrics.prom",) if measured else (),
        )
        return assemble(materials, now=NOW, read_at=NOW, window=timedelta(days=14))


def thing(kind: str, name: str, api_version: str = "v1", namespace: str = "", **rest: Any) -> Tree:
    """Any object; `meta` adds to its metadata."""
    meta: Tree = {"name": name, "uid": f"{kind}-{namespace}-{name}".lower(), "creationTimestamp": BORN}
    meta |= {"namespace": namespace} if namespace else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta | rest.pop("meta", {})} | rest


def node(
    name: str, *, labels: Tree, capacity: Tree, taints: Iterable[Tree] = (), provider_id: str = "", **info: str
) -> Tree:
    """A ready node; `info` are fields of status.nodeInfo."""
    spec: Tree = {"taints": list(taints)} | ({"providerID": provider_id} if provider_id else {})
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": BORN, "reason": "KubeletReady"}]
    return thing(
        "Node",
        name,
        meta={"labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"} | labels},
        spec=spec,
        status={"capacity": capacity, "allocatable": capacity, "conditions": conditions, "nodeInfo": info},
    )


def daemonset(namespace: str, name: str, image: str, nodes: int, ready: int | None = None) -> Tree:
    """A DaemonSet with a pod on each of so many nodes."""
    status = {"desiredNumberScheduled": nodes, "numberReady": nodes if ready is None else ready}
    template = {"spec": {"containers": [{"name": "main", "image": image}]}}
    return thing("DaemonSet", name, "apps/v1", namespace, spec={"template": template}, status=status)


def deployment(namespace: str, name: str, image: str, replicas: int = 1, **container: Any) -> Tree:
    """A Deployment, all of its replicas ready."""
    template = {"spec": {"containers": [{"name": "main", "image": image} | container]}}
    spec = {"replicas": replicas, "template": template}
    return thing(
        "Deployment", name, "apps/v1", namespace, spec=spec, status={"replicas": replicas, "readyReplicas": replicas}
    )


def replicas_of(owner: Tree, nodes: Iterable[str], pod_spec: Tree, **meta: Any) -> list[Tree]:
    """The ReplicaSet of a Deployment and its running pods, one on each of the nodes."""
    name, namespace = owner["metadata"]["name"], owner["metadata"]["namespace"]
    middle = thing("ReplicaSet", f"{name}-7c9d8f6b5", "apps/v1", namespace, meta=owned_by(owner))
    pods = [running(f"{name}-7c9d8f6b5-{i:05x}", namespace, on, pod_spec, middle, **meta) for i, on in enumerate(nodes)]
    return [middle, *pods]


def running(name: str, namespace: str, on: str, spec: Tree, owner: Tree, **meta: Any) -> Tree:
    """A running, ready pod of an owner."""
    times = {"lastTransitionTime": STARTED, "status": "True"}
    names = [container["name"] for container in spec["containers"]]
    statuses = [
        {"name": one, "ready": True, "restartCount": 0, "state": {"running": {"startedAt": STARTED}}} for one in names
    ]
    status = {
        "phase": "Running",
        "startTime": STARTED,
        "conditions": [{"type": kind, **times} for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")],
        "containerStatuses": statuses,
    }
    return thing(
        "Pod", name, namespace=namespace, meta=owned_by(owner) | meta, spec=spec | {"nodeName": on}, status=status
    )


def owned_by(owner: Tree) -> Tree:
    """Metadata with an owner."""
    meta = owner["metadata"]
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }
    return {"ownerReferences": [reference]}


def namespaces(**teams: str) -> list[Tree]:
    """Namespaces with a team each ("" = none), and those that every cluster has."""
    made = [
        thing("Namespace", name.replace("_", "-"), meta={"labels": {"team": team} if team else {}})
        for name, team in teams.items()
    ]
    return [*made, thing("Namespace", "kube-system"), thing("Namespace", "default")]


def requests(**amounts: str) -> Tree:
    """Requests and equal limits; `gpu`, `cpu`, `memory`, others by `named`."""
    named = {"gpu": "nvidia.com/gpu"}
    found = {named.get(key, key): value for key, value in amounts.items()}
    return {"requests": found, "limits": found}


def shm(size: str = "64Gi") -> Tree:
    """A volume for /dev/shm."""
    return {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": size}}
