"""DGX H100 in a data centre of one's own: InfiniBand by the Network Operator, Volcano, no cloud, no prices.

Labels and resources as in Mellanox/network-operator (shared RDMA device plugin, prefix rdma/), the GPU Operator's
feature discovery and Node Feature Discovery; ClusterPolicy with driver.rdma as in NVIDIA's guide for GPUDirect RDMA.
"""

from tests.clusters.building import (
    Site,
    Tree,
    daemonset,
    deployment,
    namespaces,
    node,
    requests,
    running,
    shm,
    thing,
)

NODES = [f"dgx-{number:02}.dc1.example.com" for number in range(1, 5)]
RDMA = "rdma/ib"
GFD = {
    "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
    "nvidia.com/gpu.count": "8",
    "nvidia.com/gpu.memory": "81559",
    "nvidia.com/gpu.replicas": "1",
    "nvidia.com/gpu.sharing-strategy": "none",
    "nvidia.com/gpu.machine": "NVIDIA-DGX-H100",
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.deploy.driver": "true",
    "nvidia.com/gpu-driver-upgrade-state": "upgrade-done",
    "nvidia.com/mig.capable": "true",
    "nvidia.com/mig.strategy": "single",
    "nvidia.com/mig.config": "all-disabled",
    "nvidia.com/mig.config.state": "success",
    "nvidia.com/cuda.driver-version.full": "580.95.05",
}
NFD = {
    "feature.node.kubernetes.io/pci-15b3.present": "true",
    "feature.node.kubernetes.io/pci-10de.present": "true",
    "feature.node.kubernetes.io/custom-rdma.capable": "true",
    "feature.node.kubernetes.io/custom-rdma.available": "true",
    "feature.node.kubernetes.io/network-sriov.capable": "true",
}
CAPACITY = {"cpu": "224", "memory": "2Ti", "pods": "110", "ephemeral-storage": "1Ti", "nvidia.com/gpu": "8", RDMA: "63"}


def site() -> Site:
    """The cluster."""
    made = Site("dc1", "v1.33.4", ("nvidia.com", "mellanox.com", "batch.volcano.sh", "scheduling.volcano.sh"))
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    for name in NODES:
        info = {"kernelVersion": "6.8.0-60-generic", "osImage": "DGX OS 7.1.0", "kubeletVersion": "v1.33.4"}
        made.add(node(name, labels=GFD | NFD, capacity=CAPACITY, taints=[taint], **info))
    made.add(node("cp-1.dc1.example.com", labels={}, capacity={"cpu": "32", "memory": "128Gi", "pods": "110"}))
    made.add(*namespaces(research="research", nlp="nlp"), *_platform())
    for namespace, name, nodes in (("research", "pretrain", NODES[:2]), ("nlp", "finetune", NODES[2:])):
        made.add(*_gang(namespace, name, nodes))
    return made


def _platform() -> list[Tree]:
    operator, network = "gpu-operator", "nvidia-network-operator"
    count = len(NODES)
    policy = {"driver": {"enabled": True, "version": "580.95.05", "rdma": {"enabled": True, "useHostMofed": True}}}
    policy |= {"mig": {"strategy": "single"}, "dcgmExporter": {"enabled": True}, "devicePlugin": {"enabled": True}}
    devices = {"config": '{"configList": [{"resourceName": "ib", "rdmaHcaMax": 63}]}'}
    return [
        thing("ClusterPolicy", "cluster-policy", "nvidia.com/v1", spec=policy, status={"state": "ready"}),
        thing(
            "NicClusterPolicy",
            "nic-cluster-policy",
            "mellanox.com/v1alpha1",
            spec={"rdmaSharedDevicePlugin": devices},
            status={"state": "ready"},
        ),
        deployment(operator, "gpu-operator", "nvcr.io/nvidia/gpu-operator:v25.10.0"),
        daemonset(operator, "nvidia-device-plugin-daemonset", "nvcr.io/nvidia/k8s-device-plugin:v0.18.0", count),
        daemonset(operator, "nvidia-dcgm-exporter", "nvcr.io/nvidia/k8s/dcgm-exporter:4.4.2-4.7.0-ubuntu22.04", count),
        deployment(network, "network-operator", "nvcr.io/nvidia/cloud-native/network-operator:v25.7.0"),
        daemonset(network, "rdma-shared-dp-ds", "nvcr.io/nvidia/mellanox/k8s-rdma-shared-dev-plugin:v1.5.3", count),
        deployment("node-feature-discovery", "nfd-master", "registry.k8s.io/nfd/node-feature-discovery:v0.18.2"),
        deployment("volcano-system", "volcano-scheduler", "docker.io/volcanosh/vc-scheduler:v1.13.0"),
        deployment("volcano-system", "volcano-controllers", "docker.io/volcanosh/vc-controller-manager:v1.13.0"),
        *(
            thing(
                "Queue",
                name,
                "scheduling.volcano.sh/v1beta1",
                spec={"weight": 1, "capability": {"nvidia.com/gpu": 16}},
                status={"state": "Open", "allocated": {"nvidia.com/gpu": "16"}},
            )
            for name in ("research", "nlp")
        ),
    ]


def _gang(namespace: str, name: str, nodes: list[str]) -> list[Tree]:
    """A Volcano job of one pod a node, each with eight GPUs and the fabric's device."""
    job = thing(
        "Job",
        name,
        "batch.volcano.sh/v1alpha1",
        namespace,
        spec={"queue": namespace, "minAvailable": len(nodes), "schedulerName": "volcano"},
        status={"state": {"phase": "Running"}},
    )
    variables = {"NCCL_DEBUG": "INFO", "NCCL_IB_HCA": "mlx5", "WORLD_SIZE": str(8 * len(nodes))}
    spec = {
        "schedulerName": "volcano",
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "volumes": [shm()],
        "containers": [
            {
                "name": "worker",
                "image": "nvcr.io/nvidia/pytorch:25.09-py3",
                "command": ["torchrun", f"--nnodes={len(nodes)}", "--nproc-per-node=8", "train.py"],
                "env": [{"name": key, "value": value} for key, value in variables.items()],
                "resources": requests(gpu="8", cpu="96", memory="1Ti", **{RDMA: "1"}),
                "securityContext": {"capabilities": {"add": ["IPC_LOCK"]}},
            }
        ],
    }
    group = thing(
        "PodGroup",
        f"{name}-group",
        "scheduling.volcano.sh/v1beta1",
        namespace,
        spec={"minMember": len(nodes), "queue": namespace},
        status={"phase": "Running", "running": len(nodes)},
    )
    meta = {
        "labels": {"volcano.sh/job-name": name, "volcano.sh/queue-name": namespace},
        "annotations": {"scheduling.k8s.io/group-name": f"{name}-group", "volcano.sh/queue-name": namespace},
    }
    pods = [running(f"{name}-worker-{i}", namespace, on, spec, job, **meta) for i, on in enumerate(nodes)]
    return [job, group, *pods]
