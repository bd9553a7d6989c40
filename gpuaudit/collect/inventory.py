"""What Kubernetes says of clusters at one time: the records of a snapshot, before usage is joined to them."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime

from gpuaudit.cluster.nccl import NcclLog
from gpuaudit.cluster.nodes import Cluster, Node, NodePool
from gpuaudit.cluster.platform import (
    Autoscaler,
    Budget,
    Claim,
    CustomObject,
    Event,
    InstalledSystem,
    Namespace,
    Queue,
    Quota,
    Service,
    VolumeClaim,
)
from gpuaudit.cluster.workloads import ModelClient, Pod, Waiting, Workload
from gpuaudit.collect.gather.published import Published


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Records under the names that Snapshot has for them, sorted by key; no time in it is later than `newest`.

    `published` are documents of nodes, which are none of Snapshot's records; `provides` are the facts
    (knowledge.facts) that the objects read give; `notes` are lines for a person about
    objects that were broken, doubled, or more than the bounds allow.
    """

    clusters: tuple[Cluster, ...] = ()
    nodes: tuple[Node, ...] = ()
    pods: tuple[Pod, ...] = ()
    workloads: tuple[Workload, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    services: tuple[Service, ...] = ()
    autoscalers: tuple[Autoscaler, ...] = ()
    node_pools: tuple[NodePool, ...] = ()
    queues: tuple[Queue, ...] = ()
    quotas: tuple[Quota, ...] = ()
    budgets: tuple[Budget, ...] = ()
    claims: tuple[Claim, ...] = ()
    volume_claims: tuple[VolumeClaim, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    model_clients: tuple[ModelClient, ...] = ()
    events: tuple[Event, ...] = ()
    custom_objects: tuple[CustomObject, ...] = ()
    systems: tuple[InstalledSystem, ...] = ()
    nccl_logs: tuple[NcclLog, ...] = ()
    published: tuple[Published, ...] = ()
    provides: tuple[str, ...] = ()
    newest: datetime | None = None
    notes: tuple[str, ...] = ()


def join(inventories: Iterable[Inventory]) -> Inventory:
    """Return the inventories of several clusters as one; cluster names must differ."""
    parts = tuple(inventories)
    times = [part.newest for part in parts if part.newest]
    joined = {
        field.name: tuple(item for part in parts for item in getattr(part, field.name))
        for field in fields(Inventory)
        if field.name != "newest"
    }
    joined["provides"] = tuple(sorted(set(joined["provides"])))
    return Inventory(**joined, newest=max(times, default=None))
