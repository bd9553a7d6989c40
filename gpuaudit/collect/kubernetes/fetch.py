"""GET raw bytes from an API server: bounded in time, size and number of tries; the server's wishes are respected."""

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from gpuaudit.collect.kubernetes.answers import (
    ApiError,
    OutOfTimeError,
    TooLargeError,
    UnauthorizedError,
    UnreachableError,
    failure,
)
from gpuaudit.collect.kubernetes.connection import Connection
from gpuaudit.collect.kubernetes.deadline import Deadline, TimeIsUpError
from gpuaudit.collect.network_errors import cause_of, tls_failure
from gpuaudit.collect.secrets import without_secrets
from gpuaudit.errors import UserError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

TRIES = 4
CONNECT_TRIES = 2
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
MAX_WAIT_SECONDS = 20.0  # whatever Retry-After says
MAX_BODY_BYTES = 256 << 20
MOST_TOLD_BYTES = 1 << 16  # of an answer that is an error
CHUNK_BYTES = 1 << 17  # less than what is mapped by itself: see memory.py
_NO_ENDPOINTS = b"no endpoints available"  # a 503 of the service proxy that waiting does not mend
_AGAIN = (429, 500, 502, 503, 504)


@dataclass
class Fetcher:
    """Asks one server. `requests`, `received` (bytes) and `repeated` count what it took."""

    connection: Connection
    deadline: Deadline
    read_seconds: float = READ_SECONDS
    requests: int = 0
    received: int = 0
    repeated: int = 0
    renewals: int = 0
    refused: bool = False  # a 401 was seen: nobody else needs to ask
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _renewing: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        accept: str = "application/json",
        most: int | None = None,
    ) -> bytearray:
        """Return the body of a successful answer; one of more than `most` bytes (MAX_BODY_BYTES) is refused.

        Raises ApiError, one kind per what can be done about it.
        """
        most = MAX_BODY_BYTES if most is None else most
        target = path + ("?" + urlencode(query) if query else "")
        before = ""  # what the server said last
        for attempt in range(1, TRIES + 1):
            if self.refused:
                raise UnauthorizedError("401 the server refused the credentials")
            if self.deadline.over:
                raise OutOfTimeError(f"the time for collecting was over{before}")
            asked_with = self.renewals
            status, body, wait = self._ask(target, accept, attempt, most)
            if 200 <= status < 300:
                return body
            if status == 401 and self._newer_than(asked_with):
                continue
            if status not in (0, *_AGAIN) or attempt == TRIES or _NO_ENDPOINTS in body[:2000]:
                error = self._failure(status, body)
                self.refused = self.refused or isinstance(error, UnauthorizedError)
                raise error
            before = f", after {self._failure(status, body)}" if status else ""
            self._count(repeated=1)
            self.deadline.sleep(wait if wait is not None else _pause(attempt))
        raise ApiError("no answer")

    def _failure(self, status: int, body: bytearray) -> ApiError:
        return failure(status, without_secrets(bytes(body[:MOST_TOLD_BYTES]), self.connection.sent.values()))

    def _newer_than(self, asked_with: int) -> bool:
        """Whether there are newer credentials than those of that renewal; they may have expired under way.

        Several workers are refused at a time: the first renews, once in a run, the others ask again with what it got.
        """
        with self._renewing:
            if self.renewals == 0 and not self.refused:
                if self.connection.renew(self.deadline.remaining):
                    self.renewals = 1
                else:
                    self.refused = True
            return self.renewals > asked_with

    def _ask(self, target: str, accept: str, attempt: int, most: int) -> tuple[int, bytearray, float | None]:
        """Return status (0 = the connection broke), body, and how long the server asks to wait."""
        from urllib3.exceptions import HTTPError, SSLError

        self._count(requests=1)
        try:
            return self.deadline.bounded(partial(self._once, target, accept, most))
        except TimeIsUpError as error:
            raise OutOfTimeError("the time for collecting was over") from error
        except SSLError as error:
            raise UnreachableError(tls_failure(self.connection.server, error, _line(error))) from error
        except (HTTPError, OSError) as error:
            if self.deadline.over:
                raise OutOfTimeError("the time for collecting was over") from error
            meaning = _broken(self.connection.server, error)
            if attempt >= (CONNECT_TRIES if isinstance(meaning, UnreachableError) else TRIES):
                raise meaning from error
            return 0, bytearray(), None

    def _once(self, target: str, accept: str, most: int) -> tuple[int, bytearray, float | None]:
        from urllib3 import Timeout

        left = max(0.1, self.deadline.remaining)
        try:
            credentials = self.connection.credentials(left)
        except UserError as error:
            raise UnauthorizedError(f"401 {error.message}") from error
        response = self.connection.pool.request(
            "GET",
            self.connection.base + target,
            headers={"Accept": accept, "Accept-Encoding": "gzip", "User-Agent": "gpuaudit"} | credentials,
            timeout=Timeout(connect=min(CONNECT_SECONDS, left), read=min(self.read_seconds, left)),
            preload_content=False,
            retries=False,
            redirect=False,
        )
        try:
            body = self._body(response, most)
        except BaseException:
            response.close()  # an unread rest would block the pool
            raise
        response.release_conn()
        return response.status, body, _retry_after(response.headers.get("Retry-After"))

    def _body(self, response: "BaseHTTPResponse", most: int) -> bytearray:
        """Read an answer as it comes: a body that trickles must not outlast the deadline."""
        chunks = bytearray()
        while chunk := response.read1(CHUNK_BYTES, decode_content=True):
            chunks += chunk
            if len(chunks) > most:
                raise TooLargeError(f"an answer larger than {most >> 20} MiB")
            if self.deadline.over:
                raise OutOfTimeError("the time for collecting was over")
        self._count(size=len(chunks))
        return chunks

    def _count(self, *, requests: int = 0, repeated: int = 0, size: int = 0) -> None:
        with self._lock:
            self.requests += requests
            self.repeated += repeated
            self.received += size


def _pause(attempt: int) -> float:
    return float(0.25 * 2**attempt * (1 + random.random() / 4))  # noqa: S311 - spreads requests, guards nothing


def _retry_after(text: str | None) -> float | None:
    """Return the seconds a server asks to wait, bounded; a date is not read."""
    if text and text.strip().isdecimal() and len(text) < 9:
        return min(float(text), MAX_WAIT_SECONDS)
    return None


def _broken(server: str, error: Exception) -> ApiError:
    from urllib3.exceptions import (
        ConnectTimeoutError,
        NameResolutionError,
        NewConnectionError,
        ProxyError,
        ReadTimeoutError,
    )

    if isinstance(error, NameResolutionError):
        return UnreachableError(f"the name of {server} is not known")
    if isinstance(error, ConnectTimeoutError | NewConnectionError | ProxyError):
        return UnreachableError(f"no connection to {server}: {cause_of(error) or _line(error)}")
    if isinstance(error, ReadTimeoutError):
        return ApiError("the server was too slow")
    return ApiError(f"the connection broke: {cause_of(error) or _line(error)}")


def _line(error: object) -> str:
    """Return an error without object addresses and URLs, which may hold a token."""
    text = str(error).rpartition(">: ")[2] or type(error).__name__
    return " ".join(text.split())[:160]
