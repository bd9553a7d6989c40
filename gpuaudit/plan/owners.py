"""Who owns a workload: the ordered places of `[ownership]`, resolved once per workload."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache

import msgspec

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Workload
from gpuaudit.config import Ownership
from gpuaudit.knowledge import kubernetes

NOT_MAPPED = "(no owner)"


class Owners:
    """Owners of the workloads of one snapshot."""

    def __init__(self, snapshot: Snapshot, ownership: Ownership) -> None:
        self._snapshot = snapshot
        self._ownership = ownership
        known = kubernetes.ownership()
        self._labels = ownership.labels or known.labels
        self._annotations = ownership.annotations or known.annotations
        self._project_labels = known.project_labels
        self.of: Callable[[str], str] = cache(self._of)

    def _of(self, workload_id: str) -> str:
        """Return the owner of `cluster/Kind/namespace/name`; `(no owner)` when no place names one."""
        found, _ = next(self._found(workload_id, self._ownership.order), ("", ""))
        return self._mapped(found) if found else NOT_MAPPED

    def named(self, workload_id: str) -> tuple[str, str] | None:
        """Return the owner that something other than the plain namespace names, and what named it; None = nobody."""
        order = tuple(place for place in self._ownership.order if place != "namespace")
        found, by = next(self._found(workload_id, order), ("", ""))
        if found:
            return self._mapped(found), by
        namespace = namespace_of(workload_id)
        mapped = "namespace" in self._ownership.order and any(
            fnmatchcase(namespace, pattern) for pattern in self._ownership.map
        )
        return (self._mapped(namespace), "map") if mapped else None

    def _found(self, workload_id: str, order: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield (name, what named it) from the places in order."""
        places: Mapping[str, Callable[[str], Iterator[tuple[str, str]]]] = {
            "label": self._by_label,
            "annotation": self._by_annotation,
            "queue": self._by_queue,
            "project": self._by_project,
            "namespace": self._by_namespace,
        }
        return (found for place in order for found in places[place](workload_id) if found[0])

    def _mapped(self, found: str) -> str:
        for pattern, owner in self._ownership.map.items():
            if fnmatchcase(found, pattern):
                return owner
        return found

    def _by_label(self, workload_id: str) -> Iterator[tuple[str, str]]:
        for key, value in _values(self._tables(workload_id, annotations=False), self._labels):
            yield value, f"{'chosen ' if self._ownership.labels else ''}label {key}"

    def _by_annotation(self, workload_id: str) -> Iterator[tuple[str, str]]:
        for key, value in _values(self._tables(workload_id, annotations=True), self._annotations):
            yield value, f"{'chosen ' if self._ownership.annotations else ''}annotation {key}"

    def _by_project(self, workload_id: str) -> Iterator[tuple[str, str]]:
        for key, value in _values(self._tables(workload_id, annotations=False), self._project_labels):
            yield value, f"project {key}"

    def _by_queue(self, workload_id: str) -> Iterator[tuple[str, str]]:
        workload = self._workload(workload_id)
        if workload is not None and workload.queue:
            yield workload.queue, "queue"

    @staticmethod
    def _by_namespace(workload_id: str) -> Iterator[tuple[str, str]]:
        yield namespace_of(workload_id), "namespace"

    def _workload(self, workload_id: str) -> Workload | None:
        return self._snapshot.workload_by_id.get(workload_id)

    def _tables(self, workload_id: str, *, annotations: bool) -> list[Mapping[str, str]]:
        """Labels (or annotations) of the workload, then of its pods, then of its namespace."""
        cluster = workload_id.rsplit("/", 3)[0]
        records = [
            self._workload(workload_id),
            *self._snapshot.pods_by_workload.get(workload_id, ())[:1],
            self._snapshot.namespace_by_key.get((cluster, namespace_of(workload_id))),
        ]
        found = [record for record in records if record is not None]
        return [record.annotations if annotations else record.labels for record in found]


def namespace_of(workload_id: str) -> str:
    """Return the namespace in `cluster/Kind/namespace/name`; a cluster's name may hold slashes itself (EKS ARNs)."""
    parts = workload_id.rsplit("/", 3)
    return parts[2] if len(parts) == 4 else ""


def with_owners(snapshot: Snapshot, ownership: Ownership) -> Snapshot:
    """Return the snapshot with the owner of each workload that something other than its namespace's name tells."""
    owners = Owners(snapshot, ownership)
    return replace(snapshot, workloads=tuple(_with_owner(one, owners.named(one.id)) for one in snapshot.workloads))


def _with_owner(workload: Workload, named: tuple[str, str] | None) -> Workload:
    owner, by = named or (None, "")
    return msgspec.structs.replace(workload, owner=owner, owner_by=by)


def _values(tables: list[Mapping[str, str]], keys: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for key in keys:
        for table in tables:
            if key in table:
                yield key, table[key]
