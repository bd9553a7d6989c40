"""Read one cluster: what decides first, then the rest side by side; events and configuration last.

Workers fetch pages, one thread decodes them and makes records of them: objects stay with one processor and its caches,
which is faster than sharing them out among threads that run one at a time anyway. That thread uses the wait for the
first pages as well. A worker waits until its page was taken, so memory does not grow with the cluster.
"""

import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import NamedTuple

import msgspec

from gpuaudit.collect.builder import InventoryBuilder, PageTaken, load_tables
from gpuaudit.collect.decode import MalformedError
from gpuaudit.collect.kubernetes.answers import ApiError, UnauthorizedError, UnreachableError
from gpuaudit.collect.kubernetes.connection import Connection
from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.collect.kubernetes.discovery import Discovered, Served, discover
from gpuaudit.collect.kubernetes.fetch import Fetcher
from gpuaudit.collect.kubernetes.listing import METADATA_ONLY, How, Listed, Places, list_kind
from gpuaudit.collect.kubernetes_types import Object
from gpuaudit.collect.memory import rarely_collecting, reuse_large

WORKERS = 4
YIELD_SECONDS = 0.0005
MAX_NAMESPACES = 200  # tried one by one where the whole cluster may not be listed
_FOR_NODES = ("nodes", "namespaces", "resourceslices")
_FIRST = (*_FOR_NODES, "deviceclasses")  # these tell what pods may ask for
_LAST = ("events", "configmaps")

Progress = Callable[[str], None]


@dataclass
class Reading:
    """What came of reading a cluster. `fatal` is why nothing could be read at all."""

    connection: Connection
    builder: InventoryBuilder
    listed: list[Listed] = field(default_factory=list)
    discovered: Discovered = field(default_factory=Discovered)
    fatal: str = ""
    tried: tuple[str, ...] = ()  # namespaces, where the whole cluster may not be listed
    chosen: bool = False  # by a person, these namespaces
    interrupted: bool = False
    out_of_time: bool = False
    requests: int = 0
    received: int = 0
    repeated: int = 0


class _Named(msgspec.Struct):
    """A list of which the names count."""

    items: list[Object]


class _ServerVersion(msgspec.Struct, rename="camel"):
    git_version: str = ""


@contextmanager
def _yielding_soon() -> Iterator[None]:
    """Have the thread that takes pages give way at once to one that has bytes to read.

    Python's 5 ms, for each piece of a page, kept the server waiting: about a tenth of the time of `bench kubernetes`.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(YIELD_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@_yielding_soon()
@rarely_collecting()
def read_cluster(
    connection: Connection, deadline: Deadline, *, namespaces: Sequence[str] = (), progress: Progress | None = None
) -> Reading:
    """Read a cluster until all is read, the time is over, or Ctrl-C; what was read until then is kept."""
    reuse_large()
    fetcher = Fetcher(connection, deadline)
    reading = Reading(connection, InventoryBuilder(connection.cluster, server=connection.server, dated=False))
    reading.chosen = bool(namespaces)
    if connection.broken:
        reading.fatal = connection.broken.message
        return reading
    try:
        _read(fetcher, reading, namespaces, progress or (lambda _: None))
    except KeyboardInterrupt:
        deadline.stop()
        reading.interrupted = True
    except (UnauthorizedError, UnreachableError) as error:
        reading.fatal = str(error)
    except ApiError as error:
        reading.fatal = "" if reading.listed else str(error)
    _mark(reading)
    reading.out_of_time = deadline.over and not reading.interrupted
    reading.requests, reading.received, reading.repeated = fetcher.requests, fetcher.received, fetcher.repeated
    return reading


def _read(fetcher: Fetcher, reading: Reading, namespaces: Sequence[str], progress: Progress) -> None:
    reading.discovered = discover(fetcher)
    reading.builder.set_version(server_version(fetcher))
    reading.builder.add_groups(reading.discovered.groups)
    waves = _waves(reading.discovered.served)
    given = tuple(namespaces)
    meanwhile: Callable[[], None] = load_tables
    for wave in waves:
        running = _start(fetcher, wave, _places(fetcher, reading, given))
        meanwhile()
        _take(fetcher, reading, running, progress)
        whole = {one.served.how.plural for one in reading.listed if one.complete}
        for_nodes = {one.how.plural for one in waves[0] if one.how.plural in _FOR_NODES}
        meanwhile = reading.builder.nodes_read if whole >= for_nodes else _nothing
        if "pods" in whole:
            reading.builder.pods_read()
        if fetcher.refused and not any(one.objects for one in reading.listed):
            raise UnauthorizedError("401 the server refused the credentials")


def _waves(served: Iterable[Served]) -> tuple[list[Served], list[Served], list[Served]]:
    """Return what is read first, then, and last. Pods take longest, so they start their wave."""
    waves: tuple[list[Served], list[Served], list[Served]] = ([], [], [])
    for one in served:
        plural = one.how.plural
        waves[0 if plural in _FIRST else 2 if plural in _LAST else 1].append(one)
    waves[1].sort(key=lambda one: (one.how.plural != "pods", one.how.plural not in ("replicasets", "deployments")))
    return waves


def _places(fetcher: Fetcher, reading: Reading, given: tuple[str, ...]) -> Places:
    """Return the namespaces to try where the whole cluster may not be listed: asked for, the context's, all known."""
    known = reading.builder.namespaces
    listed = any(one.name == "namespaces" and one.complete for one in reading.listed)
    tried = given or tuple(dict.fromkeys((*reading.connection.namespaces, *known)))[:MAX_NAMESPACES]
    reading.tried = tried
    if not (listed and set(known) <= set(tried)):
        return Places(tried)
    return Places(tried, frozenset(known), cache(partial(_namespaces_now, fetcher, frozenset(known))))


def _namespaces_now(fetcher: Fetcher, known: frozenset[str]) -> frozenset[str]:
    """Return the namespaces that there are now; those that are known when that cannot be told."""
    try:
        body = fetcher.get("/api/v1/namespaces", accept=METADATA_ONLY)
        found = msgspec.json.decode(body, type=_Named)
    except (ApiError, msgspec.DecodeError):
        return known
    return frozenset(item.metadata.name for item in found.items)


def _nothing() -> None:
    """Do nothing while the network is waited for."""


class _Body(NamedTuple):
    """A page that was fetched; `taken` is told what came of it."""

    served: Served
    text: bytearray
    taken: "queue.SimpleQueue[PageTaken | MalformedError]"


class _Again(NamedTuple):
    """A kind is listed from its first page again, in the whole cluster or a namespace."""

    served: Served
    namespace: str | None


_Done = queue.SimpleQueue[_Body | _Again | Listed | BaseException]


class _Running(NamedTuple):
    """Kinds that are being read side by side."""

    kinds: int
    done: _Done


def _start(fetcher: Fetcher, wave: Sequence[Served], places: Places) -> _Running:
    """Start to read the kinds of a wave."""
    todo: queue.SimpleQueue[Served] = queue.SimpleQueue()
    for served in wave:
        todo.put(served)
    done: _Done = queue.SimpleQueue()
    for _ in range(min(WORKERS, len(wave))):
        threading.Thread(target=_work, args=(fetcher, todo, done, places), daemon=True).start()
    return _Running(len(wave), done)


def _take(fetcher: Fetcher, reading: Reading, running: _Running, progress: Progress) -> None:
    """Take the pages of a wave as they come, into the reading's builder and list."""
    counts: dict[str, int] = {}
    left = running.kinds
    while left:
        item = running.done.get()
        if isinstance(item, BaseException):
            raise item
        if isinstance(item, Listed):
            left -= 1
            reading.listed.append(item)
        elif isinstance(item, _Again):
            reading.builder.start_over((item.served.how.group, item.served.how.kind), item.namespace)
        else:
            name, objects = _take_page(reading.builder, item)
            counts[name] = counts.get(name, 0) + objects
            progress(f"{fetcher.connection.cluster}: {_told(counts)}")
        del item  # a body would stay while the next is waited for


def _take_page(builder: InventoryBuilder, page: _Body) -> tuple[str, int]:
    """Take a page, tell who fetched it, and return name and number of the objects that were taken."""
    how = page.served.how
    try:
        taken: PageTaken | MalformedError = builder.add_page(page.text, (how.group, how.kind))
    except MalformedError as error:
        taken = error
    page.taken.put(taken)
    return f"{how.plural}.{how.group}", taken.objects if isinstance(taken, PageTaken) else 0


def _work(fetcher: Fetcher, todo: "queue.SimpleQueue[Served]", done: _Done, places: Places) -> None:
    """Take kinds off the list until there are none."""

    def take(served: Served, body: bytearray) -> PageTaken:
        return _handed(done, served, body)

    def again(served: Served, namespace: str | None) -> None:
        done.put(_Again(served, namespace))

    while True:
        try:
            served = todo.get_nowait()
        except queue.Empty:
            return
        try:
            done.put(list_kind(fetcher, served, take, places=places, again=again))
        except BaseException as error:
            done.put(error)
            return


def _handed(done: _Done, served: Served, body: bytearray) -> PageTaken:
    """Hand a page over and wait until it was taken. Raises MalformedError."""
    taken: queue.SimpleQueue[PageTaken | MalformedError] = queue.SimpleQueue()
    done.put(_Body(served, body, taken))
    result = taken.get()
    if isinstance(result, MalformedError):
        raise result
    return result


def _mark(reading: Reading) -> None:
    """Tell the builder which kinds were read whole: rules must not take some of the pods for all."""
    for served in reading.discovered.served:
        reading.builder.incomplete((served.how.group, served.how.kind))
    for listed in reading.listed:
        kind = (listed.served.how.group, listed.served.how.kind)
        if listed.complete:
            reading.builder.complete(kind)
        elif listed.namespaces and listed.how is How.PARTLY:
            reading.builder.complete(kind)
            reading.builder.within(kind, listed.namespaces)


def server_version(fetcher: Fetcher) -> str | None:
    """Return the server's version of Kubernetes, None when it does not tell."""
    try:
        return msgspec.json.decode(fetcher.get("/version"), type=_ServerVersion).git_version or None
    except UnauthorizedError:
        raise
    except (ApiError, msgspec.DecodeError):
        return None


def _told(counts: dict[str, int]) -> str:
    largest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:4]
    return ", ".join(f"{count:,} {name.split('.')[0]}" for name, count in largest)
