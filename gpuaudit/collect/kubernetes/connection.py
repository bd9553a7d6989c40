"""An API server as a kubeconfig context or a service account reaches it: the official client owns credentials, TLS."""

import logging
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gpuaudit.collect.kubernetes.deadline import Deadline, TimeIsUpError, begun
from gpuaudit.collect.kubernetes.kubeconfig import (
    DEFAULT_NAMESPACE,
    Context,
    credentials_hint,
    has_kubeconfig,
    one_line,
    wanted_contexts,
)
from gpuaudit.errors import UserError

IN_CLUSTER = "in-cluster"  # what stands for a context inside a cluster
KEEP_SECONDS = 60.0  # as the client itself keeps the token of a service account
PATIENCE_SECONDS = 600.0  # with credential plugins, where no other time is set: somebody may log in in a browser
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass
class Connection:
    """A cluster and how to reach it. `cluster` is its name among those read together, `own_name` what it is called.

    `namespaces` are to be tried by whoever may not list the whole cluster: the context's own first, then what other
    contexts of the same cluster name. `broken` is why a context among others cannot be used at all.
    """

    context: str
    cluster: str
    server: str  # host and port, never a credential
    own_name: str
    namespaces: tuple[str, ...]
    client: Any = field(repr=False)  # kubernetes.client.ApiClient
    reload: Callable[[], Any] | None = field(default=None, repr=False)  # a client with fresh credentials
    broken: UserError | None = None
    kubeconfig: Path | None = None  # where it is not the usual one
    sent: dict[str, str] = field(default_factory=dict, repr=False)  # the headers that said last who asks
    _asked: float = field(default=-inf, repr=False)  # when the client was asked for them
    _asking: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def renew(self, seconds: float = PATIENCE_SECONDS) -> bool:
        """Read the credentials anew (a credential plugin runs again); False when that gives nothing in time."""
        if self.reload is None:
            return False
        try:
            self.client = within(seconds, self.reload, context=self.context)
            self._asked = -inf
        except UserError:
            return False
        return True

    @property
    def base(self) -> str:
        """URL of the server, without a slash at the end."""
        return str(self.client.configuration.host).rstrip("/")

    @property
    def address(self) -> tuple[str, str, int | None, str]:
        """What tells a server from others however its URL is written: scheme, host, port, path."""
        url = urlsplit(self.base)
        port = url.port or {"http": 80, "https": 443}.get(url.scheme)
        return url.scheme, url.hostname or "", port, url.path

    @property
    def unchecked(self) -> bool:
        """Whether anybody may be the server: TLS without looking at its certificate (insecure-skip-tls-verify)."""
        known = self.client.configuration if self.client else None
        return known is not None and self.base.startswith("https") and not known.verify_ssl

    def credentials(self, seconds: float = PATIENCE_SECONDS) -> dict[str, str]:
        """Return the headers that say who asks. The client is asked now and then, and renews what has expired.

        Not each time: of a token that is about to expire it would run the plugin for each request.
        UserError when that takes a credential plugin, and it gives no answer in these seconds.
        """
        with self._asking:
            if time.monotonic() - self._asked >= KEEP_SECONDS:
                self.sent = self._ask(seconds)
                self._asked = time.monotonic()
            return dict(self.sent)

    def _ask(self, seconds: float) -> dict[str, str]:
        known = self.client.configuration
        asked = known.auth_settings
        try:
            settings = asked() if known.refresh_api_key_hook is None else within(seconds, asked, context=self.context)
        except UserError:
            raise
        except Exception as error:  # whatever a plugin's answer, or a token file that is gone, makes the client raise
            message = f"context {self.context!r} gives no credentials: {one_line(error)}"
            raise UserError(message, hint=login_hint(self.context, self.kubeconfig)) from error
        rows = [row for row in settings.values() if row.get("in") == "header" and row.get("value")]
        return {row["key"]: self._sendable(str(row["value"])) for row in rows}

    def _sendable(self, value: str) -> str:
        """Return a header's value without the line end that a file of a token may have. It is named in no error."""
        value = value.strip()
        if not (value.isascii() and value.isprintable()):
            message = f"context {self.context!r} gives credentials that cannot be sent: they are no printable ASCII"
            raise UserError(message, hint=login_hint(self.context, self.kubeconfig))
        return value

    @property
    def pool(self) -> Any:
        """The client's own connection pool: its TLS, its proxies, its certificates."""
        return self.client.rest_client.pool_manager


def within(seconds: float, work: Callable[[], Any], *, context: str) -> Any:
    """Return what `work` returns. UserError when it gives nothing in time: a credential plugin may wait for ever.

    It is left alone then: somebody may be about to log in, and it will keep what it was given.
    """
    try:
        return begun(work)(max(0.1, seconds))
    except TimeIsUpError:
        message = f"context {context!r} gives no credentials: their plugin did not answer in {seconds:.0f} s"
        raise UserError(message, hint=login_hint(context)) from None


def login_hint(context: str, kubeconfig: Path | None = None) -> str:
    """Return what to do when the credentials are refused, or are not given."""
    return f"log in again for context {context}: {kubectl(context, kubeconfig)} get nodes must work"


def kubectl(context: str, kubeconfig: Path | None) -> str:
    """Return how a person calls kubectl for a context."""
    file = ["--kubeconfig", str(kubeconfig)] if kubeconfig else []
    return shlex.join(["kubectl", *file, *(["--context", context] if context != IN_CLUSTER else [])])


def connections(
    contexts: Sequence[str], kubeconfig: Path | None, *, seconds: float = PATIENCE_SECONDS
) -> list[Connection]:
    """Return a connection per context, the current one if none is named; inside a cluster its own API server.

    Credential plugins have `seconds` together. UserError when there is no configuration, a context is not in it, or the
    only one gives no credentials.
    """
    if not contexts and kubeconfig is None and _in_cluster() and not has_kubeconfig():
        return [_from_service_account()]
    wanted = wanted_contexts(contexts, kubeconfig)
    deadline = Deadline(seconds)
    found = []
    for number, context in enumerate(wanted):
        part = deadline.remaining / (len(wanted) - number)
        found.append(_from_kubeconfig(context, kubeconfig, seconds=part))
    broken = [one.broken for one in found if one.broken]
    if len(broken) == len(found):
        raise broken[0]
    return found


def _from_kubeconfig(context: Context, kubeconfig: Path | None, *, seconds: float) -> Connection:
    def load() -> Any:
        return _kubeconfig_client(context.name, kubeconfig)

    try:
        found = _connection(context, load, seconds=seconds)
    except UserError as error:
        found = Connection(
            context.name, context.cluster, "", context.own_name, context.namespaces, client=None, broken=error
        )
    found.kubeconfig = kubeconfig
    return found


def _kubeconfig_client(context: str, kubeconfig: Path | None) -> Any:
    from kubernetes import client, config

    settings = client.Configuration()
    settings.retries = False  # this tool decides itself when to ask again, and says so
    with _errors_of_the_client() as said:
        try:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(kubeconfig) if kubeconfig else None,
                context=context,
                client_configuration=settings,
                persist_config=False,
            )
        except Exception as error:  # whatever a broken file makes the client raise
            hint = credentials_hint(context, kubeconfig)
            raise UserError(f"context {context!r} cannot be used: {one_line(error)}", hint=hint) from error
    if said and not settings.api_key and not settings.cert_file:
        hint = credentials_hint(context, kubeconfig)
        raise UserError(f"context {context!r} gives no credentials: {said[0]}", hint=hint)
    return _client(settings, context)


def _client(settings: Any, context: str) -> Any:
    """Return a client; making one looks at the proxy, of the kubeconfig or the environment."""
    from kubernetes import client
    from urllib3.exceptions import HTTPError

    try:
        return client.ApiClient(settings)
    except ImportError as error:
        if error.name not in ("socks", "urllib3.contrib.socks"):
            raise
        message = f"context {context!r} is reached through a SOCKS proxy, which needs a package that is not installed"
        raise UserError(message, hint="install it: pip install pysocks") from error
    except (HTTPError, ValueError) as error:
        message = f"context {context!r} cannot be used: its proxy is no URL of http, https or socks5"
        raise UserError(message, hint="check proxy-url in the kubeconfig, HTTPS_PROXY and HTTP_PROXY") from error


def _from_service_account() -> Connection:
    path = SERVICE_ACCOUNT / "namespace"
    namespace = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    context = Context(IN_CLUSTER, IN_CLUSTER, IN_CLUSTER, (namespace or DEFAULT_NAMESPACE,))
    return _connection(context, _service_account_client, seconds=PATIENCE_SECONDS)


def _service_account_client() -> Any:
    from kubernetes import client, config

    settings = client.Configuration()
    settings.retries = False
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise UserError(f"the service account cannot be used: {one_line(error)}", hint="mount its token") from error
    return _client(settings, "in-cluster")


def _connection(context: Context, load: Callable[[], Any], *, seconds: float) -> Connection:
    api_client = within(seconds, load, context=context.name)
    url = urlsplit(str(api_client.configuration.host))
    return Connection(
        context=context.name,
        cluster=context.cluster,
        server=url.netloc.rpartition("@")[2],
        own_name=context.own_name,
        namespaces=context.namespaces,
        client=api_client,
        reload=load,
    )


def _in_cluster() -> bool:
    return (SERVICE_ACCOUNT / "token").is_file()


@contextmanager
def _errors_of_the_client() -> Iterator[list[str]]:
    """Collect what the client only logs: a credential plugin that fails is no exception there."""
    said: list[str] = []

    class _Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(one_line(record.getMessage()))

    root, listener = logging.getLogger(), _Listener(level=logging.ERROR)
    root.addHandler(listener)
    try:
        yield said
    finally:
        root.removeHandler(listener)
