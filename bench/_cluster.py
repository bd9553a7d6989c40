"""A generated cluster served from memory over HTTP: as many GPU nodes and pods as asked for, as an API server answers.

Run as a module it prints its address and serves until it is killed: python -m bench._cluster NODES PODS GPU_PODS RATE
ANEW (bytes a second over all connections; 0 = as fast as memory and loopback go; ANEW 1 = objects lie in memory, and
lists are written as JSON for each request, as an API server does; 0 = the lists' bytes lie there).
"""

import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 500
CHUNK = 1 << 18  # smaller ones would be slowed by the sleeps between them, not by the line
LATE_SECONDS = 0.02
LISTS = ("nodes", "namespaces", "pods", "replicasets", "deployments")
PATHS = (
    "/api",
    "/apis",
    "/version",
    *(f"/api/v1/{name}" for name in LISTS[:3]),
    *(f"/apis/apps/v1/{name}" for name in LISTS[3:]),
)
Tree = dict[str, Any]


def managed(manager: str) -> list[Tree]:
    """Return managed fields of a size as real objects carry them: nobody reads them, all are sent."""
    fields = {f"f:field-{i}": {".": {}, f"f:inner-{i}": {}, 'k:{"name":"main"}': {}} for i in range(30)}
    return [
        {
            "manager": manager,
            "operation": "Update",
            "apiVersion": "v1",
            "time": "2026-11-20T10:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }
    ]


def node(index: int) -> Tree:
    """Return a p5 node as GPU feature discovery and Karpenter label it."""
    name = f"ip-10-{index // 65536}-{index // 256 % 256}-{index % 256}.ec2.internal"
    labels = {
        "karpenter.sh/nodepool": f"gpu-{index % 7}",
        "karpenter.sh/capacity-type": "on-demand",
        "node.kubernetes.io/instance-type": "p5.48xlarge",
        "topology.kubernetes.io/region": "us-east-1",
        "topology.kubernetes.io/zone": f"us-east-1{'abc'[index % 3]}",
        "kubernetes.io/hostname": name,
        "nvidia.com/gpu.count": "8",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/gpu.memory": "81559",
        "nvidia.com/gpu.replicas": "1",
        "nvidia.com/gpu.sharing-strategy": "none",
        **{f"feature.node.kubernetes.io/cpu-feature-{i}": "true" for i in range(50)},
    }
    amounts = {"cpu": "192", "memory": "2000Gi", "nvidia.com/gpu": "8", "pods": "110", "vpc.amazonaws.com/efa": "32"}
    conditions = [
        {
            "type": kind,
            "status": "True" if kind == "Ready" else "False",
            "lastHeartbeatTime": "2026-11-23T16:44:13Z",
            "lastTransitionTime": "2026-11-01T16:44:13Z",
            "reason": "Kubelet",
            "message": "kubelet has posted",
        }
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    ]
    images = [
        {
            "names": [
                f"registry.example.com/team/image-{i}@sha256:{'0' * 64}",
                f"registry.example.com/team/image-{i}:v1.{i}",
            ],
            "sizeBytes": 10**9,
        }
        for i in range(40)
    ]
    return {
        "metadata": meta(name, labels=labels, managedFields=managed("kubelet")),
        "spec": {
            "providerID": f"aws:///us-east-1a/i-{index:017x}",
            "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
        },
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": conditions,
            "images": images,
            "nodeInfo": {"kubeletVersion": "v1.33.1", "kernelVersion": "6.1.141"},
        },
    }


def meta(name: str, namespace: str = "", **rest: Any) -> Tree:
    """Return the metadata of an object."""
    found: Tree = {
        "name": name,
        "uid": f"{abs(hash((name, namespace))):032x}",
        "resourceVersion": "1822",
        "creationTimestamp": "2026-11-01T10:00:00Z",
    }
    return found | ({"namespace": namespace} if namespace else {}) | rest


def pod(index: int, nodes: int, gpu: bool) -> Tree:
    """Return a running pod of a Deployment with ten pods; all are on GPU nodes, some hold a GPU."""
    group = index // 10
    namespace = f"team-{group % 60}"
    name = f"{'train' if gpu else 'web'}-{group}-7f9c6d5b8-{index:05x}"
    resources = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    if gpu:
        resources = {kind: amounts | {"nvidia.com/gpu": "1"} for kind, amounts in resources.items()}
    environment = [{"name": f"SETTING_{i}", "value": f"value-{i}"} for i in range(20)]
    main = {
        "name": "main",
        "image": "vllm/vllm-openai:v0.11.0" if gpu else f"registry.example.com/team/web-{group % 300}:v1",
        "args": ["--model", "org/model", "--tensor-parallel-size=1"],
        "env": environment,
        "resources": resources,
        "volumeMounts": [{"name": f"volume-{i}", "mountPath": f"/mnt/{i}"} for i in range(6)],
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 10},
        "terminationMessagePath": "/dev/termination-log",
    }
    conditions = [
        {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": "2026-11-20T10:00:05Z"}
        for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": f"{'train' if gpu else 'web'}-{group}-7f9c6d5b8",
        "uid": f"rs-{gpu}-{group}",
        "controller": True,
    }
    return {
        "metadata": meta(
            name,
            namespace,
            labels={"app": f"web-{group}", "pod-template-hash": "7f9c6d5b8", "team": namespace},
            annotations={"checksum/config": "0" * 64},
            ownerReferences=[owner],
            managedFields=managed("kube-controller-manager"),
        ),
        "spec": {
            "nodeName": node_name(index % nodes),
            "containers": [main],
            "volumes": [{"name": f"volume-{i}", "configMap": {"name": f"config-{i}"}} for i in range(6)],
            "tolerations": [
                {"key": "nvidia.com/gpu", "operator": "Exists"},
                {
                    "key": "node.kubernetes.io/not-ready",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                },
            ],
            "schedulerName": "default-scheduler",
            "priority": 0,
        },
        "status": {
            "phase": "Running",
            "conditions": conditions,
            "startTime": "2026-11-20T10:00:01Z",
            "podIP": "10.1.2.3",
            "containerStatuses": [
                {
                    "name": "main",
                    "ready": True,
                    "restartCount": 0,
                    "image": "x",
                    "imageID": "sha256:" + "0" * 64,
                    "containerID": "containerd://" + "0" * 64,
                    "state": {"running": {"startedAt": "2026-11-20T10:00:04Z"}},
                }
            ],
        },
    }


def node_name(index: int) -> str:
    """Return the name of a node."""
    return f"ip-10-{index // 65536}-{index // 256 % 256}-{index % 256}.ec2.internal"


def replica_set(group: int, gpu: bool) -> Tree:
    """Return the ReplicaSet of ten pods; only its metadata is asked for."""
    name = f"{'train' if gpu else 'web'}-{group}"
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": name,
        "uid": f"deployment-{gpu}-{group}",
        "controller": True,
    }
    return {
        "metadata": meta(f"{name}-7f9c6d5b8", f"team-{group % 60}", ownerReferences=[owner])
        | {"uid": f"rs-{gpu}-{group}"}
    }


def deployment(group: int, gpu: bool) -> Tree:
    """Return the Deployment above it."""
    template = {"metadata": {"labels": {"app": f"web-{group}"}}, "spec": pod(group * 10, 1, gpu)["spec"]}
    name = f"{'train' if gpu else 'web'}-{group}"
    return {
        "metadata": meta(name, f"team-{group % 60}", managedFields=managed("kubectl"))
        | {"uid": f"deployment-{gpu}-{group}"},
        "spec": {"replicas": 10, "template": template},
        "status": {"replicas": 10, "readyReplicas": 10},
    }


class Pages:
    """All lists, cut into pages: as bytes, or as objects that become bytes when they are asked for."""

    def __init__(self, nodes: int, pods: int, gpu_pods: int, *, anew: bool) -> None:
        self._anew = anew
        kinds = [(i, i < gpu_pods) for i in range(pods)]
        groups = sorted({(i // 10, gpu) for i, gpu in kinds})
        self._lists = {
            "/api/v1/nodes": self._cut("NodeList", [node(i) for i in range(nodes)]),
            "/api/v1/pods": self._cut("PodList", (pod(i, nodes, gpu) for i, gpu in kinds)),
            "/api/v1/namespaces": self._cut(
                "NamespaceList",
                [{"metadata": meta(f"team-{i}")} for i in range(60)] + [{"metadata": meta("kube-system")}],
            ),
            "/apis/apps/v1/replicasets": self._cut(
                "PartialObjectMetadataList", [replica_set(*group) for group in groups]
            ),
            "/apis/apps/v1/deployments": self._cut("DeploymentList", (deployment(*group) for group in groups)),
        }
        resources = {"": ["nodes", "pods", "namespaces"], "apps": ["replicasets", "deployments"]}
        self._discovery = {
            "/api": self._groups({"": resources[""]}),
            "/apis": self._groups({"apps": resources["apps"]}),
            "/version": b'{"gitVersion":"v1.33.1"}',
        }

    def find(self, path: str, start: int) -> bytes | None:
        """Return the answer for a path and the number of the page."""
        if path in self._discovery:
            return self._discovery[path]
        pages = self._lists.get(path)
        page = pages[start] if pages and start < len(pages) else None
        return page if page is None or isinstance(page, bytes) else _written(page)

    def _cut(self, kind: str, items: Any) -> list[bytes | Tree]:
        found = list(items)
        parts = [found[i : i + PAGE] for i in range(0, len(found), PAGE)] or [[]]
        pages: list[bytes | Tree] = []
        for number, part in enumerate(parts):
            more = {"continue": f"{number + 1}"} if number + 1 < len(parts) else {}
            page = {"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": "1822"} | more, "items": part}
            pages.append(page if self._anew else _written(page))
        return pages

    def _groups(self, groups: dict[str, list[str]]) -> bytes:
        items = [
            {
                "metadata": {"name": name},
                "versions": [
                    {"version": "v1", "resources": [{"resource": plural, "verbs": ["list"]} for plural in plurals]}
                ],
            }
            for name, plurals in groups.items()
        ]
        return json.dumps(
            {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}
        ).encode()


def _written(page: Tree) -> bytes:
    return json.dumps(page, separators=(",", ":")).encode()


class Line:
    """A line of so many bytes a second that all connections share; it makes good for a server that wakes late."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._free = time.monotonic()

    def send(self, file: Any, body: bytes) -> None:
        """Write the body, no faster than the line."""
        if not self._rate:
            file.write(body)
            return
        for start in range(0, len(body), CHUNK):
            part = body[start : start + CHUNK]
            with self._lock:
                self._free = max(self._free, time.monotonic() - LATE_SECONDS) + len(part) / self._rate
                end = self._free
            file.write(part)
            time.sleep(max(0.0, end - time.monotonic()))


def serve(pages: Pages, rate: float) -> ThreadingHTTPServer:
    """Return a server on a free port of loopback."""
    line = Line(rate)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a small body waits for the acknowledgement of the head
        wbufsize = 0

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            start = parse_qs(url.query).get("continue", ["0"])[0]
            body = pages.find(url.path, int(start) if re.fullmatch(r"\d+", start) else 0)
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            line.send(self.wfile, body or b"")

        def log_message(self, *args: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def main() -> None:
    """Serve until killed."""
    nodes, pods, gpu_pods = map(int, sys.argv[1:4])
    server = serve(Pages(nodes, pods, gpu_pods, anew=sys.argv[5] == "1"), float(sys.argv[4]))
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
