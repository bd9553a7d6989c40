"""Globs that pick objects of a cluster: what `[[ignore]]`, `[[exempt]]` and `[roles]` speak about."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.platform import Namespace
from gpuaudit.cluster.record import Record
from gpuaudit.cluster.workloads import Workload


class Selector(Record, frozen=True):
    """All that is given must match; `*` and `?` are wildcards; label values too. Nothing given matches nothing."""

    cluster: str | None = None
    namespace: str | None = None
    kind: str | None = None
    name: str | None = None
    node: str | None = None
    pool: str | None = None
    instance_type: str | None = None
    labels: dict[str, str] = {}

    @property
    def names_something(self) -> bool:
        """Whether at least one field is given."""
        return bool(self.labels) or any(getattr(self, field) is not None for field in _GLOBS)

    def matches(self, *, labels: Mapping[str, str] | None = None, **facts: str | None) -> bool:
        """Whether an object with these facts (cluster, namespace, kind, name, node, pool, instance_type) is meant.

        A fact that the object does not have (a node has no namespace) does not match a glob that asks for it.
        """
        return (
            self.names_something
            and all(_glob(getattr(self, field), facts.get(field)) for field in _GLOBS)
            and all(_glob(wanted, (labels or {}).get(key)) for key, wanted in self.labels.items())
        )

    def matches_node(self, node: Node) -> bool:
        """Whether the node is meant, by its name, pool, instance type or labels."""
        return self.matches(
            cluster=node.cluster,
            kind="Node",
            name=node.name,
            node=node.name,
            pool=node.pool,
            instance_type=node.instance_type,
            labels=node.labels,
        )

    def matches_workload(self, workload: Workload) -> bool:
        """Whether the workload is meant."""
        return self.matches(
            cluster=workload.cluster,
            namespace=workload.namespace,
            kind=workload.kind,
            name=workload.name,
            labels=workload.labels,
        )

    def matches_namespace(self, namespace: Namespace) -> bool:
        """Whether everything in the namespace is meant: only `cluster`, `namespace` and `labels` may be given."""
        return self.matches(cluster=namespace.cluster, namespace=namespace.name, labels=namespace.labels)


_GLOBS = ("cluster", "namespace", "kind", "name", "node", "pool", "instance_type")


def _glob(wanted: str | None, value: str | None) -> bool:
    return wanted is None or (value is not None and fnmatchcase(value, wanted))
