"""What surrounds the work in a rule's case: queues, quotas, budgets, services, systems and the rest, field by field.

A line gives a record's fields as the snapshot has them; the cluster is filled in, a time may be an offset (`-3d`).
Sections bear the snapshot's own names.
"""

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from gpuaudit.cluster.snapshot import Snapshot

BUILT = ("nodes", "pods", "workloads", "namespaces", "waiting", "sources", "clusters")  # by rule_cases itself
At = Callable[[Any], datetime | None]


def sections() -> dict[str, type]:
    """Return the record of each section of a snapshot that a case may list."""
    hints = get_type_hints(Snapshot)
    plain = {one.name: get_args(hints[one.name]) for one in fields(Snapshot) if one.name not in BUILT}
    return {name: args[0] for name, args in plain.items() if len(args) == 2 and args[1] is Ellipsis}


def platform(case: dict[str, Any], *, cluster: str, at: At) -> dict[str, tuple[Any, ...]]:
    """Return the sections of the case as records."""
    return {
        name: tuple(record(kind, _named(kind, cluster) | line, at=at) for line in case[name])
        for name, kind in sections().items()
        if name in case
    }


def record(kind: type, line: dict[str, Any], *, at: At) -> Any:
    """Return the record of these fields; offsets become times, nested records are made the same way."""
    hints = get_type_hints(kind)
    made = {name: at(value) if _is_time(hints.get(name)) else value for name, value in line.items()}
    return msgspec.convert(made, kind)


def _named(kind: type, cluster: str) -> dict[str, Any]:
    return {"cluster": cluster} if "cluster" in getattr(kind, "__struct_fields__", ()) else {}


def _is_time(hint: Any) -> bool:
    return hint is datetime or (get_origin(hint) in (Union, UnionType) and datetime in get_args(hint))
