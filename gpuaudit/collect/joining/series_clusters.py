"""Which cluster a metric series is of: its file's folder, its cluster label, and the nodes that its hosts are."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from gpuaudit.cluster.nodes import Node
from gpuaudit.collect.joining.hosts import HostIndex
from gpuaudit.collect.metrics.identity import host_names, is_device
from gpuaudit.collect.metrics.store import Series
from gpuaudit.knowledge import series


class SeriesClusters:
    """Names the cluster of a series by the value of its cluster label and its file.

    A label means the cluster that has most of its hosts. A label of none of them is another cluster of that name,
    unless it is the only label there is: then the hosts do not match, and the join check will say so.
    """

    def __init__(
        self, store: Iterable[Series], nodes: Collection[Node], *, clusters: tuple[str, ...], homes: Mapping[str, str]
    ) -> None:
        self._clusters = clusters
        self._homes = homes
        self._listed = bool(nodes)
        self._by_label = _matches(store, nodes)

    def __call__(self, label: str, source: str) -> str:
        """Return the name of the cluster."""
        if source in self._homes:
            return self._homes[source]
        matches = self._by_label.get(label, Counter())
        if matches:
            return min(matches, key=lambda name: (-matches[name], name))
        alone = len(self._by_label) <= 1 and (self._listed or not label)
        return self._clusters[0] if alone or not label else label


def _matches(store: Iterable[Series], nodes: Collection[Node]) -> Mapping[str, Counter[str]]:
    """Return how many hosts of each label's device series are nodes of each cluster."""
    index = HostIndex(nodes)
    hosts: dict[str, set[str]] = {}
    for one in store:
        if is_device(one):
            label = next((one.labels[key] for key in series.facts().cluster if one.labels.get(key)), "")
            hosts.setdefault(label, set()).update(host_names(one))
    found: dict[str, Counter[str]] = {}
    for label, names in hosts.items():
        keys = {key for name in names if (key := index.find(name))}
        found[label] = Counter(cluster for cluster, _ in keys)
    return found
