"""Whether a pod asked for RDMA: by resource, annotation or claim, or whether nobody can tell."""

import re
from dataclasses import dataclass
from typing import Literal

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.network.fabric import is_rdma, node_fabric
from gpuaudit.knowledge import fabric, kubernetes
from gpuaudit.knowledge.objects import objects

Answer = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The answer and what gave it. `devices` are those asked for by resource, `share` those that its GPUs are due.

    `share` is None where counts mean nothing: a shared device plugin's numbers are not devices.
    """

    answer: Answer
    why: str
    devices: int = 0
    share: int | None = None


def asked(snapshot: Snapshot, pod: Pod, node: Node | None) -> Asked:
    """Return whether the pod asked for RDMA. Host network, privileges and network claims make it unknown, not no."""
    resources = {name: int(number) for name, number in pod.requests.items() if is_rdma(name) and number > 0}
    if resources:
        total = sum(resources.values())
        return Asked(answer="yes", why=f"asks {_listed(resources)}", devices=total, share=_share(pod, node, resources))
    if mark := _gke(pod):
        return Asked(answer="yes", why=mark)
    if pod.host_network or pod.privileged:
        how = "the host's network" if pod.host_network else "privileges"
        return Asked(answer="unknown", why=f"has {how}: it may use the host's devices")
    if any(key in pod.annotations for key in fabric.fabric().pod.network_annotations):
        return Asked(answer="unknown", why="has an extra network by annotation")
    if _network_claim(snapshot, pod):
        return Asked(answer="unknown", why="has a device claim that is no GPU's")
    return Asked(answer="no", why="asks for no RDMA resource", share=_share(pod, node, {}))


def _listed(resources: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(resources.items()))


def _share(pod: Pod, node: Node | None, resources: dict[str, int]) -> int | None:
    """Return how many EFA devices or rails go with the pod's part of the node's GPUs; at least one."""
    efa = kubernetes.resources().efa
    if node is None or not node.gpus or pod.gpus is None:
        return None
    part = min(1.0, pod.gpus / node.gpus)
    if rails := [one for one in node.resources if _is_rail(one.name) and one.allocatable]:
        return max(1, int(len(rails) * part)) if len(rails) > 1 and all(map(_is_rail, resources)) else None
    if any(name != efa for name in resources):
        return None
    offered = next((one.allocatable or 0 for one in node.resources if one.name == efa), 0)
    devices = max(offered, node_fabric(node).devices or 0) if offered else 0
    return max(1, int(devices * part)) if devices else None


def _is_rail(name: str) -> bool:
    return any(fabric.pattern(one).search(name) for one in fabric.fabric().node.rail_resources)


def _gke(pod: Pod) -> str:
    """Return what shows that GPUDirect-TCPX or a GKE device network is set up for the pod."""
    facts = fabric.fabric().pod
    if key := next((key for key in facts.gke_annotations if key in pod.annotations), ""):
        return f"annotation {key}"
    for container in pod.containers:
        if any(re.search(one, container.name) for one in facts.gke_containers):
            return f"container {container.name}"
        if names := fabric.named(container.env, facts.gke_env):
            return f"variable {names[0]}"
    return ""


def _network_claim(snapshot: Snapshot, pod: Pod) -> bool:
    """Whether one of the pod's claims may be of a network device."""
    known = {(one.cluster, one.namespace, one.name): one for one in snapshot.claims}
    dra = objects().dra
    gpus = {*dra.whole_classes, *dra.mig_classes}
    for name in pod.resource_claims:
        claim = known.get((pod.cluster, pod.namespace, name))
        if claim is None or not claim.device_classes or not set(claim.device_classes) <= gpus:
            return True
    return False
