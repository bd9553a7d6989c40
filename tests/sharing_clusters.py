"""Well-run clusters that share GPUs by HAMi, by KAI and by Run:ai, as kubectl and Prometheus print them.

HAMi: Project-HAMi/HAMi:docs/develop/protocol.md (node annotations), docs of device memory and cores (gpumem, gpucores).
KAI: NVIDIA/KAI-Scheduler:docs/gpu-sharing (annotations, reservation pods), pkg/common/constants. Run:ai: the same
marks under its own namespaces and scheduler (run-ai/fake-gpu-operator:internal/common/constants).
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.kubernetes.objects import Tree, container, node, owned_by, pod, thing

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OLD = "2026-08-01T00:00:00Z"
TAINT = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}
A100 = {
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
    "nvidia.com/gpu.count": "2",
    "nvidia.com/gpu.memory": "81920",
    "nvidia.com/gpu.replicas": "1",
    "nvidia.com/gpu.sharing-strategy": "none",
    "nvidia.com/mig.capable": "true",
    "nvidia.com/mig.strategy": "single",
    "nvidia.com/mig.config": "all-disabled",
    "nvidia.com/mig.config.state": "success",
}


def hami(*, newer: bool = False) -> list[Tree]:
    """Two nodes of two A100s, ten virtual GPUs each card; four workloads of two teams share them."""
    made = [*_teams("search", "ads"), *_system("hami-scheduler", "kube-system", "projecthami/hami:v2.6.1")]
    for name in ("gpu-1", "gpu-2"):
        cards = [_registered(name, index, newer=newer) for index in range(2)]
        text = json.dumps(cards) if newer else "".join(f"{card}:" for card in cards)
        told = {"hami.io/node-handshake": "Requesting_2026.11.23 11:59:40", "hami.io/node-nvidia-register": text}
        made.append(_node(name, A100 | {"gpu": "on"}, annotations=told, gpu=20))
    for number, (team, where) in enumerate(
        [("search", "gpu-1"), ("search", "gpu-2"), ("ads", "gpu-1"), ("ads", "gpu-2")]
    ):
        for card in range(2):
            devices = f"GPU-{where}-{card},NVIDIA,24000,30:;"
            meta = {"annotations": {"hami.io/vgpu-devices-allocated": devices, "hami.io/vgpu-node": where}}
            asks = {"gpu": "1", "nvidia.com/gpumem": "24000", "nvidia.com/gpucores": "30"}
            made += _serving(f"ranker-{number}-{card}", team, where, asks, scheduler="hami-scheduler", meta=meta)
    return made


def kai() -> list[Tree]:
    """Two nodes of two A100s; every card is held by a reservation pod for two pods with half of it each."""
    made = [
        *_teams("search", "ads"),
        *_system("kai-scheduler", "kai-scheduler", "ghcr.io/nvidia/kai-scheduler/scheduler:v0.9.1"),
    ]
    made += [thing("Queue", team, "scheduling.run.ai/v2", spec=_queue()) for team in ("search", "ads")]
    return [
        *made,
        *_fractions(
            "kai-resource-reservation",
            "kai-scheduler",
            "kai.scheduler/queue",
            {team: team for team in ("search", "ads")},
        ),
    ]


def runai() -> list[Tree]:
    """The same by Run:ai: projects in namespaces of their own."""
    projects = {"runai-search": "search", "runai-ads": "ads"}
    made = [*_teams(*projects), *_system("runai-scheduler", "runai", "gcr.io/run-ai-prod/scheduler:v2.21")]
    made += [thing("Queue", team, "scheduling.run.ai/v2", spec=_queue()) for team in projects.values()]
    made += [thing("Project", team, "run.ai/v2", namespace="runai", spec={}) for team in projects.values()]
    return [*made, *_fractions("runai-reservation", "runai-scheduler", "runai/queue", projects)]


def history(pods: bool, *, load: float = 1.0) -> str:
    """Two weeks of dcgm-exporter on the cards; with `pods`, the kubelet's word: the pod that holds the whole device.

    `load` makes cards do less than in a well-run cluster.
    """
    lines = []
    for where in ("gpu-1", "gpu-2"):
        for card in range(2):
            known = {
                "gpu": str(card),
                "UUID": f"GPU-{where}-{card}",
                "Hostname": where,
                "modelName": "NVIDIA A100-SXM4-80GB",
            }
            if pods:
                known |= {"pod": f"gpu-reservation-{where}-{card}", "namespace": "kai-resource-reservation"}
            for metric, value in (
                ("DCGM_FI_PROF_SM_ACTIVE", 0.55),
                ("DCGM_FI_PROF_DRAM_ACTIVE", 0.4),
                ("DCGM_FI_DEV_GPU_UTIL", 82),
                ("DCGM_FI_DEV_FB_USED", 48000),
                ("DCGM_FI_DEV_POWER_USAGE", 260),
            ):
                lines += _samples(metric, known, value * load)
    return "\n".join(lines) + "\n"


def _samples(metric: str, known: dict[str, str], value: float) -> Iterator[str]:
    inside = ",".join(f'{key}="{text}"' for key, text in known.items())
    first = NOW - timedelta(days=14)
    for step in range(14 * 24 * 2):
        moment = first + timedelta(minutes=30 * (step + 1))
        wave = value * (0.9 + 0.2 * (step % 48) / 48)
        yield f"{metric}{{{inside}}} {wave:.4g} {round(moment.timestamp() * 1000)}"


def _registered(where: str, index: int, *, newer: bool) -> Any:
    uuid = f"GPU-{where}-{index}"
    if newer:
        row = {"id": uuid, "index": index, "count": 10, "devmem": 81920, "devcore": 100, "numa": 0, "mode": "hami-core"}
        return row | {"type": "NVIDIA-NVIDIA A100-SXM4-80GB", "health": True}
    return f"{uuid},10,81920,100,NVIDIA-NVIDIA A100-SXM4-80GB,0,true"


def _fractions(reservations: str, scheduler: str, queue: str, projects: dict[str, str]) -> list[Tree]:
    made: list[Tree] = [_namespace(reservations)]
    for where in ("gpu-1", "gpu-2"):
        made.append(_node(where, A100, gpu=2))
        for card in range(2):
            group = f"7f1c0000-{where}-{card}"
            meta = {
                "labels": {"app": "reservation", "runai-gpu-group": group},
                "annotations": {"run.ai/reserve_for_gpu_index": f"GPU-{where}-{card}"},
            }
            name = f"gpu-reservation-{where}-{card}"
            made.append(_pod(name, reservations, where, {"gpu": "1", "cpu": "1m"}, meta=meta))
            for namespace, team in projects.items():
                meta = {
                    "labels": {"runai-gpu-group": group, queue: team},
                    "annotations": {"gpu-fraction": "0.5", "received-resource-type": "Fraction"},
                }
                asks = {"cpu": "2", "memory": "16Gi"}
                made += _serving(f"{team}-{where}-{card}", namespace, where, asks, scheduler=scheduler, meta=meta)
    return made


def _serving(name: str, namespace: str, where: str, asks: Tree, *, scheduler: str, meta: Tree) -> list[Tree]:
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {"spec": {"containers": []}}}
    deployment = thing("Deployment", name, "apps/v1", namespace=namespace, spec=spec, meta={"creationTimestamp": OLD})
    replicas = thing(
        "ReplicaSet",
        f"{name}-7d9f",
        "apps/v1",
        namespace=namespace,
        owner=deployment,
        meta={"creationTimestamp": OLD, "labels": {"pod-template-hash": "7d9f"}},
    )
    labels = {"app": name, "pod-template-hash": "7d9f"} | meta.get("labels", {})
    whole = meta | {"labels": labels, "ownerReferences": [owned_by(replicas)]}
    return [deployment, replicas, _pod(f"{name}-7d9f-x", namespace, where, asks, meta=whole, scheduler=scheduler)]


def _pod(
    name: str, namespace: str, where: str, asks: Tree, *, meta: Tree, scheduler: str = "default-scheduler"
) -> Tree:
    spec = {"schedulerName": scheduler, "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": OLD}
    status = {"phase": "Running", "startTime": OLD, "conditions": [ready, ready | {"type": "PodScheduled"}]}
    running = {"name": "main", "ready": True, "restartCount": 0, "state": {"running": {"startedAt": OLD}}}
    return pod(
        name,
        node_name=where,
        namespace=namespace,
        containers=[container(asks, image="registry.example/ranker:1.4")],
        spec=spec,
        status=status | {"containerStatuses": [running]},
        meta={"creationTimestamp": OLD} | meta,
    )


def _node(name: str, labels: Tree, annotations: Tree | None = None, **resources: Any) -> Tree:
    made = node(name, labels={"kubernetes.io/hostname": name} | labels, annotations=annotations, **resources)
    made["metadata"]["creationTimestamp"] = OLD
    made["spec"]["taints"] = [TAINT]
    made["status"]["conditions"] = [
        {"type": "Ready", "status": "True", "lastTransitionTime": OLD, "lastHeartbeatTime": "2026-11-23T11:59:30Z"}
    ]
    return made


def _teams(*names: str) -> list[Tree]:
    quotas = [
        thing("ResourceQuota", "gpus", namespace=name, spec={"hard": {"requests.nvidia.com/gpu": "20"}})
        for name in names
    ]
    return [*(_namespace(name, team=name.removeprefix("runai-")) for name in names), *quotas]


def _namespace(name: str, **labels: str) -> Tree:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": f"ns-{name}", "labels": labels}}


def _system(name: str, namespace: str, image: str) -> list[Tree]:
    spec = {"replicas": 1, "template": {"spec": {"containers": [{"name": name, "image": image}]}}}
    return [_namespace(namespace), thing("Deployment", name, "apps/v1", namespace=namespace, spec=spec)]


def _queue() -> Tree:
    return {"resources": {"gpu": {"quota": 2, "limit": -1}, "cpu": {"quota": -1, "limit": -1}}}
