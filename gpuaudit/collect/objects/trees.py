"""Look into the free-form trees of custom resources: a value of another type than expected counts as absent."""

from typing import Any

MAX_ROWS = 500
MAX_TEXT = 2000


def mapping(value: object) -> dict[str, Any]:
    """Return a mapping, empty if it is none."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[dict[str, Any]]:
    """Return the mappings in a list, a bounded number of them."""
    return [row for row in value[:MAX_ROWS] if isinstance(row, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """Return a scalar as bounded text, "" if it is absent."""
    return "" if value is None else str(value)[:MAX_TEXT]


def integer(value: object, default: int | None = None) -> int | None:
    """Return an integer, `default` if it is none or longer than Kubernetes' own (64 bits)."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else default
