"""AKS with InfiniBand: ND96isr_H100_v5 of a user node pool, the GPU and Network Operators, managed Prometheus.

Labels as AKS sets them (kubernetes.azure.com/agentpool, accelerator), the taint sku=gpu:NoSchedule of its guide for GPU
pools, rdma/hca_shared_devices_a as Azure's guide for InfiniBand on AKS configures the shared device plugin; ama-metrics
collects for the managed store, and the Cluster Autoscaler runs in the control plane.
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
from tests.clusters.infiniband import GFD, NFD

NODES = [f"aks-ndh100-31415926-vmss00000{number}" for number in (0, 1)]
RDMA = "rdma/hca_shared_devices_a"


def site() -> Site:
    """The cluster."""
    groups = ("nvidia.com", "mellanox.com", "azmonitoring.coreos.com", "kubeflow.org", "kueue.x-k8s.io")
    made = Site("train-eu", "v1.33.4", groups)
    for number, name in enumerate(NODES):
        labels = {
            "node.kubernetes.io/instance-type": "Standard_ND96isr_H100_v5",
            "topology.kubernetes.io/region": "westeurope",
            "topology.kubernetes.io/zone": "westeurope-1",
            "kubernetes.azure.com/agentpool": "ndh100",
            "kubernetes.azure.com/accelerator": "nvidia",
            "kubernetes.azure.com/cluster": "MC_ml_train-eu_westeurope",
            "kubernetes.azure.com/mode": "user",
        }
        capacity = {"cpu": "96", "memory": "1900Gi", "pods": "110", "nvidia.com/gpu": "8", RDMA: "1k"}
        made.add(
            node(
                name,
                labels=GFD | NFD | labels,
                capacity=capacity,
                taints=[{"key": "sku", "value": "gpu", "effect": "NoSchedule"}],
                provider_id=f"azure:///subscriptions/0/resourceGroups/mc/virtualMachines/{number}",
                osImage="Ubuntu 22.04.5 LTS",
            )
        )
    made.add(*namespaces(research="research"), *_platform(), *_training())
    return made


def _platform() -> list[Tree]:
    count = len(NODES)
    policy = {"driver": {"enabled": True, "rdma": {"enabled": True}}, "mig": {"strategy": "single"}}
    devices = {"config": '{"configList": [{"resourceName": "hca_shared_devices_a", "rdmaHcaMax": 1000}]}'}
    dcgm = "nvcr.io/nvidia/k8s/dcgm-exporter:4.4.2-4.7.0-ubuntu22.04"
    shared = "nvcr.io/nvidia/mellanox/k8s-rdma-shared-dev-plugin:v1.5.3"
    state = {"status": "Cluster-autoscaler status at 2026-11-23 11:59:50 UTC"}
    agent = "mcr.microsoft.com/azuremonitor/containerinsights/ciprod/prometheus-collector/images:6.20.0-ama-metrics"
    return [
        thing("ClusterPolicy", "cluster-policy", "nvidia.com/v1", spec=policy, status={"state": "ready"}),
        thing(
            "NicClusterPolicy",
            "nic-cluster-policy",
            "mellanox.com/v1alpha1",
            spec={"rdmaSharedDevicePlugin": devices},
            status={"state": "ready"},
        ),
        deployment("gpu-operator", "gpu-operator", "nvcr.io/nvidia/gpu-operator:v25.10.0"),
        daemonset("gpu-operator", "nvidia-dcgm-exporter", dcgm, count),
        deployment("network-operator", "network-operator", "nvcr.io/nvidia/cloud-native/network-operator:v25.7.0"),
        daemonset("network-operator", "rdma-shared-dp-ds", shared, count),
        deployment("kube-system", "ama-metrics", agent, 2),
        thing("ConfigMap", "cluster-autoscaler-status", namespace="kube-system", data=state),
        deployment("kueue-system", "kueue-controller-manager", "registry.k8s.io/kueue/kueue:v0.14.4"),
        deployment("kubeflow", "training-operator", "kubeflow/training-operator:v1-855e096"),
    ]


def _training() -> list[Tree]:
    job = thing(
        "PyTorchJob",
        "pretrain",
        "kubeflow.org/v1",
        "research",
        meta={"labels": {"kueue.x-k8s.io/queue-name": "research"}},
        spec={"nprocPerNode": "8", "runPolicy": {"suspend": False}},
    )
    variables = {"NCCL_DEBUG": "INFO", "NCCL_IB_PCI_RELAXED_ORDERING": "1", "WORLD_SIZE": "16"}
    spec = {
        "tolerations": [{"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}],
        "volumes": [shm()],
        "containers": [
            {
                "name": "pytorch",
                "image": "nvcr.io/nvidia/pytorch:25.09-py3",
                "command": ["torchrun", "--nnodes=2", "--nproc-per-node=8", "train.py"],
                "env": [{"name": key, "value": value} for key, value in variables.items()],
                "resources": requests(gpu="8", cpu="80", memory="1500Gi", **{RDMA: "1"}),
                "securityContext": {"capabilities": {"add": ["IPC_LOCK"]}},
            }
        ],
    }
    meta = {"labels": {"training.kubeflow.org/job-name": "pretrain", "kueue.x-k8s.io/queue-name": "research"}}
    return [job, *(running(f"pretrain-worker-{i}", "research", on, spec, job, **meta) for i, on in enumerate(NODES))]
