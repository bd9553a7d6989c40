"""Clusters as contexts show them: one that several contexts mean counts once, as the widest view has it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from gpuaudit.cluster.platform import Source
from gpuaudit.collect.inventory import Inventory
from gpuaudit.collect.kubernetes.listing import Listed
from gpuaudit.collect.kubernetes.reading import Reading
from gpuaudit.collect.kubernetes.told import pods_of, status_of, weight

_NAMED = 6


@dataclass(frozen=True)
class View:
    """A cluster as a context reads it, with the source that tells how that went."""

    reading: Reading
    inventory: Inventory
    source: Source

    @property
    def name(self) -> str:
        """The cluster's name in this view."""
        return self.inventory.clusters[0].name

    @property
    def nodes_whole(self) -> bool:
        """Whether all nodes were read, and are shown."""
        return self.inventory.clusters[0].listed

    @property
    def pods_whole(self) -> bool:
        """Whether all pods of the cluster were read."""
        return self._pods is not None and self._pods.complete

    @property
    def namespaces(self) -> frozenset[str]:
        """Namespaces whose pods were read, where it was not the whole cluster; none where nothing tells."""
        return frozenset((self._pods and self._pods.namespaces) or ())

    @property
    def rank(self) -> tuple[bool, bool, bool, bool, int, int, str]:
        """What puts the views that show most first, whatever order they were named in."""
        some = bool(self._pods and (self.pods_whole or self.namespaces or self._pods.objects))
        return (
            not (self.nodes_whole and self.pods_whole),
            not self.pods_whole,
            not some,
            not self.nodes_whole,
            -len(self.namespaces),
            -len(self.kinds),
            self.reading.connection.context,
        )

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of which all objects were read."""
        return frozenset(one.name for one in self.reading.listed if one.complete)

    @property
    def _address(self) -> tuple[str, str, int | None, str]:
        return self.reading.connection.address

    @property
    def _pods(self) -> Listed | None:
        return pods_of(self.reading)

    def shares_with(self, other: "View") -> bool:
        """Whether both show some of the same GPUs: all but tenants of one cluster with no namespace in common do."""
        return self.same_cluster(other) and not (
            self.namespaces and other.namespaces and self.namespaces.isdisjoint(other.namespaces)
        )

    def same_cluster(self, other: "View") -> bool:
        """Whether both show one cluster. Whoever may not read a cluster's UID knows it by its address."""
        uids = {self.inventory.clusters[0].uid, other.inventory.clusters[0].uid}
        return len(uids) == 1 if None not in uids else self._address == other._address


def of_use(views: Sequence[View]) -> tuple[list[Inventory], list[Source]]:
    """Return the inventories to audit together, and the sources of all views.

    Failed ones only have a source. Beside others, a cluster whose pods were not all read gives no nodes: rules would
    take them for empty, since the others' pods are there.
    """
    usable = [number for number, view in enumerate(views) if status_of(view.reading) != "failed"]
    chosen: list[int] = []
    passed: dict[int, View] = {}
    sources = [view.source for view in views]
    for number in sorted(usable, key=lambda one: views[one].rank):
        other = next((views[one] for one in chosen if views[number].shares_with(views[one])), None)
        if other is None:
            chosen.append(number)
        else:
            passed[number] = other
    for number, other in passed.items():
        same = [views[one] for one in chosen if views[number].same_cluster(views[one])]
        sources[number] = _counted_once(views[number], other, same)
    kept = [views[number].inventory for number in sorted(chosen)]
    if len(kept) > 1:
        kept = [one if {"nodes", "pods"} <= set(one.provides) else _without_nodes(one) for one in kept]
    return kept, sources


def own_names(views: Sequence[View], audited: Sequence[str]) -> dict[str, str]:
    """Return what the audited clusters are called, by the names they were read under, where that tells them apart.

    So a cluster's name, and every id made of it, does not depend on which other contexts were named.
    """
    own = {view.name: view.reading.connection.own_name for view in views if view.name in audited}
    taken = Counter([*own.values(), *(name for name in own if own[name] != name)])
    return {name: new for name, new in own.items() if new != name and taken[new] == 1}


def _counted_once(view: View, instead: View, audited: Sequence[View]) -> Source:
    """Return the source of a view that gives nothing of its own; it says what only this one could have shown.

    `audited` are the views of the same cluster that are audited, `instead` among them.
    """
    detail = f"{view.source.detail}; the same cluster as {instead.name}: read once"
    missing: list[str] = []
    if not instead.pods_whole:
        missing += sorted(view.namespaces.difference(*(one.namespaces for one in audited)))
    missing += [f"its {name}" for name in sorted(view.kinds.difference(*(one.kinds for one in audited)), key=weight)]
    if not missing:
        status = "ok" if instead.pods_whole else view.source.status
        return msgspec.structs.replace(view.source, status=status, detail=detail, provides=())
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    detail += f", without {', '.join(missing[:_NAMED])}{more}: audit this context alone for them"
    return msgspec.structs.replace(view.source, status="partial", detail=detail, provides=())


def _without_nodes(inventory: Inventory) -> Inventory:
    clusters = tuple(msgspec.structs.replace(cluster, listed=False) for cluster in inventory.clusters)
    return replace(inventory, clusters=clusters, nodes=())
