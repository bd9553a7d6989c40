"""Pods of metrics → workloads: pods that are listed, then owner series, then the names of known workloads.

Most pods of a window are gone when it is audited; their workload is found by what recorded its owner at the time.
"""

from collections.abc import Callable, Collection, Iterable
from functools import cache

from gpuaudit.cluster.usage import NOBODY, UNKNOWN_OWNER
from gpuaudit.collect.metrics.identity import NOBODY_HOLDS, UNKNOWN_HOLDER, ClusterOf, Holder
from gpuaudit.collect.metrics.store import Series
from gpuaudit.knowledge import series
from gpuaudit.knowledge.series import OwnerSeries

OwnerOf = Callable[[str, str, str, str], str | None]  # cluster, namespace, pod, node → workload id
Parent = tuple[str, str]  # kind and name
NO_PARENT = ("", "")  # kube-state-metrics says that nothing owns it
MAX_DEPTH = 8


class Owners:
    """Finds the workload id of a holder; every answer is remembered."""

    def __init__(
        self,
        store: Iterable[Series],
        *,
        cluster_of: ClusterOf,
        owner_of: OwnerOf | None = None,
        workloads: Collection[str] = (),
    ) -> None:
        self._owner_of = owner_of
        self._workloads = frozenset(workloads)
        facts = series.facts().owner
        watched = {facts.pod.metric: ("Pod", facts.pod)}
        watched |= {row.metric: (kind, row) for kind, row in facts.parents.items()}
        self._parents: dict[tuple[str, str, str, str], Parent] = {}
        for one in sorted((one for one in store if one.name in watched), key=lambda one: one.last or 0):
            self._learn(one, *watched[one.name], cluster_of)
        self.of = cache(self._find)

    def knows(self, cluster: str, holder: Holder, node: str) -> bool:
        """Whether a holder is a listed pod; owner series do not count: they come with the metrics."""
        if holder in (NOBODY_HOLDS, UNKNOWN_HOLDER) or self._owner_of is None:
            return False
        return self._owner_of(cluster, holder.namespace, holder.pod, node) is not None

    def _find(self, cluster: str, holder: Holder, node: str) -> str:
        if holder == NOBODY_HOLDS:
            return NOBODY
        if holder == UNKNOWN_HOLDER:
            return UNKNOWN_OWNER
        listed = self._owner_of(cluster, holder.namespace, holder.pod, node) if self._owner_of else None
        if listed:
            return listed
        return self._recorded(cluster, holder) or self._named(cluster, holder) or _id(cluster, "Pod", *holder)

    def _recorded(self, cluster: str, holder: Holder) -> str | None:
        """Follow the owner series up; None when there is none about the pod."""
        kind, name = "Pod", holder.pod
        for _ in range(MAX_DEPTH):
            parent = self._parents.get((cluster, kind, holder.namespace, name))
            if parent == NO_PARENT:
                return _id(cluster, kind, holder.namespace, name)
            if parent is None:
                break
            kind, name = parent
        if kind == "Pod":
            return None
        known = None if _id(cluster, kind, holder.namespace, name) in self._workloads else self._named(cluster, holder)
        return known or _id(cluster, kind, holder.namespace, name)

    def _named(self, cluster: str, holder: Holder) -> str | None:
        """Return the known workload that names its pods like this; a guess that nobody confirms is none."""
        for kind, name in series.owner_candidates(holder.pod):
            found = _id(cluster, kind, holder.namespace, name)
            if found in self._workloads:
                return found
        return None

    def _learn(self, one: Series, kind: str, row: OwnerSeries, cluster_of: ClusterOf) -> None:
        facts = series.facts()
        parent = (one.labels.get(row.owner_kind, ""), one.labels.get(row.owner_name, ""))
        if parent[0] in (*facts.owner.none, *facts.owner.static_kinds) or parent[1] in facts.owner.none:
            parent = NO_PARENT
        prefix = facts.exported_prefix
        namespace = one.labels.get(prefix + row.namespace) or one.labels.get(row.namespace, "")
        name = one.labels.get(prefix + row.name) or one.labels.get(row.name, "")
        cluster = cluster_of(next((one.labels[key] for key in facts.cluster if one.labels.get(key)), ""), one.source)
        self._parents[(cluster, kind, namespace, name)] = parent


def _id(cluster: str, kind: str, namespace: str, name: str) -> str:
    return f"{cluster}/{kind}/{namespace}/{name}"
