"""What was taken of one cluster's objects so far; the builder fills it, `finish` makes records of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.workloads import Pod, Workload
from gpuaudit.collect.broken import Broken, Kind
from gpuaudit.collect.kubernetes_types import Identity, Meta
from gpuaudit.collect.objects.claims import Piece
from gpuaudit.collect.objects.fold import Fold
from gpuaudit.collect.objects.owners import Owners, Root, Start
from gpuaudit.collect.objects.podsets import PodSet
from gpuaudit.collect.objects.systems import SystemFacts
from gpuaudit.collect.objects.waiting import Queued

T = TypeVar("T")


class KeptPod(NamedTuple):
    """A pod that holds or may hold a GPU, before its owner and holdings are known."""

    version: int
    record: Pod
    start: Start
    templates: tuple[str, ...]  # of resource claims that were not made yet
    message: str  # why it was not scheduled
    by_claim: tuple[str, ...] | None = None  # extended resources that DRA serves it; empty when it does not say which


class PodEvidence(NamedTuple):
    """What running pods tell of systems."""

    images: tuple[str, ...]
    scheduler: str | None
    namespace: str
    ready: bool


class KeptWorkload(NamedTuple):
    """A listed workload; `gpu` when its own template asks for one."""

    record: Workload
    gpu: bool
    uid: str
    wanted: int | None = None  # pods that it wants to have now; None = it does not say
    template: PodSet | None = None  # a pod of it, where it may ask for a GPU and its own template tells
    sets: tuple[PodSet, ...] = ()  # all pods of a custom one that makes them itself, by role or group
    set_labels: tuple[str, ...] = ()  # of its pods: the name of theirs


class KeptQueued(NamedTuple):
    """Work that a queue holds back, with what tells its root owner."""

    group: str
    kind: str
    meta: Identity
    queued: Queued


class KeptTemplate(NamedTuple):
    """What a template of resource claims asks for."""

    namespace: str
    name: str
    pieces: tuple[Piece, ...]


class KeptEndpoints(NamedTuple):
    """Ready endpoints of a slice of a service."""

    namespace: str
    service: str
    ready: int


class Kept:
    """Values by table, namespace and name; of two versions the newer stays."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[tuple[str, str], tuple[int, object, Kind]]] = {}
        self.taking: Kind = ("", "")  # the kind of the object that is taken
        self._dropped: dict[tuple[Kind, str], dict[int, int]] = {}  # of which nothing is kept, so that no older is
        self.doubled = 0
        self.replaced = 0

    def wants(self, table: str, meta: Meta) -> bool:
        """Whether this version is new here; counts those that are not."""
        row = self._tables.get(table, {}).get((meta.namespace, meta.name))
        known = row[0] if row else self._dropped_here(meta).get(hash((table, meta.name)))
        if known is None:
            return True
        version = version_of(meta)
        self.doubled += 1
        self.replaced += known != version
        return version > known

    def put(self, table: str, meta: Meta, value: object) -> None:
        """Keep a value in place of any older one."""
        self._tables.setdefault(table, {})[(meta.namespace, meta.name)] = (version_of(meta), value, self.taking)

    def drop(self, table: str, meta: Meta) -> None:
        """Keep nothing of this version, in place of any older one."""
        self.remove(table, meta)
        self._dropped_here(meta)[hash((table, meta.name))] = version_of(meta)

    def _dropped_here(self, meta: Meta) -> dict[int, int]:
        """Return the versions that were dropped of this kind and namespace, by hash of table and name."""
        return self._dropped.setdefault((self.taking, meta.namespace), {})

    def remove(self, table: str, meta: Meta) -> None:
        """Remove a value that another table's version decides on."""
        self._tables.get(table, {}).pop((meta.namespace, meta.name), None)

    def forget(self, kind: Kind, namespace: str | None) -> None:
        """Remove all that objects of a kind gave, there or everywhere."""
        for rows in self._tables.values():
            for key in [key for key, row in rows.items() if row[2] == kind and namespace in (None, key[0])]:
                del rows[key]
        for place in [place for place in self._dropped if place[0] == kind and namespace in (None, place[1])]:
            del self._dropped[place]

    def has(self, table: str, namespace: str, name: str) -> bool:
        """Whether a table has a value of this name."""
        return (namespace, name) in self._tables.get(table, {})

    def count(self, table: str) -> int:
        """Return how many values a table has."""
        return len(self._tables.get(table, {}))

    def values(self, table: str, kind: type[T]) -> Iterator[T]:
        """Yield a table's values of a type by namespace and name."""
        rows = self._tables.get(table, {})
        return (value for key in sorted(rows) if isinstance(value := rows[key][1], kind))

    def all_values(self, prefix: str, kind: type[T]) -> Iterator[T]:
        """Yield the values of all tables whose name begins so, table by table."""
        for table in sorted(name for name in self._tables if name.startswith(prefix)):
            yield from self.values(table, kind)


@dataclass
class Gathered:
    """The state of reading one cluster."""

    cluster: str
    server: str | None = None
    version: str | None = None
    within: dict[Kind, tuple[str, ...]] = field(default_factory=dict)  # kinds that were read in some namespaces only
    nodes_complete: bool = False  # all nodes and slices were read: pods elsewhere need no owner
    nodes: dict[str, Node] | None = None  # their records, made as soon as that is so
    pods_complete: bool = False  # all pods were read: events about others can go
    kept: Kept = field(default_factory=Kept)
    extended: dict[str, str] = field(default_factory=dict)  # extended resource → device class of GPUs that serves it
    pods: dict[tuple[str, str], KeptPod] = field(default_factory=dict)
    fold: Fold = field(default_factory=Fold)
    seeds: dict[str, Start] = field(default_factory=dict)  # owner key of folded pods → what tells their root
    owners: Owners = field(default_factory=Owners)
    roots: dict[str, Root] = field(default_factory=dict)  # workload id → root, filled at the end
    gpu_nodes: set[str] = field(default_factory=set)  # nodes that show any sign of a GPU
    agents: dict[tuple[str, str], dict[str, bool]] = field(default_factory=dict)  # GPU node, namespace → system → ready
    systems: SystemFacts = field(default_factory=SystemFacts)
    revised: dict[str, datetime] = field(default_factory=dict)  # UID of a Deployment → its newest ReplicaSet
    crds: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    seen: set[Kind] = field(default_factory=set)
    other_kinds: Counter[str] = field(default_factory=Counter)
    uids: set[str] = field(default_factory=set)  # of kube-system: more than one is more than one cluster
    newest: datetime | None = None
    broken: Broken = field(default_factory=Broken)
    left_out: Counter[tuple[Kind, str]] = field(default_factory=Counter)  # beyond bounds, by kind and namespace
    config_chars: int = 0
    evidence: dict[PodEvidence, None] = field(default_factory=dict)  # each once, in the order of the pods
    ended_pods: int = 0

    @property
    def tenant(self) -> bool:
        """Whether only some namespaces' pods were read: what others hold of a node is not known."""
        return ("", "Pod") in self.within


def version_of(meta: Identity) -> int:
    """Return an object's resourceVersion as a number, 0 when it has none: it grows with every change in a cluster."""
    text = meta.resource_version
    return int(text) if text.isdecimal() and len(text) < 20 else 0
