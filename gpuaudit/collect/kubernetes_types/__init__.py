"""Kubernetes objects as this tool reads them: only the fields used, everything optional, unknown fields ignored.

Schema-typed decoding replaces hand-written digging: a value of an unexpected type is an error of that one object.
"""

from gpuaudit.collect.kubernetes_types.meta import (
    Condition,
    Identity,
    Int32,
    Int64,
    Meta,
    Object,
    OwnerReference,
    Part,
    Quantities,
    Quantity,
    Time,
)

__all__ = [
    "Condition",
    "Identity",
    "Int32",
    "Int64",
    "Meta",
    "Object",
    "OwnerReference",
    "Part",
    "Quantities",
    "Quantity",
    "Time",
]
