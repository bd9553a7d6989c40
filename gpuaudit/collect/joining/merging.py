"""Several inputs about one cluster → one inventory: of two records of one object the newer input's counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from gpuaudit.cluster.platform import Event
from gpuaudit.cluster.record import Record
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.inventory import Inventory

_IDENTITY = ("cluster", "namespace", "api_group", "kind", "name", "system", "host")
_OF_EVENTS = ("reason", "first")
_RECORDS = tuple(
    field.name
    for field in fields(Inventory)
    if field.name not in ("published", "provides", "newest", "notes", "clusters")
)
_AT_ONE_TIME = ("waiting",)  # a state, not objects: only the newest input's counts
_OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Merged:
    """The inventory of all inputs, and how many objects stood in several of them."""

    inventory: Inventory
    doubled: int = 0


def inventory_of_snapshot(snapshot: Snapshot) -> Inventory:
    """Return the records of a snapshot; the facts it provides stay with its sources."""
    records = {name: getattr(snapshot, name) for name in (*_RECORDS, "clusters")}
    return Inventory(**records, newest=snapshot.taken_at)


def merge(inventories: Iterable[Inventory]) -> Merged:
    """Return one inventory, whatever the order of the inputs."""
    parts = sorted(inventories, key=lambda part: (part.newest or _OLDEST, repr(part.clusters), repr(part.nodes[:1])))
    if len(parts) == 1:
        return Merged(parts[0])
    joined: dict[str, tuple[Record, ...]] = {}
    doubled = 0
    for name in (*_RECORDS, "clusters"):
        if name in _AT_ONE_TIME:
            joined[name] = _newest_state([getattr(part, name) for part in parts], parts)
            continue
        rows: dict[tuple[str, ...], Record] = {}
        for part in parts:
            for record in getattr(part, name):
                doubled += _identity(record) in rows
                rows[_identity(record)] = record
        if name == "pods":
            current = _current_pods(parts)
            rows = {key: pod for key, pod in rows.items() if key in current}
        joined[name] = tuple(rows[key] for key in sorted(rows))
    newest = max((part.newest for part in parts if part.newest), default=None)
    notes = tuple(note for part in parts for note in part.notes)
    provides = tuple(sorted({fact for part in parts for fact in part.provides}))
    return Merged(Inventory(**joined, provides=provides, newest=newest, notes=notes), doubled)  # type: ignore[arg-type]


def _current_pods(parts: Sequence[Inventory]) -> frozenset[tuple[str, ...]]:
    """Return the pods of the newest input that lists their namespace: the others have ended since."""
    newest: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    for part in parts:
        listed: dict[tuple[str, str], set[tuple[str, ...]]] = {}
        for pod in part.pods:
            listed.setdefault((pod.cluster, pod.namespace), set()).add(_identity(pod))
        newest |= listed
    return frozenset(key for keys in newest.values() for key in keys)


def _identity(record: Record) -> tuple[str, ...]:
    """Return what names an object: the fields of identity that its record has."""
    if hasattr(record, "id"):
        return (str(record.id),)
    names = (*_IDENTITY, *_OF_EVENTS) if isinstance(record, Event) else _IDENTITY
    return tuple(str(getattr(record, name)) for name in names if hasattr(record, name))


def _newest_state(rows: Sequence[tuple[Record, ...]], parts: Sequence[Inventory]) -> tuple[Record, ...]:
    """Return for each cluster the rows of its newest input that lists pods or queues."""
    found: dict[str, tuple[Record, ...]] = {}
    for part, own in zip(parts, rows, strict=True):
        for cluster in part.clusters:
            mine = tuple(row for row in own if getattr(row, "cluster", None) == cluster.name)
            if mine or part.pods:
                found[cluster.name] = mine
    return tuple(row for name in sorted(found) for row in found[name])
