"""Every kind of Kubernetes object that is read, and of custom resources the only fields that are kept."""

from collections.abc import Mapping
from functools import cache

from gpuaudit.knowledge.reading import Entry, read_toml


class ReadKind(Entry, frozen=True, kw_only=True):
    """A kind. `fields` are dotted paths; `work` kinds own pods; `metadata_only` ones are never read whole."""

    group: str
    plural: str  # as a role names it
    kind: str
    version: str | None = None  # used when the server does not say what it has
    namespaced: bool = True
    fact: str | None = None  # of knowledge.facts, that reading it gives
    work: bool = False
    metadata_only: bool = False
    replicas: str | None = None
    suspend: str | None = None
    retries: str | None = None  # how often a failed attempt is made again
    pod_sets: tuple[str, ...] = ()  # templates of pods that it makes itself, with how many there shall be
    set_labels: tuple[str, ...] = ()  # of its pods: the set they are of
    fields: tuple[str, ...] = ()
    endpoint_fields: tuple[str, ...] = ()  # of each element of a list in `fields`


class Subresource(Entry, frozen=True):
    """What is read through an object, beside lists: its name and verb as a role has them, and what for."""

    group: str
    name: str
    verb: str
    why: str


class _File(Entry, frozen=True):
    kind: tuple[ReadKind, ...]
    subresource: tuple[Subresource, ...]


@cache
def _file() -> _File:
    return read_toml("kinds", _File)


def all_kinds() -> tuple[ReadKind, ...]:
    """Return every kind, in the order of the table."""
    return _file().kind


def subresources() -> tuple[Subresource, ...]:
    """Return what is read through objects."""
    return _file().subresource


def find(group: str, kind: str) -> ReadKind | None:
    """Return how a kind is read, None for one that is not."""
    return _by_name().get((group, kind))


@cache
def _by_name() -> Mapping[tuple[str, str], ReadKind]:
    return {(row.group, row.kind): row for row in all_kinds()}
