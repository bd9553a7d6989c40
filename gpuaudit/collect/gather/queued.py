"""Work that a queue holds back: what its objects ask for beyond the pods that there are. Each pod counts once."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec

from gpuaudit.cluster.snapshot import workload_id
from gpuaudit.cluster.workloads import Holding, Pod, Shape, Waiting, folded
from gpuaudit.collect.gather.state import Gathered, KeptQueued
from gpuaudit.collect.kubernetes_types import Identity, OwnerReference
from gpuaudit.collect.objects.holdings import Surroundings, holdings
from gpuaudit.collect.objects.units import common_share
from gpuaudit.collect.objects.waiting import PodSet, Queued, waits
from gpuaudit.knowledge import kubernetes
from gpuaudit.knowledge.objects import objects, shown_kind

_Object = tuple[str, str, str, str]  # group, kind, namespace, name
_Name = tuple[str, str]  # namespace, name
_OBJECTS = ("custom kueue.x-k8s.io/Workload", "custom scheduling.volcano.sh/PodGroup")  # tables of what queues look at


class HeldBack(NamedTuple):
    """What queues say of work."""

    lacking: list[Waiting]  # pods that were not made yet
    reasons: Mapping[str, Queued]  # workload of pods that wait → what its queue says of it
    counted: frozenset[str]  # whose pods these are, by id: a quota's refusal of the same ones adds nothing
    refusable: Mapping[str, list[Waiting]]  # by id of whose pods they are: what is lacking if a quota refused any


class _Row(NamedTuple):
    """An object of a queue, whose work it is, and the objects above the pods of that work."""

    kept: KeptQueued
    workload: str
    above: frozenset[_Object]


def held_back(state: Gathered, pods: Sequence[Pod], around: Surroundings) -> HeldBack:
    """Return what queues hold back, beside the pods that there are."""
    kept = list(state.kept.values("queued", KeptQueued))
    if not kept:
        return HeldBack([], {}, frozenset(), {})
    rows = _rows(state, kept, pods)
    made = _Made(state, pods, {one for row in rows for one in row.above})
    lacking: list[Waiting] = []
    reasons: dict[str, Queued] = {}
    counted: set[str] = set()
    refusable: dict[str, list[Waiting]] = {}
    for row in rows:
        reasons |= dict.fromkeys(made.waiting(row), row.kept.queued)
        asked = _Asked(row, around)
        some = made.give(row, asked)
        whose = {_id(state, one) for one in row.above}
        if not (records := asked.records(state.cluster)):
            continue
        if row.kept.queued.let_in and some:
            refusable |= dict.fromkeys(whose, records)
        else:
            lacking += records
            counted |= whose
    return HeldBack(lacking, reasons, frozenset(counted), refusable)


def _rows(state: Gathered, kept: Iterable[KeptQueued], pods: Iterable[Pod]) -> list[_Row]:
    """Name the workload behind each object: its root owner, its pods', whom it is named for, else itself."""
    gangs: dict[_Name, str] = {}
    for pod in pods:
        if gang := _gang(pod):
            gangs.setdefault((pod.namespace, gang), pod.workload)
    roots = {(root.namespace, root.kind.lower(), root.name): workload for workload, root in state.roots.items()}
    found = []
    for one in kept:
        meta = one.meta
        above = {_object(owner, meta.namespace) for owner in meta.owner_references or ()}
        root = state.owners.root_of(one.group, one.kind, meta)
        workload = root.id(state.cluster)
        named = gangs.get((meta.namespace, meta.name)) or _named_job(roots, meta) if root.kind == one.kind else None
        if named:
            workload = named
            above.add(_root(state, named))
        found.append(_Row(one, workload, frozenset(above)))
    return sorted(found, key=lambda row: (row.workload, row.kept.meta.name))


def _named_job(roots: Mapping[tuple[str, str, str], str], meta: Identity) -> str | None:
    """Return the workload that a queue's object without owner is named for: `job-NAME-7d1e2` of Kueue."""
    kind, _, rest = meta.name.partition("-")
    return roots.get((meta.namespace, kind, rest.rpartition("-")[0]))


class _Made:
    """The pods that there are, by the queue's object that they name, else by what is above them.

    A pod that names a queue's object is no other one's: the groups of a LeaderWorkerSet have one owner.
    """

    def __init__(self, state: Gathered, pods: Iterable[Pod], wanted: set[_Object]) -> None:
        self._named: dict[_Name, deque[Pod]] = {}
        self._above: dict[_Object, deque[Pod]] = {}
        self._waiting: dict[_Name | _Object, set[str]] = {}
        self._taken: set[_Name] = set()
        for pod in pods:
            if pod.ended or pod.deleted is not None:
                continue
            name = (pod.namespace, _gang(pod) or "")
            if any(state.kept.has(table, *name) for table in _OBJECTS):
                self._named.setdefault(name, deque()).append(pod)
                self._note(name, pod)
                continue
            for one in wanted & _objects(state, pod):
                self._above.setdefault(one, deque()).append(pod)
                self._note(one, pod)

    def _note(self, key: _Name | _Object, pod: Pod) -> None:
        if waits(pod):
            self._waiting.setdefault(key, set()).add(pod.workload)

    def waiting(self, row: _Row) -> set[str]:
        """Return the workloads of an object's pods that wait."""
        keys: tuple[_Name | _Object, ...] = (_name(row), *row.above)
        return {workload for key in keys for workload in self._waiting.get(key, ())}

    def give(self, row: _Row, asked: "_Asked") -> bool:
        """Take off what an object asks its pods, as far as no other object has them; whether there are any."""
        none: deque[Pod] = deque()
        some = False
        for there in (self._named.get(_name(row), none), *(self._above.get(one, none) for one in sorted(row.above))):
            for _ in range(len(there)):
                if not asked.lacks:
                    return some
                pod = there.popleft()
                if (pod.namespace, pod.name) in self._taken:
                    continue
                if asked.takes(pod):
                    self._taken.add((pod.namespace, pod.name))
                    some = True
                else:
                    there.append(pod)
        return some


class _Asked:
    """What an object asks for, by resource, less the pods that there are."""

    def __init__(self, row: _Row, around: Surroundings) -> None:
        self._row = row
        self._counts: dict[str, float] = {}
        self._gpus: dict[str, float | None] = {}
        self._shapes: dict[str, list[tuple[float, Shape]]] = {}  # with what each pod asks of the resource
        self._gone: dict[str, Counter[float]] = {}
        queued, most = row.kept.queued, objects().cards.max_asked
        for one in queued.sets:
            for held in _each(row.kept.meta.namespace, one, around):
                if held.count > most:
                    continue  # no node has so many: no pod like it will ever run
                self._add(held.resource, held.count, held.gpus, one.shape.pods)
                self._shapes.setdefault(held.resource, []).append((held.count, one.shape))
        for name, count in queued.least.items():
            if count > most * max(1, queued.members):
                continue
            share = common_share(name, around.offers.get(name, ()), several=count > 1)[1]
            self._add(name, count, None if share is None else share * count, 1)

    def _add(self, resource: str, count: float, gpus: float | None, pods: int) -> None:
        known = self._gpus.get(resource, 0.0)
        self._counts[resource] = self._counts.get(resource, 0.0) + count * pods
        self._gpus[resource] = None if known is None or gpus is None else known + gpus * pods

    @property
    def lacks(self) -> bool:
        """Whether anything is left."""
        return any(count > 0 for count in self._counts.values())

    def takes(self, pod: Pod) -> bool:
        """Take off what a pod holds or waits for; whether that is part of what is asked."""
        found = [held for held in pod.holdings if held.count and self._counts.get(held.resource, 0.0) > 0]
        for held in found:
            known = self._gpus[held.resource]
            self._counts[held.resource] -= held.count
            self._gpus[held.resource] = None if known is None or held.gpus is None else known - held.gpus
            self._gone.setdefault(held.resource, Counter())[held.count] += 1
        return bool(found)

    def records(self, cluster: str) -> list[Waiting]:
        """Return what is left, one record for each resource."""
        queued = self._row.kept.queued
        found = []
        for resource, count in sorted(self._counts.items()):
            if count <= 1e-9:
                continue
            gpus, gone = self._gpus[resource], Counter(self._gone.get(resource, Counter()))
            shapes = _left(self._shapes.get(resource, ()), gone)
            found.append(
                Waiting(
                    cluster=cluster,
                    namespace=self._row.kept.meta.namespace,
                    workload=self._row.workload,
                    resource=resource,
                    count=count,
                    gpus=None if gpus is None else max(0.0, gpus),
                    since=queued.since,
                    reason=queued.reason,
                    message=queued.message,
                    queue=queued.queue,
                    pods=max(1, sum(one.pods for one in shapes) if shapes else queued.members - gone.total()),
                    shapes=shapes,
                )
            )
        return found


def _each(namespace: str, one: PodSet, around: Surroundings) -> tuple[Holding, ...]:
    """Return what each pod of a set asks for, as a pod like it would."""
    pod = Pod(
        cluster="",
        namespace=namespace,
        name="",
        annotations=dict(one.annotations),
        requests=one.shape.requests,
        node_selector=one.shape.node_selector,
    )
    return holdings(pod, None, replace(around, asks={(namespace, ""): one.templates} if one.templates else {}))


def _left(shapes: Iterable[tuple[float, Shape]], gone: Counter[float]) -> tuple[Shape, ...]:
    """Return the pods that were not made: of the sets that ask as much as those that were."""
    found = []
    for count, one in shapes:
        made = min(one.pods, gone[count])
        gone[count] -= made
        if made < one.pods:
            found.append(msgspec.structs.replace(one, pods=one.pods - made))
    return folded(found)


def _name(row: _Row) -> _Name:
    return (row.kept.meta.namespace, row.kept.meta.name)


def _gang(pod: Pod) -> str | None:
    """Return the queue's object that a pod names."""
    keys = (*kubernetes.queues().pod_groups, *kubernetes.queues().pod_sets)
    return kubernetes.first(pod.annotations, keys) or kubernetes.first(pod.labels, keys)


def _objects(state: Gathered, pod: Pod) -> set[_Object]:
    """Return a pod, its owners, and their root."""
    owners = state.owners.above(state.pods[(pod.namespace, pod.name)].start)
    above = {_object(owner, pod.namespace) for owner in owners}
    return above | {("", "Pod", pod.namespace, pod.name), _root(state, pod.workload)}


def _object(owner: OwnerReference, namespace: str) -> _Object:
    return (owner.api_version.rpartition("/")[0], owner.kind, namespace, owner.name)


def _root(state: Gathered, workload: str) -> _Object:
    root = state.roots[workload]
    return (root.group, root.kind, root.namespace, root.name)


def _id(state: Gathered, one: _Object) -> str:
    group, kind, namespace, name = one
    return workload_id(cluster=state.cluster, kind=shown_kind(group, kind), namespace=namespace, name=name)
