"""Give memory that is free inside the process back to the system, and do not look for it in vain."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_MANY = 200_000


def give_back() -> None:
    """Return freed memory, where the C library can: large answers leave it in the allocator of each thread."""
    trim = _trim()
    if trim is not None:
        trim(0)


@contextmanager
def rarely_collecting() -> Iterator[None]:
    """Let the garbage collector look at many new objects at once: inventories grow, and hold no cycles to be found."""
    before = gc.get_threshold()
    gc.set_threshold(_MANY, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@cache
def _trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim  # glibc's; others have none
    except (OSError, AttributeError, TypeError):
        return None
