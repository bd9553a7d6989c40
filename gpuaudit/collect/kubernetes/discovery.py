"""What an API server has: which of the kinds that are read, in which version. Absent kinds are not asked for.

A group that is not installed answers 403, not 404, to somebody whom no rule lets ask: so discovery decides, not the
lists. Aggregated discovery tells all in two requests; older servers are asked group by group.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import msgspec

from gpuaudit.collect.kubernetes.answers import (
    AbsentError,
    ApiError,
    ForbiddenError,
    OutOfTimeError,
    UnauthorizedError,
    UnreachableError,
)
from gpuaudit.collect.kubernetes.fetch import Fetcher
from gpuaudit.collect.kubernetes_types import Part
from gpuaudit.knowledge.kinds import ReadKind, all_kinds

T = TypeVar("T")

TRUNCATED_TRIES = 2  # as with lists
_AGGREGATED = ",".join(
    f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" for version in ("v2", "v2beta1")
)
ACCEPT = f"{_AGGREGATED},application/json"


@dataclass(frozen=True)
class Served:
    """A kind that the server has."""

    how: ReadKind
    version: str

    @property
    def root(self) -> str:
        """Path of the API version: /api/v1 or /apis/GROUP/VERSION."""
        return f"/api/{self.version}" if not self.how.group else f"/apis/{self.how.group}/{self.version}"


@dataclass
class Discovered:
    """What there is to read. `guessed` when the server would not say: built-in kinds are then tried."""

    served: list[Served] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)
    guessed: bool = False
    stale: list[str] = field(default_factory=list)  # groups whose own API server does not answer


class _Resource(Part):
    resource: str = ""
    verbs: list[str] | None = None


class _Version(Part):
    version: str = ""
    freshness: str = ""
    resources: list[_Resource] | None = None


class _Named(Part):
    name: str = ""


class _Group(Part):
    metadata: _Named = msgspec.field(default_factory=_Named)
    versions: list[_Version] | None = None


class _Aggregated(Part):
    kind: str = ""
    items: list[_Group] | None = None


class _OldVersion(Part):
    version: str = ""


class _OldGroup(Part):
    name: str = ""
    versions: list[_OldVersion] | None = None
    preferred_version: _OldVersion | None = None


class _OldGroups(Part):
    groups: list[_OldGroup] | None = None


class _OldResource(Part):
    name: str = ""
    verbs: list[str] | None = None


class _OldResources(Part):
    resources: list[_OldResource] | None = None


def discover(fetcher: Fetcher) -> Discovered:
    """Return what of the kinds that are read this server has. ApiError when it cannot be reached at all."""
    found = Discovered()
    for path in ("/api", "/apis"):
        try:
            groups = _decoded(partial(_aggregated, fetcher, path))
        except (ForbiddenError, AbsentError):
            return _guess()
        if groups is None:
            return _group_by_group(fetcher)
        _add(found, groups)
    return found


def _aggregated(fetcher: Fetcher, path: str) -> list[_Group] | None:
    """Return the groups of an aggregated answer, None for an answer of the older form."""
    answer = msgspec.json.decode(fetcher.get(path, accept=ACCEPT), type=_Aggregated)
    return (answer.items or []) if answer.kind == "APIGroupDiscoveryList" else None


def _add(found: Discovered, groups: Iterable[_Group]) -> None:
    wanted = _by_group()
    for group in groups:
        name = group.metadata.name
        found.groups.add(name)
        taken: set[str] = set()
        for version in group.versions or ():
            if version.freshness == "Stale":
                found.stale.append(f"{name}/{version.version}")
            listable = {row.resource for row in version.resources or () if "list" in (row.verbs or ())}
            for how in wanted.get(name, ()):
                if how.plural in listable and how.plural not in taken:
                    taken.add(how.plural)
                    found.served.append(Served(how, version.version))


def _group_by_group(fetcher: Fetcher) -> Discovered:
    """Ask an older server: its groups, then the resources of those that hold a kind that is read."""
    found = Discovered()
    groups = _decoded(lambda: msgspec.json.decode(fetcher.get("/apis"), type=_OldGroups).groups or [])
    versions = {"": ["v1"]}
    for group in groups:
        found.groups.add(group.name)
        preferred = group.preferred_version.version if group.preferred_version else ""
        others = [row.version for row in group.versions or () if row.version != preferred]
        versions[group.name] = [preferred, *others] if preferred else others
    for name, kinds in _by_group().items():
        missing = {how.plural: how for how in kinds}
        for version in versions.get(name, ()):
            for plural in sorted(_resources(fetcher, name, version, found.stale) & missing.keys()):
                found.served.append(Served(missing.pop(plural), version))
            if not missing:
                break
    return found


def _resources(fetcher: Fetcher, group: str, version: str, stale: list[str]) -> set[str]:
    """Return what of a group can be listed; one whose own server does not answer is `stale`, and loses no other."""
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    try:
        rows = _decoded(lambda: msgspec.json.decode(fetcher.get(path), type=_OldResources).resources or [])
    except (ForbiddenError, AbsentError):
        return set()
    except (UnauthorizedError, UnreachableError, OutOfTimeError):
        raise
    except ApiError:
        stale.append(f"{group}/{version}".lstrip("/"))
        return set()
    return {row.name for row in rows if "list" in (row.verbs or ())}


def _decoded(ask: Callable[[], T]) -> T:
    """Return what an answer says; one that is cut off or malformed is asked for again. Raises ApiError."""
    for _ in range(TRUNCATED_TRIES):
        try:
            return ask()
        except (msgspec.DecodeError, RecursionError) as error:
            told = error
    raise ApiError(f"discovery is malformed: {str(told)[:120]}") from told


def _guess() -> Discovered:
    """Return the built-in kinds in their usual versions, for a server that does not say what it has."""
    return Discovered(served=[Served(how, how.version) for how in all_kinds() if how.version], guessed=True)


def _by_group() -> dict[str, list[ReadKind]]:
    groups: dict[str, list[ReadKind]] = {}
    for how in all_kinds():
        groups.setdefault(how.group, []).append(how)
    return groups
