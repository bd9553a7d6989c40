"""Conditions in the status of an object."""

import msgspec

from gpuaudit.collect.kubernetes_types import Condition
from gpuaudit.collect.kubernetes_types.core import Custom


def condition(conditions: list[Condition] | None, kind: str) -> Condition | None:
    """Return the condition of a type."""
    for item in conditions or ():
        if item.type == kind:
            return item
    return None


def conditions_of(item: Custom) -> list[Condition]:
    """Return the readable conditions of a custom resource."""
    rows = (item.status or {}).get("conditions")
    found = []
    for row in rows[:50] if isinstance(rows, list) else ():
        try:
            found.append(msgspec.convert(row, Condition))
        except msgspec.ValidationError:
            continue
    return found
