"""Facts that rules may need: what each is, and how to get one that is missing."""

from collections.abc import Iterable, Mapping
from functools import cache

from gpuaudit.knowledge.reading import Entry, read_toml


class Fact(Entry, frozen=True):
    """A fact by the name that `needs` and `provides` use; `how` tells a person how to supply it.

    One with `any_of` is given as soon as one of those is.
    """

    name: str
    what: str
    how: str
    any_of: tuple[str, ...] = ()


class _File(Entry, frozen=True):
    fact: tuple[Fact, ...]


def fact(name: str) -> Fact:
    """Return a fact. KeyError for a name that does not exist."""
    return _by_name()[name]


def all_facts() -> tuple[Fact, ...]:
    """Return every fact, in the order of the table."""
    return tuple(_by_name().values())


def completed(given: Iterable[str]) -> frozenset[str]:
    """Return the facts that were given, and those that follow from them."""
    found = frozenset(given)
    return found | {row.name for row in all_facts() if found.intersection(row.any_of)}


@cache
def _by_name() -> Mapping[str, Fact]:
    return {row.name: row for row in read_toml("facts", _File).fact}
