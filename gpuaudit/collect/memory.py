"""Where large buffers lie, when free memory goes back to the system, and not to look for garbage in vain."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_MANY = 200_000
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # parameters of mallopt in glibc's malloc.h
_LARGE_BYTES = 1 << 20
_PAGE_BYTES = 32 << 20  # more than a page of a list has


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
    _tell({_MMAP_THRESHOLD: _LARGE_BYTES})


@cache
def reuse_large() -> None:
    """Have one heap for all threads, and large buffers in it, where the C library can.

    For bodies that are alike and short-lived: mapping each anew would cost a fault for every 4 KB of it, a tenth of the
    time of reading a cluster, and a heap per thread would keep the holes of each.
    """
    _tell({_ARENA_MAX: 1, _MMAP_THRESHOLD: _PAGE_BYTES, _TRIM_THRESHOLD: 2 * _PAGE_BYTES})


def _tell(options: dict[int, int]) -> None:
    library = _library()
    if library is not None and hasattr(library, "mallopt"):
        for option, value in options.items():
            library.mallopt(option, value)


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
