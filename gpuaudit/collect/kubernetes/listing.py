"""List one kind page by page, and say how that went: rights, time, versions that expired under way."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import NamedTuple
from urllib.parse import quote

from gpuaudit.collect.builder import PageTaken
from gpuaudit.collect.decode import MalformedError
from gpuaudit.collect.kubernetes.answers import (
    AbsentError,
    ApiError,
    ExpiredError,
    ForbiddenError,
    OutOfTimeError,
    TooLargeError,
    UnauthorizedError,
    UnreachableError,
)
from gpuaudit.collect.kubernetes.deadline import begun
from gpuaudit.collect.kubernetes.discovery import Served
from gpuaudit.collect.kubernetes.fetch import Fetcher

PAGE = 500
SMALL_PAGE = 20  # when objects are so large that a page does not fit
RESTARTS = 2
TRUNCATED_TRIES = 2
_TOLD = 6  # namespaces whose failure is told
_HEAD_BYTES = 4096
_TOKEN = re.compile(rb'\s*\{[^{}]*"metadata"\s*:\s*\{[^{}]*"continue"\s*:\s*"([A-Za-z0-9+/=_.-]+)"')
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class How(StrEnum):
    """How reading a kind ended."""

    READ = "read"
    PARTLY = "partly read"
    FORBIDDEN = "not allowed"
    ABSENT = "not there"
    FAILED = "failed"
    OUT_OF_TIME = "out of time"


@dataclass
class Listed:
    """The outcome for one kind. `namespaces` are those it was read in, None = the whole cluster."""

    served: Served
    how: How = How.READ
    objects: int = 0
    detail: str = ""
    namespaces: tuple[str, ...] | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every object that there is was read."""
        return self.how is How.READ and self.namespaces is None

    @property
    def name(self) -> str:
        """The kind as a role and kubectl name it: pods, scaledobjects.keda.sh."""
        how = self.served.how
        return f"{how.plural}.{how.group}".rstrip(".")


class Places(NamedTuple):
    """Namespaces to try where the cluster as a whole may not be listed.

    `known` are all that there are, if they could be listed and each is tried; else none. `still` asks again for those
    that are there: one that was deleted took the right to read it along.
    """

    namespaces: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()
    still: Callable[[], frozenset[str]] = frozenset


NOWHERE = Places()


Take = Callable[[Served, bytearray], PageTaken]  # raises MalformedError before it takes any of a body
Again = Callable[[Served, str | None], None]  # a kind (of a namespace) is listed anew: what was taken may be gone


def _keep(_served: Served, _namespace: str | None) -> None:
    """Forget nothing."""


def list_kind(
    fetcher: Fetcher, served: Served, take: Take, *, places: Places = NOWHERE, again: Again = _keep
) -> Listed:
    """List a kind in the whole cluster, or where that is forbidden in `places`; `take` gets the bodies of the pages."""
    listed = Listed(served)
    try:
        _pages(fetcher, listed, take, again, None)
    except ForbiddenError as error:
        if served.how.namespaced and places.namespaces:
            _by_namespace(fetcher, listed, take, again, places)
        else:
            _end(listed, error)
    except ApiError as error:
        _end(listed, error)
    return listed


def may_list(fetcher: Fetcher, served: Served, *, namespaces: Iterable[str] = ()) -> Listed:
    """Ask for one object of a kind, to see whether it could be listed; in `namespaces` where the cluster may not be."""
    listed = Listed(served)
    try:
        _ask_for_one(fetcher, served, None)
    except ApiError as error:
        _end(listed, error)
    if listed.how is not How.FORBIDDEN or not served.how.namespaced:
        return listed
    allowed = []
    for namespace in namespaces:
        try:
            _ask_for_one(fetcher, served, namespace)
        except (UnauthorizedError, OutOfTimeError) as error:
            _end(listed, error)
            break
        except ApiError:  # what the whole cluster answered tells most
            continue
        allowed.append(namespace)
    if allowed:
        listed.how, listed.detail, listed.namespaces = How.PARTLY, "", tuple(allowed)
    return listed


def _ask_for_one(fetcher: Fetcher, served: Served, namespace: str | None) -> None:
    fetcher.get(_path(served, namespace), {"limit": "1"}, accept=_accept(served))


def _by_namespace(fetcher: Fetcher, listed: Listed, take: Take, again: Again, places: Places) -> None:
    """List one namespace after the other; together they are the cluster if each that there is may be read."""
    allowed: list[str] = []
    failed: dict[str, ApiError] = {}  # one of several that cannot be read does not lose the others
    missing = set(places.known)
    for namespace in places.namespaces:
        try:
            _pages(fetcher, listed, take, again, namespace)
        except ForbiddenError:
            continue
        except (UnauthorizedError, OutOfTimeError, UnreachableError) as error:
            _end(listed, error)
            return
        except ApiError as error:
            failed[namespace] = error
            continue
        allowed.append(namespace)
        missing.discard(namespace)
    if missing and allowed:
        missing &= places.still()
    if places.known and not missing:
        listed.remarks.append("were listed namespace by namespace")
        return
    if failed and not allowed:
        _end(listed, next(iter(failed.values())))
        return
    listed.remarks += [f"of {name} could not be read ({error})" for name, error in list(failed.items())[:_TOLD]]
    listed.namespaces = tuple(allowed)
    listed.how = How.PARTLY if allowed else How.FORBIDDEN


def _pages(fetcher: Fetcher, listed: Listed, take: Take, again: Again, namespace: str | None) -> None:
    """Fetch page after page. After 410 the list goes on from the server's token, inconsistently, or starts over."""
    token, limit, restarts = "", PAGE, 0
    before, anew = listed.objects, False

    def take_page(served: Served, body: bytearray) -> PageTaken:
        nonlocal anew
        if anew:  # not earlier: what there was is better than nothing
            again(served, namespace)
            listed.objects, anew = before, False
        return take(served, body)

    bodies = _Bodies(fetcher, _path(listed.served, namespace), _accept(listed.served))
    while True:
        query = {"limit": str(limit)} | ({"continue": token} if token else {})
        try:
            page = _page(bodies, query, listed.served, take_page)
        except ExpiredError as error:
            restarts += 1
            if restarts > RESTARTS:
                raise
            token = error.continue_
            listed.remarks.append("went on after its version expired" if token else "started over, its version expired")
            anew = anew or not token
            continue
        except TooLargeError:
            if limit == SMALL_PAGE:
                raise
            limit = SMALL_PAGE
            continue
        listed.objects += page.objects
        token = page.continue_
        if not token:
            return


class _Bodies:
    """Fetches the pages of a list; the next one is asked for while this one is taken."""

    def __init__(self, fetcher: Fetcher, path: str, accept: str) -> None:
        self._fetcher = fetcher
        self._path = path
        self._accept = accept
        self._ahead: tuple[dict[str, str], Callable[[], bytearray]] | None = None

    def get(self, query: dict[str, str]) -> bytearray:
        """Return a page as text. Raises ApiError."""
        ahead, self._ahead = self._ahead, None
        body = ahead[1]() if ahead and ahead[0] == query else self._fetch(query)
        token = _TOKEN.match(body[:_HEAD_BYTES])  # where API servers write it; else its page is not asked for ahead
        if token:
            following = query | {"continue": token[1].decode("ascii")}
            self._ahead = (following, partial(begun(lambda: self._fetch(following)), None))
        return body

    def _fetch(self, query: dict[str, str]) -> bytearray:
        return self._fetcher.get(self._path, query, accept=self._accept)


def _page(bodies: _Bodies, query: dict[str, str], served: Served, take: Take) -> PageTaken:
    """Have a page taken; a body that is not whole JSON is asked for again."""
    for attempt in range(1, TRUNCATED_TRIES + 1):
        try:
            return take(served, bodies.get(query))
        except MalformedError as error:
            if attempt == TRUNCATED_TRIES:
                raise ApiError(f"the answer is malformed: {str(error)[:120]}") from error
    raise ApiError("no answer")


def _end(listed: Listed, error: ApiError) -> None:
    """Note how a list ended early."""
    listed.detail = str(error)
    if isinstance(error, OutOfTimeError):
        listed.how = How.OUT_OF_TIME
    elif listed.objects:
        listed.how = How.PARTLY
    elif isinstance(error, ForbiddenError):
        listed.how = How.FORBIDDEN
    elif isinstance(error, AbsentError):
        listed.how = How.ABSENT
    else:
        listed.how = How.FAILED


def _path(served: Served, namespace: str | None = None) -> str:
    within = f"namespaces/{quote(namespace, safe='')}/" if namespace else ""
    return f"{served.root}/{within}{served.how.plural}"


def _accept(served: Served) -> str:
    return METADATA_ONLY if served.how.metadata_only else "application/json"
