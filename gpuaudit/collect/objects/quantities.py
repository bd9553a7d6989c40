"""Kubernetes quantities: "100m", "1Gi", "1k", "2e3" → numbers in base units (cores, bytes, devices)."""

import math
import re
from collections.abc import Mapping
from functools import lru_cache

from gpuaudit.collect.kubernetes_types import Quantity

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d{1,3})?")
_MOST = 2.0**63
_FACTORS = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
    "Ei": 2.0**60,
}


@lru_cache(maxsize=4096)
def quantity(value: Quantity) -> float | None:
    """Return the amount in base units, None when it is no quantity (or not finite).

    Kubernetes caps what is larger than 2^63 - 1, so do we.
    """
    if isinstance(value, str):
        match = _FORM.fullmatch(value.strip())
        if not match:
            return None
        number, suffix = match.groups(default="")
        factor = _FACTORS.get(suffix)
        amount = float(number + suffix) if factor is None else _scaled(number, suffix, factor)
    else:
        amount = _float(value)
    return max(-_MOST, min(amount, _MOST)) if math.isfinite(amount) else None


def _float(value: float) -> float:
    """Return an integer of any length as a float, infinite where it is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _scaled(number: str, suffix: str, factor: float) -> float:
    """Divide rather than multiply for small units: 95410m is 95.41, not 95.41000000000001."""
    if suffix in ("n", "u", "m"):
        return float(number) / round(1 / factor)
    return float(number) * factor


def amounts(values: Mapping[str, Quantity] | None) -> dict[str, float]:
    """Return the readable, non-negative amounts of a resource list."""
    return dict(_readable(tuple(values.items()))) if values else {}


@lru_cache(maxsize=4096)
def _readable(values: tuple[tuple[str, Quantity], ...]) -> dict[str, float]:
    return {name: amount for name, value in values if (amount := quantity(value)) is not None and amount >= 0}


def whole(values: Mapping[str, Quantity] | None, name: str) -> int | None:
    """Return an amount as an integer (bytes, pods, devices), None when absent or unreadable."""
    amount = quantity((values or {}).get(name, ""))
    return None if amount is None else int(amount)
