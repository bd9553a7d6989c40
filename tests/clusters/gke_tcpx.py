"""GKE with GPUDirect-TCPX: a3-highgpu-8g on Container-Optimized OS, four GPU networks, JobSet by Kueue.

As Google's guide for GPUDirect-TCPX shows it: multi-network resources networking.gke.io.networks/vpcN on the nodes, the
annotation networking.gke.io/interfaces on the pods, a tcpx-daemon sidecar and NCCL_GPUDIRECTTCPX_* in the environment.
GKE brings driver and device plugin, its managed DCGM and managed collection for Prometheus; its control plane scales.
"""

from tests.clusters.building import (
    Site,
    Tree,
    daemonset,
    deployment,
    namespaces,
    node,
    owned_by,
    requests,
    running,
    shm,
    thing,
)

A3 = [f"gke-ml-a3-high-7d1f0a52-{letters}" for letters in ("k2zq", "p8wd")]
TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
NETWORKS = {f"networking.gke.io.networks/vpc{number}": "1" for number in range(1, 5)}
INTERFACES = str([{"interfaceName": f"eth{n}", "network": f"vpc{n}"} for n in range(1, 5)]).replace("'", '"')


def site() -> Site:
    """The cluster."""
    groups = ("jobset.x-k8s.io", "kueue.x-k8s.io", "monitoring.googleapis.com", "networking.gke.io")
    made = Site("ml-uc1", "v1.33.5-gke.1201000", groups)
    for number, name in enumerate(A3):
        labels = {
            "node.kubernetes.io/instance-type": "a3-highgpu-8g",
            "topology.kubernetes.io/region": "us-central1",
            "topology.kubernetes.io/zone": "us-central1-a",
            "cloud.google.com/gke-nodepool": "a3-high",
            "cloud.google.com/gke-accelerator": "nvidia-h100-80gb",
            "cloud.google.com/gke-accelerator-count": "8",
            "cloud.google.com/gke-gpu": "true",
            "cloud.google.com/gke-gpu-driver-version": "default",
            "cloud.google.com/gke-os-distribution": "cos",
            "cloud.google.com/machine-family": "a3",
        }
        capacity = {"cpu": "208", "memory": "1872Gi", "pods": "110", "nvidia.com/gpu": "8"} | NETWORKS
        made.add(
            node(
                name,
                labels=labels,
                capacity=capacity,
                taints=[TAINT],
                provider_id=f"gce://ml/us-central1-a/{name}",
                kernelVersion="6.6.93+",
                osImage="Container-Optimized OS from Google",
                kubeletVersion="v1.33.5-gke.1201000",
                machineID=f"{number:032x}",
            )
        )
    made.add(*namespaces(research="research"), *_platform(), *_training())
    return made


def _platform() -> list[Tree]:
    count = len(A3)
    plugin = "gke.gcr.io/nvidia-gpu-device-plugin@sha256:" + "a" * 64
    dcgm = "gke.gcr.io/dcgm-exporter:4.3.1-4.4.0-gke.1"
    status = {"status": "Cluster-autoscaler status at 2026-11-23 11:59:50 UTC"}
    return [
        daemonset("kube-system", "nvidia-gpu-device-plugin-large-cos", plugin, count),
        daemonset("kube-system", "nccl-tcpx-installer", "us-docker.pkg.dev/gce-ai-infra/nccl-plugin:v3.1.9", count),
        daemonset("gke-managed-system", "dcgm-exporter", dcgm, count),
        daemonset("gmp-system", "collector", "gke.gcr.io/prometheus-engine/prometheus:v2.53.4-gmp.0-gke.1", count),
        thing("ConfigMap", "cluster-autoscaler-status", namespace="kube-system", data=status),
        deployment("jobset-system", "jobset-controller-manager", "registry.k8s.io/jobset/jobset:v0.10.1"),
        deployment("kueue-system", "kueue-controller-manager", "registry.k8s.io/kueue/kueue:v0.14.4"),
    ]


def _training() -> list[Tree]:
    job = thing(
        "JobSet",
        "pretrain",
        "jobset.x-k8s.io/v1alpha2",
        "research",
        meta={"labels": {"kueue.x-k8s.io/queue-name": "research"}},
        spec={"suspend": False, "failurePolicy": {"maxRestarts": 3}},
    )
    inner = thing("Job", "pretrain-workers-0", "batch/v1", "research", meta=owned_by(job), spec={"parallelism": 2})
    variables = {
        "NCCL_GPUDIRECTTCPX_SOCKET_IFNAME": "eth1,eth2,eth3,eth4",
        "NCCL_GPUDIRECTTCPX_CTRL_DEV": "eth0",
        "NCCL_NET": "GPUDirectTCPX_v7",
        "NCCL_DEBUG": "INFO",
        "WORLD_SIZE": "16",
    }
    daemon = "us-docker.pkg.dev/gce-ai-infra/gpudirect-tcpx/tcpgpudmarxd-dev:v2.0.11"
    spec = {
        "hostNetwork": False,
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "nodeSelector": {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"},
        "volumes": [shm()],
        "containers": [
            {"name": "tcpx-daemon", "image": daemon, "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}},
            {
                "name": "worker",
                "image": "nvcr.io/nvidia/nemo:25.09",
                "command": ["torchrun", "--nnodes=2", "--nproc-per-node=8", "train.py"],
                "env": [{"name": key, "value": value} for key, value in variables.items()],
                "resources": requests(gpu="8", cpu="100", memory="1000Gi"),
            },
        ],
    }
    meta = {
        "labels": {"jobset.sigs.k8s.io/jobset-name": "pretrain", "kueue.x-k8s.io/queue-name": "research"},
        "annotations": {"networking.gke.io/default-interface": "eth0", "networking.gke.io/interfaces": INTERFACES},
    }
    pods = [running(f"pretrain-workers-0-{i}-abcde", "research", on, spec, inner, **meta) for i, on in enumerate(A3)]
    return [job, inner, *pods]
