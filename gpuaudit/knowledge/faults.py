"""What the faults that sources report of a GPU mean: broken, to be watched, or the program's own doing."""

import re
from functools import cache
from typing import Literal

from gpuaudit.knowledge.reading import Entry, read_toml

FaultClass = Literal["replace", "broken", "watch", "program", "unknown"]


class _File(Entry, frozen=True):
    broken_xids: tuple[int, ...]
    watched_xids: tuple[int, ...]
    program_xids: tuple[int, ...]
    broken_names: tuple[str, ...]
    replace_names: tuple[str, ...]
    sources: tuple[str, ...]


@cache
def _file() -> _File:
    return read_toml("faults", _File)


def fault_class(fault: str) -> FaultClass:
    """Return what a fault of `Card.faults` means; `unknown` for one that the table does not have."""
    table, name = _file(), fault.strip().casefold()
    number = re.fullmatch(r"xid (\d{1,4})", name)
    if number:
        xid = int(number[1])
        if xid in table.broken_xids:
            return "broken"
        return "watch" if xid in table.watched_xids else "program" if xid in table.program_xids else "unknown"
    if name in table.replace_names:
        return "replace"
    return "broken" if name in (one.casefold() for one in table.broken_names) else "unknown"
