"""What the faults that sources report of a GPU mean: broken, to be watched, or the program's own doing."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Literal

from gpuaudit.knowledge.reading import Entry, read_toml

FaultClass = Literal["replace", "broken", "watch", "program", "unknown"]


class Bucket(Entry, frozen=True):
    """XIDs that NVIDIA's catalogue treats alike; `action` is its immediate action, "" where it names none."""

    action: str
    means: FaultClass
    xids: tuple[int, ...]
    source: str


class Named(Entry, frozen=True):
    """A fault that is no XID, by the name that a source gives it."""

    name: str
    means: FaultClass
    source: str


class _File(Entry, frozen=True):
    sources: dict[str, str]
    bucket: tuple[Bucket, ...]
    named: tuple[Named, ...]


@cache
def _file() -> _File:
    return read_toml("faults", _File)


def fault_class(fault: str) -> FaultClass:
    """Return what a fault of `Card.faults` means; `unknown` for one that the table does not have."""
    bucket = _bucket(fault)
    if bucket is not None:
        return bucket.means
    name = fault.strip().casefold()
    return next((one.means for one in _file().named if one.name.casefold() == name), "unknown")


def fault_action(fault: str) -> str:
    """Return the immediate action that NVIDIA's catalogue names for an XID (`RESET_GPU`); "" where it names none."""
    bucket = _bucket(fault)
    return bucket.action if bucket is not None else ""


def buckets() -> tuple[Bucket, ...]:
    """Return the table of XIDs."""
    return _file().bucket


def sources() -> Mapping[str, str]:
    """Return the text behind each source tag of this table."""
    return _file().sources


def _bucket(fault: str) -> Bucket | None:
    number = re.fullmatch(r"xid (\d{1,4})", fault.strip().casefold())
    return _by_xid().get(int(number[1])) if number else None


@cache
def _by_xid() -> Mapping[int, Bucket]:
    return {xid: bucket for bucket in _file().bucket for xid in bucket.xids}
