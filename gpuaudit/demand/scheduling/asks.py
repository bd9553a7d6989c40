"""GPU work that waits, pod by pod: what each of its pods asks of a node, and what keeps it off the nodes there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Shape, Waiting, folded
from gpuaudit.demand.memory import once
from gpuaudit.demand.scheduling.placement import Obstacle, obstacle, shape_of
from gpuaudit.demand.usage.units import is_spare


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Work that waits for one resource, with the pods that it is made of."""

    waiting: Waiting
    shapes: tuple[Shape, ...]  # () = what its pods need is not known
    scheduler: str | None
    hours: float | None

    @property
    def each(self) -> float:
        """Devices that its largest pod asks of one node."""
        return max((shape.requests.get(self.waiting.resource, 0.0) for shape in self.shapes), default=0.0)

    @property
    def largest(self) -> Shape:
        """Return the shape of its largest pod. ValueError without shapes."""
        return max(self.shapes, key=lambda one: one.requests.get(self.waiting.resource, 0.0))

    @property
    def each_gpus(self) -> float:
        """Physical GPUs of the same."""
        return self.each * self.unit_gpus

    @property
    def unit_gpus(self) -> float:
        """Physical GPUs of one device of the resource; a device of unknown size counts as one."""
        known = self.waiting.gpus is not None and self.waiting.count > 0
        return (self.waiting.gpus or 0.0) / self.waiting.count if known else 1.0


@once
def asks(snapshot: Snapshot) -> tuple[Ask, ...]:
    """Return the work that waits, less placeholders of low priority."""
    found = []
    for waiting in snapshot.waiting:
        pods = [
            pod
            for pod in snapshot.pods_by_workload.get(waiting.workload, ())
            if pod.node is None and not pod.ended and pod.deleted is None
            if any(holding.resource == waiting.resource for holding in pod.holdings)
        ]
        shapes = waiting.shapes or folded(shape_of(pod) for pod in pods)
        spare = [is_spare(pod) for pod in pods] or [(one.priority or 0) < 0 for one in waiting.shapes]
        if spare and all(spare):
            continue
        hours = None if waiting.since is None else max(0.0, (snapshot.taken_at - waiting.since) / timedelta(hours=1))
        scheduler = next((pod.scheduler for pod in pods if pod.scheduler), None)
        found.append(Ask(waiting=waiting, shapes=shapes, scheduler=scheduler, hours=hours))
    return tuple(found)


def obstacles(snapshot: Snapshot, ask: Ask) -> Mapping[Obstacle, tuple[Node, ...]]:
    """Return the GPU nodes of the ask's cluster by what keeps its largest pod off them."""
    shape = msgspec.structs.replace(ask.largest, pods=1)
    key = (ask.waiting.cluster, ask.waiting.resource, repr(shape))
    known = _known(snapshot)  # pods of one kind ask alike: each kind is compared with the nodes once
    if key not in known:
        found: dict[Obstacle, list[Node]] = {}
        for node in snapshot.gpu_nodes:
            if node.cluster == ask.waiting.cluster and node.listed:
                found.setdefault(obstacle(snapshot, node, shape, resource=ask.waiting.resource), []).append(node)
        known[key] = {kind: tuple(nodes) for kind, nodes in found.items()}
    return known[key]


@once
def _known(_: Snapshot) -> dict[tuple[str, str, str], Mapping[Obstacle, tuple[Node, ...]]]:
    return {}
