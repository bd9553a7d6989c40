"""The snapshot: all that was known of the clusters at one time; frozen, storable, the same live or loaded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import TypeVar

from gpuaudit.cluster.nccl import NcclLog
from gpuaudit.cluster.nodes import Card, Cluster, Node, NodePool, Span
from gpuaudit.cluster.platform import (
    Autoscaler,
    Budget,
    Claim,
    CustomObject,
    Event,
    InstalledSystem,
    Metric,
    Namespace,
    Queue,
    Quota,
    Service,
    Source,
    VolumeClaim,
)
from gpuaudit.cluster.record import Instant
from gpuaudit.cluster.serving import Served
from gpuaudit.cluster.usage import Usage
from gpuaudit.cluster.workloads import ModelClient, Pod, Waiting, Workload
from gpuaudit.knowledge.facts import completed

Window = Span
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What was known at `taken_at` about the window that ends there. Tuples are sorted by their key."""

    taken_at: Instant
    window: Window
    tool_version: str = ""
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
    metrics: tuple[Metric, ...] = ()
    served: tuple[Served, ...] = ()
    sources: tuple[Source, ...] = ()
    join_ratio: float | None = None  # device series whose host or pod the API server knows
    usage: Usage = field(default_factory=Usage)

    @cached_property
    def facts(self) -> frozenset[str]:
        """Names of the facts that at least one source gave (see knowledge.facts); what `needs` of a rule asks for."""
        return completed(fact for source in self.sources for fact in source.provides)

    @cached_property
    def gpu_nodes(self) -> tuple[Node, ...]:
        """Nodes with at least one card that were part of a cluster within the window and still are."""
        return tuple(node for node in self.nodes if node.cards and node.gone is None)

    @cached_property
    def node_by_key(self) -> Mapping[tuple[str, str], Node]:
        """Nodes by (cluster, name)."""
        return {node.key: node for node in self.nodes}

    @cached_property
    def workload_by_id(self) -> Mapping[str, Workload]:
        """Workloads by id."""
        return {workload.id: workload for workload in self.workloads}

    @cached_property
    def namespace_by_key(self) -> Mapping[tuple[str, str], Namespace]:
        """Namespaces by (cluster, name)."""
        return {(namespace.cluster, namespace.name): namespace for namespace in self.namespaces}

    @cached_property
    def pods_by_workload(self) -> Mapping[str, tuple[Pod, ...]]:
        """Pods by workload id."""
        return _grouped((pod.workload, pod) for pod in self.pods)

    @cached_property
    def pods_by_node(self) -> Mapping[tuple[str, str], tuple[Pod, ...]]:
        """Pods by the key of the node they are bound to."""
        return _grouped(((pod.cluster, pod.node), pod) for pod in self.pods if pod.node)

    @cached_property
    def card_by_uuid(self) -> Mapping[str, tuple[Node, Card]]:
        """Cards that have a UUID, with their node."""
        return {card.uuid: (node, card) for node in self.nodes for card in node.cards if card.uuid}

    @cached_property
    def served_by_workload(self) -> Mapping[str, tuple[Served, ...]]:
        """What engines told of the models they served, by workload id."""
        return _grouped((served.workload, served) for served in self.served)

    def holders(self, node: Node) -> tuple[Pod, ...]:
        """Pods that hold a GPU of the node now."""
        return tuple(pod for pod in self.pods_by_node.get(node.key, ()) if pod.holds)

    def held_gpus(self, node: Node) -> float | None:
        """Physical GPUs held now; None when a holding's size is unknown. Never more than the cards."""
        amounts = [pod.gpus for pod in self.holders(node)]
        if any(amount is None for amount in amounts):
            return None
        return min(float(node.gpus), sum(amount for amount in amounts if amount is not None))

    def present_seconds(self, node: Node) -> float:
        """Seconds of the window during which the node was part of its cluster."""
        spans = node.present or (Span(start=node.created or self.window.start, end=node.gone or self.window.end),)
        return sum(
            max(timedelta(), min(span.end, self.window.end) - max(span.start, self.window.start)).total_seconds()
            for span in spans
        )

    @property
    def window_seconds(self) -> float:
        """Length of the window."""
        return (self.window.end - self.window.start).total_seconds()


def device_id(node: Node, card: Card) -> str:
    """Return how reports name a card: its UUID, else node/index."""
    return card.uuid or f"{node.name}/{card.index}"


def workload_id(*, cluster: str, kind: str, namespace: str, name: str) -> str:
    """Return `cluster/Kind/namespace/name` (design 6)."""
    return f"{cluster}/{kind}/{namespace}/{name}"


def _grouped(pairs: Iterable[tuple[K, V]]) -> Mapping[K, tuple[V, ...]]:
    groups: dict[K, list[V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in groups.items()}
