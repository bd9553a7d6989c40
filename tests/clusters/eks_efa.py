"""EKS with EFA: p5.48xlarge of a managed node group on the accelerated AMI, without the GPU Operator.

Resources as aws-efa-k8s-device-plugin offers them (32 EFA devices on p5), labels as EKS sets them (nodegroup,
capacityType), training as the EFA guide of EKS shows it: hugepages, FI_PROVIDER=efa, all 32 devices.
"""

from tests.clusters.building import (
    Site,
    Tree,
    daemonset,
    deployment,
    namespaces,
    node,
    replicas_of,
    requests,
    running,
    shm,
    thing,
)

P5 = [f"ip-10-1-{number}-{number + 7}.ec2.internal" for number in (21, 22)]
L40S = ["ip-10-1-40-9.ec2.internal"]
EFA = "vpc.amazonaws.com/efa"
TAINT = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def site() -> Site:
    """The cluster."""
    groups = ("kubeflow.org", "kueue.x-k8s.io", "monitoring.coreos.com")
    made = Site("train-use1", "v1.33.5-eks-113cf36", groups)
    for number, name in enumerate(P5):
        made.add(_machine(name, "p5.48xlarge", "p5-efa", number, gpus=8, efa=32, cpu=192, memory="2Ti"))
    for number, name in enumerate(L40S):
        made.add(_machine(name, "g6e.12xlarge", "serve", 10 + number, gpus=4, efa=0, cpu=48, memory="384Gi"))
    made.add(*namespaces(nlp="nlp", search="search"), *_platform())
    made.add(*_training(), *_serving())
    return made


def _machine(name: str, kind: str, group: str, number: int, *, gpus: int, efa: int, cpu: int, memory: str) -> Tree:
    labels = {
        "node.kubernetes.io/instance-type": kind,
        "topology.kubernetes.io/region": "us-east-1",
        "topology.kubernetes.io/zone": "us-east-1a",
        "eks.amazonaws.com/nodegroup": group,
        "eks.amazonaws.com/capacityType": "ON_DEMAND",
        "k8s.io/cloud-provider-aws": "5c1ad1f2b6d1f9b7",
    } | ({"vpc.amazonaws.com/efa.present": "true"} if efa else {})
    capacity = {"cpu": str(cpu), "memory": memory, "pods": "100", "nvidia.com/gpu": str(gpus)}
    capacity |= {EFA: str(efa), "hugepages-2Mi": "42242Mi"} if efa else {}
    return node(
        name,
        labels=labels,
        capacity=capacity,
        taints=[TAINT],
        provider_id=f"aws:///us-east-1a/i-0{number:016x}",
        kernelVersion="6.12.40-64.114.amzn2023.x86_64",
        osImage="Amazon Linux 2023.8.20250808",
        kubeletVersion="v1.33.5-eks-113cf36",
    )


def _platform() -> list[Tree]:
    count = len(P5) + len(L40S)
    efa = "602401143452.dkr.ecr.us-east-1.amazonaws.com/eks/aws-efa-k8s-device-plugin:v0.5.13"
    return [
        daemonset("kube-system", "nvdp-nvidia-device-plugin", "nvcr.io/nvidia/k8s-device-plugin:v0.17.4", count),
        daemonset("kube-system", "aws-efa-k8s-device-plugin", efa, len(P5)),
        daemonset("monitoring", "dcgm-exporter", "nvcr.io/nvidia/k8s/dcgm-exporter:4.4.2-4.7.0-ubuntu22.04", count),
        deployment("kueue-system", "kueue-controller-manager", "registry.k8s.io/kueue/kueue:v0.14.4"),
        deployment("kubeflow", "training-operator", "kubeflow/training-operator:v1-855e096"),
        thing(
            "ClusterQueue",
            "training",
            "kueue.x-k8s.io/v1beta1",
            spec={
                "resourceGroups": [
                    {
                        "coveredResources": ["nvidia.com/gpu"],
                        "flavors": [{"name": "p5", "resources": [{"name": "nvidia.com/gpu", "nominalQuota": "16"}]}],
                    }
                ]
            },
            status={
                "admittedWorkloads": 1,
                "pendingWorkloads": 0,
                "conditions": [{"type": "Active", "status": "True"}],
                "flavorsUsage": [{"name": "p5", "resources": [{"name": "nvidia.com/gpu", "total": "16"}]}],
            },
        ),
        thing("LocalQueue", "training", "kueue.x-k8s.io/v1beta1", "nlp", spec={"clusterQueue": "training"}),
    ]


def _training() -> list[Tree]:
    job = thing(
        "PyTorchJob",
        "llm-pretrain",
        "kubeflow.org/v1",
        "nlp",
        meta={"labels": {"kueue.x-k8s.io/queue-name": "training"}},
        spec={"nprocPerNode": "8", "runPolicy": {"suspend": False}},
    )
    variables = {"FI_PROVIDER": "efa", "NCCL_DEBUG": "INFO", "NCCL_SOCKET_IFNAME": "^lo,docker", "WORLD_SIZE": "16"}
    extra = {EFA: "32", "hugepages-2Mi": "5120Mi"}
    spec = {
        "tolerations": [TOLERATION],
        "volumes": [shm()],
        "containers": [
            {
                "name": "pytorch",
                "image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.8.0-gpu-py312-cu129",
                "command": ["torchrun", "--nnodes=2", "--nproc-per-node=8", "train.py"],
                "env": [{"name": key, "value": value} for key, value in variables.items()],
                "resources": requests(gpu="8", cpu="96", memory="1500Gi", **extra),
            }
        ],
    }
    meta = {"labels": {"training.kubeflow.org/job-name": "llm-pretrain", "kueue.x-k8s.io/queue-name": "training"}}
    pods = [running(f"llm-pretrain-worker-{i}", "nlp", on, spec, job, **meta) for i, on in enumerate(P5)]
    return [job, *pods]


def _serving() -> list[Tree]:
    resources = requests(gpu="4", cpu="40", memory="200Gi")
    words = ["--model", "mistralai/Mixtral-8x7B-Instruct-v0.1", "--tensor-parallel-size", "4"]
    container = {"name": "main", "image": "vllm/vllm-openai:v0.22.1", "args": words, "resources": resources}
    labels = {"app": "mixtral"}
    owner = deployment("search", "mixtral", container["image"], args=words, resources=resources)
    spec = {"tolerations": [TOLERATION], "containers": [container], "volumes": [shm("16Gi")]}
    service = thing(
        "Service", "mixtral", namespace="search", spec={"selector": labels, "ports": [{"name": "http", "port": 8000}]}
    )
    return [owner, service, *replicas_of(owner, L40S, spec, labels=labels)]
