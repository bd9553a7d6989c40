"""One cluster as the rows of its stack see it, and what a row says of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import msgspec

from gpuaudit.cluster.nodes import Cluster, Node
from gpuaudit.cluster.platform import CustomObject, InstalledSystem, Source
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network.fabric import PoolFabric, fabric_of

Status = Literal["present", "provider_managed", "misconfigured", "absent", "unknown"]

LISTS = frozenset({"systems", "workloads", "pods"})  # facts without which nothing can be said to be absent
NOTHING = "nothing of it among the workloads, CRDs, pods and nodes that were read"
UNREAD = "not known: workloads, CRDs or pods of the whole cluster were not read"


@dataclass(frozen=True)
class Verdict:
    """What a row says of one cluster."""

    status: Status
    evidence: tuple[str, ...] = ()
    version: str | None = None


@dataclass(frozen=True)
class View:
    """One cluster of the snapshot."""

    snapshot: Snapshot
    cluster: Cluster

    @cached_property
    def facts(self) -> frozenset[str]:
        """Facts that a source of this cluster, or of all, gave."""
        return frozenset(fact for source in self.sources for fact in source.provides)

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """Sources of this cluster, or of all."""
        return tuple(one for one in self.snapshot.sources if one.cluster in (None, self.cluster.name))

    @property
    def looked(self) -> bool:
        """Whether what is not there can be said to be absent."""
        return self.facts >= LISTS

    @cached_property
    def gpu_nodes(self) -> tuple[Node, ...]:
        """GPU nodes of the cluster."""
        return tuple(node for node in self.snapshot.gpu_nodes if node.cluster == self.cluster.name)

    @cached_property
    def providers(self) -> frozenset[str]:
        """Providers of the cluster's GPU nodes; of all its nodes where none has GPUs."""
        nodes = self.gpu_nodes or [node for node in self.snapshot.nodes if node.cluster == self.cluster.name]
        return frozenset(node.provider or "" for node in nodes)

    @cached_property
    def pools(self) -> tuple[PoolFabric, ...]:
        """What links the GPU nodes of each pool."""
        return tuple(pool for pool in fabric_of(self.snapshot) if pool.cluster == self.cluster.name)

    @cached_property
    def metrics(self) -> frozenset[str]:
        """Names of the metrics that a store holds; stores do not say of which cluster."""
        return frozenset(metric.name for metric in self.snapshot.metrics)

    def system(self, key: str) -> InstalledSystem | None:
        """Return what was seen of a system."""
        return self._systems.get(key)

    def custom(self, kind: str, name: str | None = None) -> Iterator[CustomObject]:
        """Yield custom objects of a kind."""
        for one in self._custom.get(kind, ()):
            if name is None or one.name == name:
                yield one

    def nothing(self) -> Verdict:
        """Return the verdict on a system of which nothing was seen."""
        return Verdict("absent", (NOTHING,)) if self.looked else Verdict("unknown", (UNREAD,))

    @cached_property
    def _systems(self) -> Mapping[str, InstalledSystem]:
        return {one.system: one for one in self.snapshot.systems if one.cluster == self.cluster.name}

    @cached_property
    def _custom(self) -> Mapping[str, list[CustomObject]]:
        found: dict[str, list[CustomObject]] = {}
        for one in self.snapshot.custom_objects:
            if one.cluster == self.cluster.name:
                found.setdefault(one.kind, []).append(one)
        return found


def text_field(item: CustomObject, path: str) -> str | None:
    """Return a field of a custom object that is a text."""
    try:
        value = msgspec.json.decode(item.fields[path]) if path in item.fields else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return value if isinstance(value, str) else None


def counted(number: int, thing: str) -> str:
    """Return `1 node`, `3 nodes`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def named(names: Iterable[str], most: int = 3) -> str:
    """Return a few names, and how many more there are."""
    found = sorted(set(names))
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
