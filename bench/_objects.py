"""Kubernetes objects of a size as real clusters have them: GPU nodes, pods of Deployments, their ReplicaSets."""

from typing import Any

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


def pod(index: int, group: int, nodes: int, gpu: bool) -> Tree:
    """Return a running pod of a group's Deployment; all are on GPU nodes, some hold a GPU."""
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
    """Return the ReplicaSet of a group's pods; only its metadata is asked for."""
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


def deployment(group: int, gpu: bool, replicas: int) -> Tree:
    """Return the Deployment above it."""
    template = {"metadata": {"labels": {"app": f"web-{group}"}}, "spec": pod(0, group, 1, gpu)["spec"]}
    name = f"{'train' if gpu else 'web'}-{group}"
    return {
        "metadata": meta(name, f"team-{group % 60}", managedFields=managed("kubectl"))
        | {"uid": f"deployment-{gpu}-{group}"},
        "spec": {"replicas": replicas, "template": template},
        "status": {"replicas": replicas, "readyReplicas": replicas},
    }
