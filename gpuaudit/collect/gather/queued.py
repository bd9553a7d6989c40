"""Work that a queue holds back: what its objects ask for beyond the pods that there are. Each pod counts once."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from gpuaudit.cluster.workloads import Pod, Shape, Waiting, folded
from gpuaudit.collect.broken import Kind
from gpuaudit.collect.gather.controllers import Controllers
from gpuaudit.collect.gather.state import Gathered, KeptQueued
from gpuaudit.collect.kubernetes_types import Identity, OwnerReference
from gpuaudit.collect.objects.holdings import Surroundings, device_class
from gpuaudit.collect.objects.units import common_share, is_gpu_resource
from gpuaudit.collect.objects.waiting import Queued, waits, within
from gpuaudit.knowledge import kubernetes
from gpuaudit.knowledge.objects import objects

_Object = tuple[str, str, str, str]  # group, kind, namespace, name
_Name = tuple[str, str]  # namespace, name


class HeldBack(NamedTuple):
    """What queues say of work."""

    lacking: list[Waiting]  # pods that were not made yet
    reasons: dict[str, Queued]  # workload of pods that wait → what its queue says of it
    counted: Counter[str]  # how many pods, by id of whose they are: a quota's refusal of the same ones adds nothing
    refusable: dict[str, list[Waiting]]  # by id of whose pods they are: what is lacking if a quota refused any


class _System(NamedTuple):
    """The objects of a queue, and the labels and annotations by which pods name theirs."""

    kind: Kind
    keys: tuple[str, ...]

    @property
    def outlives(self) -> bool:
        """Whether objects wait whose pods nobody wants any more: Volcano's, as soon as these are gone."""
        return self.kind[1] == "PodGroup"


class _Row(NamedTuple):
    """An object of a queue, whose work it is, and the objects above the pods of that work."""

    kept: KeptQueued
    workload: str
    above: frozenset[_Object]


def held_back(state: Gathered, pods: Sequence[Pod], around: Surroundings, controllers: Controllers) -> HeldBack:
    """Return what queues hold back, beside the pods that there are.

    A pod may have an object of each system. What Kueue says of it counts, not what Volcano says: it is asked first.
    """
    found = HeldBack([], {}, Counter(), {})
    kept = list(state.kept.values("queued", KeptQueued))
    claims: set[_Name] = set()  # those that were counted, by what names them
    for system in _systems():
        own = [one for one in kept if (one.group, one.kind) == system.kind and not _is_variant(one)]
        rows = _rows(state, own, pods, system) if own else []
        if system.outlives:
            rows = [row for row in rows if not any(controllers.wants_none(*one) for one in row.above)]
        made = _Made(state, pods if rows else (), rows, system)
        earlier = frozenset(found.counted)
        for row in rows:
            for workload in made.waiting(row):
                found.reasons.setdefault(workload, row.kept.queued)
            asked = _Asked(row, around, claims)
            some = made.give(row, asked)
            whose = {controllers.whose(*one) for one in row.above}
            if not earlier.isdisjoint(whose):
                continue
            records = asked.records(state.cluster)
            if system.outlives:  # groups of a Deployment's old ReplicaSets stay
                records = within(records, _room(found, whose, controllers))
            _put(found, whose, records, refusable=row.kept.queued.let_in and some)
    return found


def _systems() -> tuple[_System, ...]:
    queues = kubernetes.queues()
    return (
        _System(("kueue.x-k8s.io", "Workload"), queues.pod_sets),
        _System(("scheduling.volcano.sh", "PodGroup"), queues.pod_groups),
    )


def _is_variant(one: KeptQueued) -> bool:
    """Whether an object asks for what another one of its kind asks for, in another way."""
    return any(owner.kind == one.kind for owner in one.meta.owner_references or ())


def _put(found: HeldBack, whose: Iterable[str], records: Sequence[Waiting], *, refusable: bool) -> None:
    if refusable:
        for one in whose:
            found.refusable.setdefault(one, []).extend(records)
        return
    found.lacking.extend(records)
    for one in whose:
        found.counted[one] += max((record.pods for record in records), default=0)


def _room(found: HeldBack, whose: Iterable[str], controllers: Controllers) -> int | None:
    """Return how many more pods there may be by those who say how many they want; None where nobody does."""
    rooms = [room - found.counted[one] for one in whose if (room := controllers.room(one)) is not None]
    return min(rooms, default=None)


def _rows(state: Gathered, kept: Iterable[KeptQueued], pods: Iterable[Pod], system: _System) -> list[_Row]:
    """Name the workload behind each object: its root owner, its pods', whom it is named for, else itself."""
    named: dict[_Name, str] = {}
    for pod in pods:
        for name in _names(pod, system):
            named.setdefault(name, pod.workload)
    roots = {(root.namespace, root.kind.lower(), root.name): workload for workload, root in state.roots.items()}
    found = []
    for one in kept:
        meta = one.meta
        above = {_object(owner, meta.namespace) for owner in meta.owner_references or ()}
        root = state.owners.root_of(one.group, one.kind, meta)
        workload = root.id(state.cluster)
        other = named.get((meta.namespace, meta.name)) or _named_job(roots, meta) if root.kind == one.kind else None
        if other:
            workload = other
            above.add(_root(state, other))
        found.append(_Row(one, workload, frozenset(above)))
    return sorted(found, key=lambda row: (row.workload, row.kept.meta.name))


def _named_job(roots: Mapping[tuple[str, str, str], str], meta: Identity) -> str | None:
    """Return the workload that a queue's object without owner is named for: `job-NAME-7d1e2` of Kueue."""
    kind, _, rest = meta.name.partition("-")
    return roots.get((meta.namespace, kind, rest.rpartition("-")[0]))


class _Made:
    """The pods that there are, by the object that they name, else by what is above them, and by resource.

    A pod that names an object is no other one's: the groups of a LeaderWorkerSet have one owner.
    """

    def __init__(self, state: Gathered, pods: Iterable[Pod], rows: Iterable[_Row], system: _System) -> None:
        wanted = {one for row in rows for one in row.above}
        table = f"custom {system.kind[0]}/{system.kind[1]}"
        self._pods: dict[tuple[_Name | _Object, str], deque[Pod]] = {}
        self._waiting: dict[_Name | _Object, set[str]] = {}
        self._taken: set[_Name] = set()
        for pod in pods:
            if pod.ended or pod.deleted is not None:
                continue
            named = {name for name in _names(pod, system) if state.kept.has(table, *name)}
            for one in named or wanted & _objects(state, pod):
                for held in pod.holdings:
                    self._pods.setdefault((one, held.resource), deque()).append(pod)
                if waits(pod):
                    self._waiting.setdefault(one, set()).add(pod.workload)

    def waiting(self, row: _Row) -> set[str]:
        """Return the workloads of an object's pods that wait."""
        return {workload for one in _keys(row) for workload in self._waiting.get(one, ())}

    def give(self, row: _Row, asked: "_Asked") -> bool:
        """Take off what an object asks its pods, as far as no other object has them; whether there are any."""
        some = False
        for one in _keys(row):
            for resource in asked.lacks:
                there = self._pods.get((one, resource), deque())
                while there and resource in asked.lacks:
                    pod = there.popleft()
                    if (pod.namespace, pod.name) not in self._taken:
                        self._taken.add((pod.namespace, pod.name))
                        asked.take(pod)
                        some = True
        return some


class _Asked:
    """What an object asks for, by resource, less the pods that there are."""

    def __init__(self, row: _Row, around: Surroundings, claims: set[_Name]) -> None:
        self._row = row
        self._counts: dict[str, float] = {}
        self._gpus: dict[str, float | None] = {}
        self._shapes: dict[str, list[tuple[float, Shape]]] = {}  # with what each pod asks of the resource
        self._gone: dict[str, Counter[float]] = {}
        queued, most = row.kept.queued, objects().cards.max_asked
        for one in queued.sets:
            for held in one.holdings(around):
                if held.count > most:
                    continue  # no node has so many: no pod like it will ever run
                self._add(held.resource, held.count, held.gpus, one.shape.pods)
                self._shapes.setdefault(held.resource, []).append((held.count, one.shape))
            for held in one.shared(around, claims):
                self._add(held.resource, held.count, held.gpus, 1)
        for name, count in queued.least.items():
            if count <= most * max(1, queued.members):
                self._add_least(name, count, queued.members, around)

    def _add_least(self, name: str, count: float, members: int, around: Surroundings) -> None:
        """Add what all members need; what part of a card HAMi gives each is not told."""
        if served := device_class(name, around):
            self._add(served, count, count if served in objects().dra.whole_classes else None, 1)
        elif is_gpu_resource(name):
            kind, share, _ = common_share(name, around.offers.get(name, ()), several=count > members)
            self._add(name, count, None if share is None or kind == "hami" else share * count, 1)

    def _add(self, resource: str, count: float, gpus: float | None, pods: int) -> None:
        known = self._gpus.get(resource, 0.0)
        self._counts[resource] = self._counts.get(resource, 0.0) + count * pods
        self._gpus[resource] = None if known is None or gpus is None else known + gpus * pods

    @property
    def lacks(self) -> list[str]:
        """The resources of which anything is left."""
        return [resource for resource, count in self._counts.items() if count > 0]

    def take(self, pod: Pod) -> None:
        """Take off what a pod holds or waits for."""
        for held in pod.holdings:
            if held.count and self._counts.get(held.resource, 0.0) > 0:
                known = self._gpus[held.resource]
                self._counts[held.resource] -= held.count
                self._gpus[held.resource] = None if known is None or held.gpus is None else known - held.gpus
                self._gone.setdefault(held.resource, Counter())[held.count] += 1

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


def _left(shapes: Iterable[tuple[float, Shape]], gone: Counter[float]) -> tuple[Shape, ...]:
    """Return the pods that were not made: of the sets that ask as much as those that were."""
    found = []
    for count, one in shapes:
        made = min(one.pods, gone[count])
        gone[count] -= made
        if made < one.pods:
            found.append(msgspec.structs.replace(one, pods=one.pods - made))
    return folded(found)


def _keys(row: _Row) -> tuple[_Name | _Object, ...]:
    """Return what an object's pods are kept by."""
    return ((row.kept.meta.namespace, row.kept.meta.name), *sorted(row.above))


def _names(pod: Pod, system: _System) -> Iterator[_Name]:
    """Yield the names of objects that a pod may mean."""
    for words in (pod.annotations, pod.labels):
        yield from ((pod.namespace, words[key]) for key in system.keys if key in words)


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
