"""Remembers what was worked out of a snapshot, so that ten rules add the tables up once."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar, cast

from gpuaudit.cluster.snapshot import Snapshot

R = TypeVar("R")


def once(function: Callable[[Snapshot], R]) -> Callable[[Snapshot], R]:
    """Make the function of a snapshot keep its answer on it, as `cached_property` does; a changed copy starts anew."""

    @wraps(function)
    def answer(snapshot: Snapshot) -> R:
        kept = vars(snapshot)
        name = f"_{function.__module__}.{function.__name__}"
        if name not in kept:
            kept[name] = function(snapshot)
        return cast("R", kept[name])

    return answer
