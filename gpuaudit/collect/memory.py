"""Give memory that is free inside the process back to the system, and do not look for it in vain."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_MANY = 200_000
_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of glibc's malloc.h
_LARGE_BYTES = 1 << 20


def give_back() -> None:
    """Return freed memory, where the C library can: large answers leave it in the allocator of each thread."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def map_large() -> None:
    """Have large buffers mapped one by one, where the C library can: each goes back to the system once it is freed.

    By default glibc stops doing so after the first, and pages of other sizes then leave holes.
    """
    library = _library()
    if library is not None and hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)


@contextmanager
def rarely_collecting() -> Iterator[None]:
    """Let the garbage collector look at many new objects at once, and never again: inventories hold no cycles."""
    before = gc.get_threshold()
    gc.set_threshold(_MANY, 50, 100)
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*before)


def _trim() -> Any:
    return getattr(_library(), "malloc_trim", None)  # glibc's; others have none


@cache
def _library() -> Any:
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
