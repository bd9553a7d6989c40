"""Whether a pod may stand on a node: selectors, affinity, taints, room. What is not known counts as no obstacle."""

import math
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal

from gpuaudit.cluster.nodes import Node, Taint
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod, Requirement, Shape
from gpuaudit.demand.capacity.free import whole_cards
from gpuaudit.demand.capacity.stranding import planned_maintenance, tolerates
from gpuaudit.demand.memory import once
from gpuaudit.knowledge import kubernetes
from gpuaudit.knowledge.scheduling import is_hardware, scheduling

Obstacle = Literal[
    "none", "other hardware", "kept", "closed", "taint", "zone", "selector", "room", "cpu", "memory", "pods"
]
PLAIN = ("cpu", "memory", "pods", "ephemeral-storage")
NAME_FIELD = "metadata.name"


def shape_of(pod: Pod) -> Shape:
    """Return what a pod asks of a node."""
    return Shape(
        requests={**_plain(pod), **_asked(pod)},
        node_selector=pod.node_selector,
        node_terms=pod.node_terms,
        tolerations=pod.tolerations,
        priority=pod.priority,
    )


def holds(labels: Mapping[str, str], requirement: Requirement) -> bool:
    """Whether labels meet a requirement; an operator that is not known counts as met."""
    key, operator, values = requirement
    value = labels.get(key)
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) == (operator == "Exists")
    if operator in ("Gt", "Lt"):
        return _compares(value, operator, values)
    return True


def selected(labels: Mapping[str, str], selector: Mapping[str, str], expressions: Iterable[Requirement] = ()) -> bool:
    """Whether labels match a selector; an empty one matches everything."""
    return all(labels.get(key) == value for key, value in selector.items()) and all(
        holds(labels, one) for one in expressions
    )


def obstacle(snapshot: Snapshot, node: Node, shape: Shape, *, resource: str) -> Obstacle:
    """Return what keeps one pod off the node, the hardest first.

    `other hardware` and `kept` nodes are not meant for it: another model, pool or resource; declared for a purpose, or
    tainted for somebody else. `room` = too few free devices.
    """
    if any(name not in offered(node) for name in _extended(shape)) or _parts_for_cards(node, shape, resource):
        return "other hardware"
    unmet = _unmet(node, shape)
    if any(is_hardware(key) or key in kubernetes.labels().pool for key in unmet):
        return "other hardware"
    refusing = _refusing(node, shape)
    if node.role or any(taint.key not in _usual_taints() for taint in refusing):
        return "kept"
    if not _open(node):
        return "closed"
    if refusing:
        return "taint"
    if unmet:
        return "zone" if all(key in scheduling().labels.zone for key in unmet) else "selector"
    return _lack(snapshot, node, shape, resource)


def offered(node: Node) -> Mapping[str, int]:
    """Return what the node gives out of its extended resources."""
    return {one.name: one.allocatable for one in node.resources if one.allocatable}


def free_units(snapshot: Snapshot, node: Node, resource: str) -> float:
    """Return how many devices of a resource the node has left, in the units in which it offers them."""
    return max(0.0, offered(node).get(resource, 0) - _taken(snapshot).get(node.key, {}).get(resource, 0.0))


def room_for(snapshot: Snapshot, node: Node, shape: Shape, resource: str) -> int:
    """Return how many such pods the free devices of the node take; CPU and memory may take fewer."""
    each = shape.requests.get(resource, 0.0)
    return int(free_units(snapshot, node, resource) / each + 1e-9) if each > 0 else 0


@cache
def _usual_taints() -> frozenset[str]:
    """Return the taints of GPU nodes as such; any other one keeps a node for somebody."""
    return frozenset(kubernetes.gpu_taints().keys) - frozenset(scheduling().labels.owner_taints)


def _lack(snapshot: Snapshot, node: Node, shape: Shape, resource: str) -> Obstacle:
    if free_units(snapshot, node, resource) + 1e-9 < shape.requests.get(resource, 0.0):
        return "room"
    for name in _extended(shape):
        if free_units(snapshot, node, name) + 1e-9 < shape.requests[name]:
            return "room"
    wanted = shape.requests
    if _left(node.cpu_cores, node.cpu_requested_cores) + 1e-9 < wanted.get("cpu", 0.0):
        return "cpu"
    if _left(node.memory_bytes, node.memory_requested_bytes) < wanted.get("memory", 0.0):
        return "memory"
    return "pods" if _left(node.pods_allocatable, node.pods_bound) < 1 else "none"


def _parts_for_cards(node: Node, shape: Shape, resource: str) -> bool:
    """Whether the node gives slices or replicas under the name of a card, and the pod does not choose such nodes."""
    chosen = any(
        is_hardware(key) for key in (*shape.node_selector, *(one[0] for term in shape.node_terms for one in term))
    )
    return resource in kubernetes.resources().whole_gpus and not whole_cards(node) and not chosen


def _left(whole: float | None, taken: float | None) -> float:
    return math.inf if whole is None or taken is None else whole - taken


def _extended(shape: Shape) -> list[str]:
    return [name for name, count in shape.requests.items() if count and "/" in name and name not in PLAIN]


def _unmet(node: Node, shape: Shape) -> list[str]:
    """Return the label keys by which the node is excluded; of several affinity terms the one that is nearest."""
    labels = {**node.labels, NAME_FIELD: node.name}
    missing = [key for key, value in shape.node_selector.items() if labels.get(key) != value]
    terms = [[one[0] for one in term if not holds(labels, one)] for term in shape.node_terms if term]
    return missing + min(terms, key=lambda keys: (len(keys), keys), default=[])


def _open(node: Node) -> bool:
    closing = set(kubernetes.maintenance().health_taints)
    shut = any(taint.key in closing and taint.effect in ("NoSchedule", "NoExecute") for taint in node.taints)
    return node.ready is not False and not node.cordoned and not shut and planned_maintenance(node) is None


def _refusing(node: Node, shape: Shape) -> list[Taint]:
    """Return the taints of the node that the pod does not tolerate, less those of a node out of order."""
    pod = Pod(cluster="", namespace="", name="", tolerations=shape.tolerations)
    passing = set(kubernetes.maintenance().health_taints) | set(kubernetes.maintenance().taints)
    return [
        taint
        for taint in node.taints
        if taint.effect in ("NoSchedule", "NoExecute") and taint.key not in passing and not tolerates(pod, taint)
    ]


@once
def _taken(snapshot: Snapshot) -> Mapping[tuple[str, str], Mapping[str, float]]:
    taken: dict[tuple[str, str], dict[str, float]] = {}
    for pod in snapshot.pods:
        if pod.node and not pod.ended:
            sums = taken.setdefault((pod.cluster, pod.node), {})
            for name, amount in _asked(pod).items():
                sums[name] = sums.get(name, 0.0) + amount
    return taken


def _asked(pod: Pod) -> Mapping[str, float]:
    """Return what a pod takes of extended resources; what it holds counts where its requests do not say it."""
    held = {one.resource: one.count for one in pod.holdings}
    return {**held, **{name: amount for name, amount in pod.requests.items() if name not in PLAIN}}


def _plain(pod: Pod) -> Mapping[str, float]:
    return {name: amount for name, amount in pod.requests.items() if name in PLAIN}


def _compares(value: str | None, operator: str, values: tuple[str, ...]) -> bool:
    try:
        return int(value or "") > int(values[0]) if operator == "Gt" else int(value or "") < int(values[0])
    except (ValueError, IndexError):
        return False
