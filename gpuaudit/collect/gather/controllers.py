"""Which controllers are listed, which pods each of them has, and whether it wants more."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from itertools import takewhile
from typing import NamedTuple, TypeVar

from gpuaudit.cluster.snapshot import workload_id
from gpuaudit.cluster.workloads import Pod
from gpuaudit.collect.gather.state import Gathered, KeptWorkload
from gpuaudit.collect.kubernetes_types import OwnerReference
from gpuaudit.collect.objects.podsets import PodSet
from gpuaudit.knowledge.objects import shown_kind

_Set = TypeVar("_Set", PodSet, PodSet | None)


class Chain(NamedTuple):
    """An object, and what is above it."""

    ids: tuple[str, ...]  # its own and its owners', the nearest first, its workload's last
    whose: str  # the nearest that is listed, of a ReplicaSet its Deployment; else the workload

    @property
    def workload(self) -> str:
        """The id of its root owner."""
        return self.ids[-1]


class Controllers:
    """Who makes pods. What it knows it looks up when it is first asked: most clusters have no work held back."""

    def __init__(self, state: Gathered, pods: Iterable[Pod]) -> None:
        self._state, self._all = state, pods
        self._sets: dict[str, list[tuple[PodSet, int]]] = {}

    @cached_property
    def listed(self) -> Mapping[str, KeptWorkload]:
        """The listed ones that may ask for GPUs, by id."""
        return {kept.record.id: kept for kept in self._state.kept.all_values("work ", KeptWorkload)}

    @cached_property
    def pods(self) -> Mapping[str, list[Pod]]:
        """GPU pods by the ids of all that made them."""
        found: dict[str, list[Pod]] = {}
        for pod in self._all:
            owners = self._state.owners.above(self._state.pods[(pod.namespace, pod.name)].start)
            made = takewhile(lambda owner: owner.kind != "Pod", owners)  # what a pod owns its own makers did not make
            for whose in {*self._above(made, pod.namespace), pod.workload}:
                found.setdefault(whose, []).append(pod)
        return found

    def chain(self, group: str, kind: str, namespace: str, name: str) -> Chain | None:
        """Return an object, as an event or a reference names it, with what is above it; None if it was not listed."""
        about = (group, kind, namespace, name)
        root = self._state.owners.root_named(*about)
        if root is None:
            return None
        above = self._above(self._state.owners.above_named(*about), namespace)
        ids = (self._id(shown_kind(group, kind), namespace, name), *above, root.id(self._state.cluster))
        return Chain(ids, next((one for one in ids if one in self.listed), ids[-1]))

    def missing(self, whose: str) -> int | None:
        """Return how many pods are wanted and not there, None where it does not say."""
        told = self.listed.get(whose)
        if told is not None and told.record.suspended:
            return 0
        if told is None or told.wanted is None:
            return None
        return told.wanted - self._living.get(whose, 0)

    def room(self, whose: str) -> int | None:
        """Return how many pods are wanted and not there of one whose own template makes them, None of others."""
        told = self.listed.get(whose)
        return self.missing(whose) if told and told.template else None

    def made_since(self, whose: str, when: datetime | None) -> bool:
        """Whether a pod was made after a time."""
        newest = self._newest.get(whose)
        return bool(when and newest and newest > when)

    def missing_sets(self, whose: str) -> list[tuple[PodSet, int]]:
        """Return the roles or groups of pods of a custom one, each with how many of it are not there."""
        if whose not in self._sets:
            self._sets[whose] = self._missing_sets(whose)
        return self._sets[whose]

    def _missing_sets(self, whose: str) -> list[tuple[PodSet, int]]:
        told = self.listed[whose]
        if told.record.suspended or told.wanted == 0:
            return []
        names = {one.name for one in told.sets}
        made: Counter[str] = Counter()
        for pod in self.pods.get(whose, ()):
            if pod.deleted is None and pod.phase != "Failed":  # one that succeeded is not made again
                words = (pod.labels.get(label, "").casefold() for label in told.set_labels)
                made[next((word for word in words if word in names), "")] += 1
        left = []
        for one in sorted(told.sets, key=lambda one: (one.name != "", -one.shape.pods)):
            there = min(one.shape.pods, made[one.name])
            made[one.name] -= there
            left.append((one, one.shape.pods - there))
        return less(left, made[""])

    def whose(self, group: str, kind: str, namespace: str, name: str) -> str:
        """Return the id of who makes the pods of an object that a queue's object is of."""
        chain = None if kind == "Pod" else self.chain(group, kind, namespace, name)
        return chain.whose if chain else self._id(shown_kind(group, kind), namespace, name)

    def wants_none(self, group: str, kind: str, namespace: str, name: str) -> bool:
        """Whether whoever makes the pods of an object has all that it wants: it ended, or is going, say."""
        if kind == "Pod":
            kept = self._state.pods.get((namespace, name))
            return kept is not None and (kept.record.ended or kept.record.deleted is not None)
        chain = self.chain(group, kind, namespace, name)
        told = self.listed.get(chain.whose) if chain else None
        if chain is None or told is None:
            return False
        if told.template is None:  # what replicas are of a custom one is not always pods
            return told.record.suspended or told.wanted == 0
        missing = self.missing(chain.whose)
        return missing is not None and missing <= 0

    @cached_property
    def _living(self) -> Mapping[str, int]:
        """How many pods of each neither ended nor are going."""
        return {one: sum(not pod.ended and pod.deleted is None for pod in pods) for one, pods in self.pods.items()}

    @cached_property
    def _newest(self) -> Mapping[str, datetime | None]:
        """When the newest pod of each was made."""
        return {one: max((pod.created for pod in pods if pod.created), default=None) for one, pods in self.pods.items()}

    def _above(self, owners: Iterable[OwnerReference], namespace: str) -> Iterator[str]:
        """Yield the ids of owners, as a listed one has it and as an event names it."""
        for owner in owners:
            shown = shown_kind(owner.api_version.rpartition("/")[0], owner.kind)
            yield from dict.fromkeys(
                (self._id(shown, namespace, owner.name), self._id(owner.kind, namespace, owner.name))
            )

    def _id(self, kind: str, namespace: str, name: str) -> str:
        return workload_id(cluster=self._state.cluster, kind=kind, namespace=namespace, name=name)


def less(sets: Iterable[tuple[_Set, int]], pods: int) -> list[tuple[_Set, int]]:
    """Take so many pods off the sets, in order; return what is left."""
    found = []
    for one, count in sets:
        taken = min(count, pods)
        pods -= taken
        if count > taken:
            found.append((one, count - taken))
    return found
