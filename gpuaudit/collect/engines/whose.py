"""Labels of engines' series → the workload and the model that they are about."""

from collections.abc import Iterable, Mapping

from gpuaudit.collect.engines.gathered import Of
from gpuaudit.collect.metrics.identity import MAX_ID, UNKNOWN_HOLDER, ClusterOf, Holder
from gpuaudit.collect.metrics.owners import Owners
from gpuaudit.knowledge import engines, series

GROUP = "gpuaudit_group"  # label that the server is asked to make: the shared part of the pods' names


class Whose:
    """Finds workloads: of a pod by its owner, of a group of pods by the owners of its pods, if they agree."""

    def __init__(self, cluster_of: ClusterOf, owners: Owners, *, workloads: Iterable[str]) -> None:
        self._cluster_of = cluster_of
        self._owners = owners
        self._known = frozenset(workloads)
        self._groups: dict[tuple[str, str, str], set[str]] = {}

    def learn(self, labels: Mapping[str, str], source: str) -> None:
        """Take a pod that told something."""
        holder, cluster = holder_of(labels), self.cluster(labels, source)
        if holder != UNKNOWN_HOLDER:
            key = (cluster, holder.namespace, engines.group_of(holder.pod))
            self._groups.setdefault(key, set()).add(self._workload(cluster, holder))

    def cluster(self, labels: Mapping[str, str], source: str) -> str:
        """Return the name of the cluster."""
        label = next((labels[key] for key in series.facts().cluster if labels.get(key)), "")
        return self._cluster_of(label, source)

    def of(self, engine: str, labels: Mapping[str, str], source: str) -> Of:
        """Return whom a row is about; of a group whose pods have several owners or none that is known, no workload."""
        cluster = self.cluster(labels, source)
        if GROUP in labels:
            found = self._groups.get((cluster, namespace_of(labels), labels[GROUP]), set()) - {""}
            workload = next(iter(found)) if len(found) == 1 else ""
        else:
            holder = holder_of(labels)
            workload = "" if holder == UNKNOWN_HOLDER else self._workload(cluster, holder)
        names = engines.engines()[engine].models
        model = next((labels[name] for name in names if labels.get(name)), "")
        return Of(cluster, workload, engine, model[:MAX_ID])

    def _workload(self, cluster: str, holder: Holder) -> str:
        found = self._owners.of(cluster, holder, "")
        return found if found in self._known or not found.startswith(f"{cluster}/Pod/") else ""


def holder_of(labels: Mapping[str, str]) -> Holder:
    """Return the pod that a series comes from, UNKNOWN_HOLDER if none of the labels says."""
    known = engines.attribution()
    for pod, namespace in zip(known.pod, known.namespace, strict=True):
        if labels.get(pod):
            return Holder((labels.get(namespace) or namespace_of(labels))[:MAX_ID], labels[pod][:MAX_ID])
    return UNKNOWN_HOLDER


def namespace_of(labels: Mapping[str, str]) -> str:
    """Return the namespace that a series comes from, "" if none of the labels says."""
    return next((labels[name] for name in engines.attribution().namespace if labels.get(name)), "")[:MAX_ID]
