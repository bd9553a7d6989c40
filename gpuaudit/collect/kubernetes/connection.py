"""An API server as a kubeconfig context or a service account reaches it: the official client owns credentials, TLS."""

import logging
import queue
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.errors import UserError

PATIENCE_SECONDS = 600.0  # with credential plugins, where no other time is set: somebody may log in in a browser
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT_NAMESPACE = "default"  # of a context without one
_EXPIRED = "log in again, or check the user of this context in the kubeconfig"


@dataclass
class Connection:
    """A cluster and how to reach it.

    `namespaces` are to be tried by whoever may not list the whole cluster: the context's own first, then what other
    contexts of the same cluster name. `broken` is why a context among others cannot be used at all.
    """

    context: str
    cluster: str
    server: str  # host and port, never a credential
    namespaces: tuple[str, ...]
    client: Any = field(repr=False)  # kubernetes.client.ApiClient
    reload: Callable[[], Any] | None = field(default=None, repr=False)  # a client with fresh credentials
    broken: UserError | None = None

    def renew(self, seconds: float = PATIENCE_SECONDS) -> bool:
        """Read the credentials anew (a credential plugin runs again); False when that gives nothing in time."""
        if self.reload is None:
            return False
        try:
            self.client = within(seconds, self.reload, context=self.context)
        except UserError:
            return False
        return True

    @property
    def base(self) -> str:
        """URL of the server, without a slash at the end."""
        return str(self.client.configuration.host).rstrip("/")

    def credentials(self, seconds: float = PATIENCE_SECONDS) -> dict[str, str]:
        """Return the headers that say who asks; asks the client each time, which renews what has expired.

        UserError when that takes a credential plugin, and it gives no answer in these seconds.
        """
        known = self.client.configuration
        asked = known.auth_settings
        settings = asked() if known.refresh_api_key_hook is None else within(seconds, asked, context=self.context)
        rows = [row for row in settings.values() if row.get("in") == "header" and row.get("value")]
        return {row["key"]: self._sendable(str(row["value"])) for row in rows}

    def _sendable(self, value: str) -> str:
        """Return a header's value without the line end that a file of a token may have. It is named in no error."""
        value = value.strip()
        if not (value.isascii() and value.isprintable()):
            message = f"context {self.context!r} gives credentials that cannot be sent: they are no printable ASCII"
            raise UserError(message, hint=login_hint(self.context))
        return value

    @property
    def pool(self) -> Any:
        """The client's own connection pool: its TLS, its proxies, its certificates."""
        return self.client.rest_client.pool_manager


def within(seconds: float, work: Callable[[], Any], *, context: str) -> Any:
    """Return what `work` returns. UserError when it gives nothing in time: a credential plugin may wait for ever.

    It is left alone then: somebody may be about to log in, and it will keep what it was given.
    """
    answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((work(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = answers.get(timeout=max(0.1, seconds))
    except queue.Empty:
        message = f"context {context!r} gives no credentials: their plugin did not answer in {seconds:.0f} s"
        raise UserError(message, hint=login_hint(context)) from None
    if error is not None:
        raise error
    return value


def login_hint(context: str) -> str:
    """Return what to do when the credentials are refused, or are not given."""
    return f"log in again for context {context}: kubectl get nodes must work"


def connections(
    contexts: Sequence[str], kubeconfig: Path | None, *, seconds: float = PATIENCE_SECONDS
) -> list[Connection]:
    """Return a connection per context, the current one if none is named; inside a cluster its own API server.

    Credential plugins have `seconds` together. UserError when there is no configuration, a context is not in it, or the
    only one gives no credentials.
    """
    if not contexts and kubeconfig is None and _in_cluster() and not _has_kubeconfig():
        return [_from_service_account()]
    if kubeconfig is not None and not kubeconfig.is_file():
        raise UserError(f"there is no kubeconfig {kubeconfig}", hint="give --kubeconfig the path of a file")
    known, current = _known_contexts(kubeconfig, named=bool(contexts))
    wanted = list(dict.fromkeys(contexts)) or ([current["name"]] if current else [])
    if not wanted:
        raise UserError("the kubeconfig names no current context", hint="name one with --context")
    by_name = {row["name"]: row for row in known}
    for name in wanted:
        if name not in by_name:
            near = get_close_matches(name, sorted(by_name), n=6, cutoff=0.4)
            more = f" and {len(by_name) - 8} more" if len(by_name) > 8 else ""
            hint = f"did you mean: {', '.join(near)}" if near else f"it has: {', '.join(sorted(by_name)[:8])}{more}"
            raise UserError(f"no context {name!r} in the kubeconfig", hint=hint)
    names = _cluster_names([by_name[name] for name in wanted])
    deadline = Deadline(seconds)
    found = []
    for number, name in enumerate(wanted):
        part = deadline.remaining / (len(wanted) - number)
        spaces = _namespaces(by_name[name], known)
        found.append(_from_kubeconfig(by_name[name], names[name], spaces, kubeconfig, seconds=part))
    broken = [one.broken for one in found if one.broken]
    if len(broken) == len(found):
        raise broken[0]
    return found


def short_name(cluster: str) -> str:
    """Return a cluster's own name: the last part of an EKS ARN, of GKE's `gke_project_zone_name`, or the whole."""
    if cluster.startswith("arn:"):
        return cluster.rpartition("/")[2] or cluster
    match = re.fullmatch(r"gke_[^_]+_[^_]+_(.+)", cluster)
    return match[1] if match else cluster


def _namespaces(row: dict[str, Any], known: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return the namespaces that a kubeconfig names for a context's cluster, its own (as kubectl takes it) first."""
    own, others = row.get("context", {}), [other.get("context", {}) for other in known]
    named = [one.get("namespace") for one in others if one.get("cluster") == own.get("cluster")]
    return tuple(dict.fromkeys([own.get("namespace") or DEFAULT_NAMESPACE, *(str(name) for name in named if name)]))


def _from_kubeconfig(
    row: dict[str, Any], name: str, namespaces: tuple[str, ...], kubeconfig: Path | None, *, seconds: float
) -> Connection:
    def load() -> Any:
        return _kubeconfig_client(row["name"], kubeconfig)

    try:
        return _connection(row["name"], name, namespaces, load, seconds=seconds)
    except UserError as error:
        return Connection(row["name"], name, "", namespaces, client=None, broken=error)


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
            raise UserError(f"context {context!r} cannot be used: {_line(error)}", hint=_EXPIRED) from error
    if said and not settings.api_key and not settings.cert_file:
        raise UserError(f"context {context!r} gives no credentials: {said[0]}", hint=_EXPIRED)
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
    namespaces = (namespace or DEFAULT_NAMESPACE,)
    return _connection("in-cluster", "in-cluster", namespaces, _service_account_client, seconds=PATIENCE_SECONDS)


def _service_account_client() -> Any:
    from kubernetes import client, config

    settings = client.Configuration()
    settings.retries = False
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        raise UserError(f"the service account cannot be used: {_line(error)}", hint="mount its token") from error
    return _client(settings, "in-cluster")


def _connection(
    context: str, cluster: str, namespaces: tuple[str, ...], load: Callable[[], Any], *, seconds: float
) -> Connection:
    api_client = within(seconds, load, context=context)
    url = urlsplit(str(api_client.configuration.host))
    return Connection(
        context=context,
        cluster=cluster,
        server=url.netloc.rpartition("@")[2],
        namespaces=namespaces,
        client=api_client,
        reload=load,
    )


def _known_contexts(kubeconfig: Path | None, *, named: bool) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return the contexts of the kubeconfig and the current one, which need not be one of them where some are named."""
    from kubernetes import config

    if named and (rows := _rows_of_contexts(kubeconfig)):
        return rows, None
    try:
        found, current = config.list_kube_config_contexts(  # type: ignore[no-untyped-call]
            config_file=str(kubeconfig) if kubeconfig else None
        )
    except Exception as error:  # whatever a broken file makes the client raise
        if kubeconfig is None and not _has_kubeconfig():
            raise UserError(
                "nothing to read: there is no kubeconfig",
                hint="set KUBECONFIG or --kubeconfig, audit files with --input PATH or this host's GPUs with --nvml, "
                "or try: gpuaudit demo",
            ) from error
        told = _line(error) if isinstance(error, config.ConfigException) else "it is not YAML of contexts and clusters"
        raise UserError(f"the kubeconfig cannot be used: {told}", hint="check it with: kubectl config view") from error
    return found, current


def _rows_of_contexts(kubeconfig: Path | None) -> list[dict[str, Any]]:
    """Return the contexts of a kubeconfig whatever its current one is; none when it is no kubeconfig."""
    from kubernetes.config import kube_config

    paths = str(kubeconfig or kube_config.KUBE_CONFIG_DEFAULT_LOCATION)
    try:
        rows = kube_config.KubeConfigMerger(paths).config["contexts"].value  # type: ignore[no-untyped-call]
    except Exception:  # whatever a broken file makes the client raise: the other way tells what is wrong
        return []
    plain = [getattr(row, "value", row) for row in rows]
    found = [row for row in plain if isinstance(row, dict) and isinstance(row.get("context"), dict)]
    return found if found and all(isinstance(row.get("name"), str) for row in found) else []


def _cluster_names(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the cluster name of each context, by context; names that two share become the contexts'.

    A context's name may be another cluster's, so this goes on until no name is shared: at the latest when all are
    contexts, whose names differ.
    """
    names = {row["name"]: short_name(str(row.get("context", {}).get("cluster") or row["name"])) for row in rows}
    while twice := {name for name, count in Counter(names.values()).items() if count > 1}:
        names = {context: context if name in twice else name for context, name in names.items()}
    return names


def _in_cluster() -> bool:
    return (SERVICE_ACCOUNT / "token").is_file()


def _has_kubeconfig() -> bool:
    from kubernetes.config import kube_config

    paths = str(kube_config.KUBE_CONFIG_DEFAULT_LOCATION).split(kube_config.ENV_KUBECONFIG_PATH_SEPARATOR)
    return any(Path(path).expanduser().is_file() for path in paths if path)


@contextmanager
def _errors_of_the_client() -> Iterator[list[str]]:
    """Collect what the client only logs: a credential plugin that fails is no exception there."""
    said: list[str] = []

    class _Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(_line(record.getMessage()))

    root, listener = logging.getLogger(), _Listener(level=logging.ERROR)
    root.addHandler(listener)
    try:
        yield said
    finally:
        root.removeHandler(listener)


def _line(error: object) -> str:
    return " ".join(str(error).split())[:200]
