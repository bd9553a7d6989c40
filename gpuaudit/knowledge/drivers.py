"""NVIDIA's driver branches: until when each is supported, and releases that are known to be broken."""

import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Literal

from gpuaudit.knowledge.reading import Entry, read_toml

_VERSION = re.compile(r"[0-9]{3}(?:\.[0-9]{1,3}){1,3}")


class Branch(Entry, frozen=True):
    """A branch. `end` is its last day; `ended_by` a day by which it had ended, where the day itself was not read."""

    number: int
    kind: Literal["long term", "production", "new feature"]
    source: str
    end: date | None = None
    ended_by: date | None = None

    def ended(self, day: date) -> bool:
        """Whether the branch gets no more fixes on that day; one whose end is not known has not."""
        return bool((self.end and day > self.end) or (self.ended_by and day >= self.ended_by))


class KnownBad(Entry, frozen=True, rename={"from_": "from"}):
    """Releases from one version up to, not including, another that are broken in a way that shows as these XIDs."""

    from_: str
    below: str
    xids: tuple[int, ...]
    what: str
    fixed_in: str
    reliability: Literal["high", "low"]
    source: str


class _File(Entry, frozen=True):
    compiled: date
    virtual_labels: tuple[str, ...]
    branch: tuple[Branch, ...]
    known_bad: tuple[KnownBad, ...]


@cache
def _file() -> _File:
    return read_toml("drivers", _File)


def compiled() -> date:
    """Return the day on which the table was made."""
    return _file().compiled


def is_virtual(labels: Mapping[str, str]) -> bool:
    """Whether a node's labels say that its GPUs are virtual: their drivers have a calendar of their own."""
    return any(labels.get(key, "false") not in ("", "false") for key in _file().virtual_labels)


def version_of(text: str | None) -> tuple[int, ...] | None:
    """Return a driver's version as numbers, None for a text that is none."""
    found = _VERSION.fullmatch((text or "").strip()[:32])
    return tuple(int(part) for part in found[0].split(".")) if found else None


def branch_of(version: str | None) -> Branch | None:
    """Return the branch of a driver's version, None for one that the table does not have."""
    numbers = version_of(version)
    return _branches().get(numbers[0]) if numbers else None


def supported(day: date) -> tuple[Branch, ...]:
    """Return the branches for production that are supported on a day, the one that lasts longest first."""
    found = [one for one in _file().branch if one.kind != "new feature" and one.end and not one.ended(day)]
    return tuple(sorted(found, key=lambda one: (one.end or day, one.number), reverse=True))


def known_bad(version: str | None) -> tuple[KnownBad, ...]:
    """Return what is known to be broken in a release."""
    numbers = version_of(version)
    if numbers is None:
        return ()
    return tuple(one for one in _file().known_bad if _numbers(one.from_) <= numbers < _numbers(one.below))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


@cache
def _branches() -> Mapping[int, Branch]:
    return {one.number: one for one in _file().branch}
