"""Ways to a Prometheus: straight to its URL, or through the API server's service proxy. Bytes in, bytes out."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from gpuaudit import __version__
from gpuaudit.collect.kubernetes.connection import Connection
from gpuaudit.collect.kubernetes.deadline import Deadline, TimeIsUpError
from gpuaudit.collect.network_errors import cause_of, tls_failure
from gpuaudit.collect.prometheus.errors import (
    GoneError,
    OutOfTimeError,
    QueryError,
    RefusedError,
    TooMuchError,
    failure,
)
from gpuaudit.collect.secrets import without_secrets
from gpuaudit.errors import UserError
from gpuaudit.knowledge import queries

BLOCK_BYTES = 1 << 17  # less than what is mapped by itself: see memory.py


class Transport(Protocol):
    """Asks one server."""

    name: str  # as reports call the server: without credentials
    max_query_bytes: int  # of the encoded parameters; 0 = any

    def ask(self, path: str, parameters: Mapping[str, str | Sequence[str]], deadline: Deadline) -> bytearray:
        """Return the body of a successful answer. Raises QueryError, one kind per what can be done about it."""


@dataclass
class Direct:
    """A URL, over the HTTP session of prometheus-api-client, which owns TLS, proxies and authentication.

    Its own query functions decode answers into objects that a fleet's history does not fit into, and put the text of
    a POST into the URL; so questions go over its session as forms.
    """

    name: str
    _client: Any = field(repr=False)  # prometheus_api_client.PrometheusConnect
    max_query_bytes: int = 0

    def ask(self, path: str, parameters: Mapping[str, str | Sequence[str]], deadline: Deadline) -> bytearray:
        """Send a query as POST, anything else as GET."""
        return _in_time(deadline, partial(self._ask, path, parameters, deadline))

    def _ask(self, path: str, parameters: Mapping[str, str | Sequence[str]], deadline: Deadline) -> bytearray:
        import requests

        posts = path.startswith("/api/v1/query")
        client, session = self._client, self._client._session
        try:
            with session.request(
                "POST" if posts else "GET",
                client.url + path,
                data=parameters if posts else None,
                params=None if posts else parameters,
                headers=client.headers,
                auth=client.auth,
                timeout=_timeouts(deadline),
                stream=True,
                allow_redirects=False,
            ) as answer:
                body = _bounded(answer.iter_content(BLOCK_BYTES), deadline)
                sent = [*client.headers.values(), *_password(client.auth)]
                return _checked(answer.status_code, body, answer.headers, sent)
        except requests.exceptions.SSLError as error:
            raise RefusedError(tls_failure(self.name, error, _line(error))) from error
        except requests.exceptions.ReadTimeout as error:
            raise _slow(deadline) from error
        except requests.exceptions.RequestException as error:
            if "Read timed out" in str(error):  # in mid-body it is a ConnectionError to requests
                raise _slow(deadline) from error
            raise GoneError(f"no connection to {self.name}: {cause_of(error) or _line(error)}") from error


@dataclass
class Proxied:
    """A service or pod behind the API server's proxy: GET only, over the cluster's own connection."""

    name: str
    _connection: Connection = field(repr=False)
    _path: str = ""  # of the proxy and the prefix behind it
    max_query_bytes: int = field(default_factory=lambda: queries.limits().get_bytes)

    def ask(self, path: str, parameters: Mapping[str, str | Sequence[str]], deadline: Deadline) -> bytearray:
        """GET through the proxy."""
        return _in_time(deadline, partial(self._ask, path, parameters, deadline))

    def _ask(self, path: str, parameters: Mapping[str, str | Sequence[str]], deadline: Deadline) -> bytearray:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError, ReadTimeoutError, SSLError

        query = "?" + urlencode(parameters, doseq=True) if parameters else ""
        connect, read = _timeouts(deadline)
        try:
            answer = self._connection.pool.request(
                "GET",
                self._connection.base + self._path + path + query,
                headers={"Accept-Encoding": "gzip", "User-Agent": "gpuaudit"} | self._connection.credentials(),
                timeout=Timeout(connect=connect, read=read),
                preload_content=False,
                retries=False,
                redirect=False,
            )
            try:
                body = _bounded(answer.stream(BLOCK_BYTES, decode_content=True), deadline)
            except BaseException:
                answer.close()
                raise
            answer.release_conn()
        except UserError as error:  # the credentials ran out, and their plugin gives no new ones
            raise RefusedError(error.message) from error
        except SSLError as error:
            raise RefusedError(tls_failure(self._connection.server, error, _line(error))) from error
        except ReadTimeoutError as error:
            raise _slow(deadline) from error
        except (HTTPError, OSError) as error:
            raise GoneError(
                f"no connection through {self._connection.server}: {cause_of(error) or _line(error)}"
            ) from error
        return _checked(answer.status, body, answer.headers, self._connection.sent.values())


def direct(url: str, *, headers: Sequence[str] = (), ca: Path | None = None) -> Direct:
    """Return the way to a URL. UserError for one that is none, for a broken header, a CA that is no file.

    `headers` are "K: V"; user and password may stand in the URL; Amazon's service is signed for by itself.
    """
    from prometheus_api_client import PrometheusConnect
    from requests import Session
    from requests.auth import AuthBase, HTTPBasicAuth
    from urllib3 import Retry

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"{_redacted(url)} is no URL of a Prometheus", hint="give --prometheus-url http://HOST:PORT")
    if ca is not None and not ca.is_file():
        raise UserError(f"no certificate file {ca}", hint="give --prometheus-ca a PEM file")
    given = headers_of(headers)
    session = Session()
    session.verify = str(ca) if ca else True
    session.headers["User-Agent"] = f"gpuaudit/{__version__}"
    auth: AuthBase | None = None
    flavour = queries.flavour_of_host(parts.hostname)
    if parts.username:
        auth = HTTPBasicAuth(parts.username, parts.password or "")
    elif flavour and flavour.sign and "authorization" not in {name.lower() for name in given}:
        from gpuaudit.collect.prometheus.signing import signer

        auth = signer(flavour.sign, re.search(flavour.host, parts.hostname))
    host = parts.netloc.rpartition("@")[2]
    plain = f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
    client = PrometheusConnect(url=plain, headers=given, session=session, auth=auth, retry=Retry(0))
    return Direct(f"{host}{parts.path.rstrip('/')}", client)


def proxied(connection: Connection, *, namespace: str, kind: str, name: str, port: str, prefix: str = "") -> Proxied:
    """Return the way to a service or pod (`kind` services or pods) through the API server."""
    path = f"/api/v1/namespaces/{namespace}/{kind}/{name}:{port}/proxy{prefix}"
    return Proxied(f"{namespace}/{name}:{port}", connection, path)


def headers_of(texts: Sequence[str]) -> dict[str, str]:
    """Return the headers of --prometheus-header. UserError for one that is none."""
    return dict(_header(text) for text in texts)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name.strip()) or "\n" in value or "\r" in value:
        raise UserError("a --prometheus-header is not of the form 'K: V'", hint="--prometheus-header 'K: V'")
    return name.strip(), value.strip()


def _timeouts(deadline: Deadline) -> tuple[float, float]:
    """Return seconds to connect and to wait for the next bytes. OutOfTimeError when there is no time left."""
    limits = queries.limits()
    if deadline.over:
        raise OutOfTimeError("the time for collecting was over")
    left = deadline.remaining
    return min(limits.connect_seconds, left), min(limits.query_seconds + 5, left)


def _in_time(deadline: Deadline, ask: Callable[[], bytearray]) -> bytearray:
    try:
        return deadline.bounded(ask)
    except TimeIsUpError as error:
        raise OutOfTimeError("the time for collecting was over") from error


def _slow(deadline: Deadline) -> QueryError:
    if deadline.remaining < 0.5:
        return OutOfTimeError("the time for collecting was over")
    return TooMuchError("the server was too slow")


def _bounded(chunks: Any, deadline: Deadline) -> bytearray:
    body = bytearray()
    limit = queries.limits().answer_bytes
    for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise TooMuchError(f"an answer larger than {limit >> 20} MiB")
        if deadline.over:
            raise OutOfTimeError("the time for collecting was over")
    return body


def _checked(status: int, body: bytearray, headers: Mapping[str, str], sent: Iterable[str]) -> bytearray:
    if status != 200:
        raise failure(status, without_secrets(bytes(body), sent), retry_after=headers.get("Retry-After"))
    if "html" in headers.get("Content-Type", ""):
        raise RefusedError("a web page answered, not a Prometheus: a login in front of it, or another path")
    return body


def _password(auth: Any) -> tuple[str, ...]:
    """Return what must not be shown of a URL's user and password."""
    password = getattr(auth, "password", None)
    return (password,) if isinstance(password, str) else ()


def _redacted(url: str) -> str:
    return re.sub(r"//[^@/]*@", "//", url)[:200]


def _line(error: object) -> str:
    """Return an error without URLs and object addresses, which may hold a secret."""
    text = re.sub(r"(https?://|/)\S*\?\S*", "", str(error).rpartition(">: ")[2] or str(error))
    return " ".join(re.sub(r"<[^>]*>", "", text).split())[:160] or type(error).__name__
