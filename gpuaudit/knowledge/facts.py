"""Facts that rules may need: what each is, and how to get one that is missing."""

from collections.abc import Mapping
from functools import cache

from gpuaudit.knowledge.reading import Entry, read_toml


class Fact(Entry, frozen=True):
    """A fact by the name that `needs` and `provides` use; `how` tells a person how to supply it."""

    name: str
    what: str
    how: str


class _File(Entry, frozen=True):
    fact: tuple[Fact, ...]


def fact(name: str) -> Fact:
    """Return a fact. KeyError for a name that does not exist."""
    return _by_name()[name]


def all_facts() -> tuple[Fact, ...]:
    """Return every fact, in the order of the table."""
    return tuple(_by_name().values())


@cache
def _by_name() -> Mapping[str, Fact]:
    return {row.name: row for row in read_toml("facts", _File).fact}
