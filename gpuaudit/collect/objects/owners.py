"""Whose a pod is: the root of its chain of owners, also where links of the chain were not listed."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from sys import intern
from typing import NamedTuple

from gpuaudit.cluster.snapshot import workload_id
from gpuaudit.collect.kubernetes_types import Identity, OwnerReference
from gpuaudit.knowledge.objects import objects, shown_kind

_MINUTES_SUFFIX = re.compile(r"(.+)-(\d{8})")  # a CronJob names its Jobs by the minute they were due

_NO_LABELS: Mapping[str, str] = {}


class Root(NamedTuple):
    """The top owner. `listed` is False when only its pods or its parts tell of it."""

    group: str
    kind: str
    namespace: str
    name: str
    listed: bool = True
    uid: str = ""
    pinned: bool = False  # a static pod: its node runs it, it cannot move

    def id(self, cluster: str) -> str:
        """Return the workload's id."""
        return workload_id(
            cluster=cluster, kind=shown_kind(self.group, self.kind), namespace=self.namespace, name=self.name
        )


class Link(NamedTuple):
    """An object with the owner above it."""

    group: str
    kind: str
    namespace: str
    name: str
    owner: OwnerReference | None
    labels: Mapping[str, str]


class Start(NamedTuple):
    """A pod as far as it tells its root: names of its own only where it may be that itself."""

    namespace: str
    name: str
    uid: str
    created: datetime | None
    owner: OwnerReference | None
    labels: Mapping[str, str]


class Owners:
    """All objects that may own pods, by UID."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}
        self._names: dict[tuple[str, str, str, str], str] | None = None  # made when it is asked for
        self._drivers: dict[int, OwnerReference] = {}  # pods that may own others, by hash of UID → what made them
        self._makers: dict[str, OwnerReference] = {}  # one reference for all pods of an owner
        self._roots: dict[str, Root] = {}  # above a listed owner, by its UID: pods of one owner have one root

    def add(self, group: str, kind: str, meta: Identity) -> None:
        """Remember an object; labels only as far as they can name a root."""
        if meta.uid:
            self._roots.clear()
            self._names = None
            self._links[meta.uid] = Link(
                group, kind, intern(meta.namespace), meta.name, _slim(controller(meta)), naming_labels(meta.labels)
            )

    def add_driver(self, meta: Identity) -> None:
        """Remember of a pod that may own others just what made it: there may be many, and few own any."""
        owner = controller(meta)
        if meta.uid and owner is not None and owner.kind not in objects().owners.leaf_makers:
            self._roots.clear()
            self._drivers[hash(meta.uid)] = self._makers.setdefault(owner.uid, owner)

    def root(self, pod: Start) -> Root:
        """Return the root owner of a pod: itself if nothing owns it."""
        above = pod.owner
        known = self._roots.get(above.uid) if above else None
        if known is not None:
            return known
        root = self._climb(Link("", "Pod", pod.namespace, pod.name, above, pod.labels), pod.uid, pod.created)
        if above and root.listed and above.uid in self._links and above.kind not in objects().owners.stop_kinds:
            self._roots[above.uid] = root
        return root

    def root_of(self, group: str, kind: str, meta: Identity) -> Root:
        """Return the root owner of any other object."""
        start = Link(group, kind, meta.namespace, meta.name, controller(meta), meta.labels or {})
        return self._climb(start, meta.uid, meta.creation_timestamp)

    def root_named(self, group: str, kind: str, namespace: str, name: str) -> Root | None:
        """Return the root owner of an object that an event names; None for one that was not listed.

        Where the event tells no group and two have such an object, it is the one without a longer name of its own:
        Kubernetes'.
        """
        found = self._uid_named(group, kind, namespace, name)
        return self._climb(self._links[found], found, None) if found else None

    def above_named(self, group: str, kind: str, namespace: str, name: str) -> Iterator[OwnerReference]:
        """Yield the owners above an object that an event names, the nearest first; none where it was not listed."""
        found = self._uid_named(group, kind, namespace, name)
        return (owner for owner, _ in self._chain(self._links[found])) if found else iter(())

    def owned(self, uid: str) -> bool:
        """Whether a remembered object has an owner that is work: then it is no root."""
        link = self._links.get(uid)
        if link is None or link.owner is None or link.kind in objects().owners.final_kinds:
            return False
        return link.owner.kind not in objects().owners.stop_kinds

    def above(self, pod: Start) -> Iterator[OwnerReference]:
        """Yield the owners above a pod from the nearest on, as far as they are known."""
        link = Link("", "Pod", pod.namespace, pod.name, pod.owner, pod.labels)
        return (owner for owner, _ in self._chain(link))

    def _climb(self, link: Link, uid: str, created: datetime | None) -> Root:
        here, here_uid = link, uid
        for above, known in self._chain(link):
            if known is None:
                return _unlisted(here, link, above, created)
            here, here_uid = known, above.uid
        pinned = here.owner is not None and here.owner.kind == "Node"
        return Root(here.group, here.kind, here.namespace, here.name, uid=here_uid, pinned=pinned)

    def _chain(self, link: Link) -> Iterator[tuple[OwnerReference, Link | None]]:
        """Yield each owner above an object; the last is None where it was not listed."""
        rules, here = objects().owners, link
        for _ in range(rules.max_depth):
            above = here.owner
            if above is None or above.kind in rules.stop_kinds or here.kind in rules.final_kinds:
                return
            known = self._links.get(above.uid) or self._driver(here, above)
            yield above, known
            if known is None:
                return
            here = known

    def _uid_named(self, group: str, kind: str, namespace: str, name: str) -> str | None:
        if self._names is None:
            self._names = {}
            for uid, link in self._links.items():
                key = ("", link.kind, link.namespace, link.name)
                if key not in self._names or shown_kind(link.group, link.kind) == link.kind:
                    self._names[key] = uid
                self._names[(link.group, *key[1:])] = uid
        return self._names.get((group, kind, namespace, name))

    def _driver(self, here: Link, above: OwnerReference) -> Link | None:
        """Return the pod above an object, where it holds no GPU itself: owners are of the same namespace."""
        maker = self._drivers.get(hash(above.uid)) if above.kind == "Pod" else None
        return Link("", "Pod", here.namespace, above.name, maker, _NO_LABELS) if maker else None


def start_of(meta: Identity) -> Start:
    """Return what tells a pod's root. Pods of a workload are many, so words that all share are one."""
    rules, owner = objects().owners, _slim(controller(meta))
    labels = {label: meta.labels[label] for label in rules.template_hash if label in meta.labels} if meta.labels else {}
    labels |= naming_labels(meta.labels)
    alone = owner is None or owner.kind in rules.stop_kinds
    return Start(
        namespace=intern(meta.namespace),
        name=meta.name if alone else "",
        uid=meta.uid if alone else "",
        created=meta.creation_timestamp,
        owner=owner,
        labels=labels or _NO_LABELS,
    )


def owner_key(namespace: str, name: str, owner: OwnerReference | None) -> str:
    """Return what pods of one owner have in common; the pod itself where nothing owns it, or its node does."""
    if owner is None or owner.kind in objects().owners.stop_kinds:
        return f"{namespace}//{name}"
    return owner.uid or f"{namespace}/{owner.kind}/{owner.name}"


def _slim(owner: OwnerReference | None) -> OwnerReference | None:
    """Have the words of a reference that many others share once in memory."""
    if owner is not None:
        owner.kind, owner.api_version = intern(owner.kind), intern(owner.api_version)
    return owner


def controller(meta: Identity) -> OwnerReference | None:
    """Return the owner that controls an object, else the first that is named."""
    references = meta.owner_references
    if not references:
        return None
    for reference in references:
        if reference.controller:
            return reference
    return references[0]


def naming_labels(labels: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the labels that can name a root owner."""
    if not labels:
        return _NO_LABELS
    found = {row.label: labels[row.label] for row in objects().owners.root_label if row.label in labels}
    return found or _NO_LABELS


def _unlisted(here: Link, pod: Link, above: OwnerReference, created: datetime | None) -> Root:
    """Return the root when `above` was not listed: by a naming label, or by how controllers name what they make."""
    for row in objects().owners.root_label:
        name = here.labels.get(row.label) or pod.labels.get(row.label)
        if name:
            return Root(row.group, row.kind, pod.namespace, name, listed=False)
    group = above.api_version.rpartition("/")[0]
    if (group, above.kind) == ("apps", "ReplicaSet"):
        return _maker_of_replica_set(pod, above)
    if (group, above.kind) == ("batch", "Job"):
        return _maker_of_job(here, above, created)
    return Root(group, above.kind, here.namespace, above.name, listed=False, uid=above.uid)


def _maker_of_replica_set(pod: Link, above: OwnerReference) -> Root:
    for label in objects().owners.template_hash:
        suffix = "-" + pod.labels.get(label, "-")
        if above.name.endswith(suffix):
            group, kind = ("argoproj.io", "Rollout") if label.startswith("rollouts") else ("apps", "Deployment")
            return Root(group, kind, pod.namespace, above.name.removesuffix(suffix), listed=False)
    return Root("apps", "ReplicaSet", pod.namespace, above.name, listed=False, uid=above.uid)


def _maker_of_job(here: Link, above: OwnerReference, created: datetime | None) -> Root:
    """Return the CronJob when the Job's name ends in the minute at which it was made, else the Job."""
    match = _MINUTES_SUFFIX.fullmatch(above.name)
    if match and created and abs(int(match[2]) * 60 - created.timestamp()) < 86400:  # a day: started late
        return Root("batch", "CronJob", here.namespace, match[1], listed=False)
    return Root("batch", "Job", here.namespace, above.name, listed=False, uid=above.uid)
