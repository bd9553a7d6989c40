"""Give memory that is free inside the process back to the system."""

import ctypes
from functools import cache
from typing import Any


def give_back() -> None:
    """Return freed memory, where the C library can: large answers leave it in the allocator of each thread."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim  # glibc's; others have none
    except (OSError, AttributeError, TypeError):
        return None
