"""What a kubeconfig says of its contexts: which there are, what clusters they mean, which namespaces they name."""

import base64
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gpuaudit.errors import UserError, near_hint

DEFAULT_NAMESPACE = "default"  # of a context without one
_LOG_IN = "log in again, or check the user of this context in the kubeconfig"


class Context(NamedTuple):
    """A context. `cluster` is unique among those that are read together, `own_name` is what the cluster is called.

    `namespaces` are to be tried by whoever may not list the whole cluster, the context's own first.
    """

    name: str
    cluster: str
    own_name: str
    namespaces: tuple[str, ...]


def wanted_contexts(contexts: Sequence[str], kubeconfig: Path | None) -> list[Context]:
    """Return the contexts of these names, the current one if none is named.

    UserError when the kubeconfig cannot be used, names no current context, or has none of a name.
    """
    if kubeconfig is not None and kubeconfig.is_dir():
        raise UserError(f"{kubeconfig} is a folder, no kubeconfig", hint="give --kubeconfig the path of a file")
    if kubeconfig is not None and not kubeconfig.is_file():
        raise UserError(f"there is no kubeconfig {kubeconfig}", hint="give --kubeconfig the path of a file")
    known, current = _known_contexts(kubeconfig, named=bool(contexts))
    wanted = list(dict.fromkeys(contexts)) or ([current["name"]] if current else [])
    if not wanted:
        raise UserError("the kubeconfig names no current context", hint="name one with --context")
    by_name = {row["name"]: row for row in known}
    for name in wanted:
        if name not in by_name:
            raise UserError(f"no context {name!r} in the kubeconfig", hint=near_hint(name, by_name))
    chosen = [by_name[name] for name in wanted]
    own_names = {row["name"]: short_name(str(row.get("context", {}).get("cluster") or row["name"])) for row in chosen}
    names = _unique(own_names)
    return [Context(row["name"], names[row["name"]], own_names[row["name"]], _namespaces(row, known)) for row in chosen]


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
        if kubeconfig is None and not has_kubeconfig():
            raise UserError(
                "nothing to read: there is no kubeconfig",
                hint="set KUBECONFIG or --kubeconfig, audit files with --input PATH or this host's GPUs with --nvml, "
                "or try: gpuaudit demo",
            ) from error
        told = (
            one_line(error) if isinstance(error, config.ConfigException) else "it is not YAML of contexts and clusters"
        )
        if names := [str(row.get("name")) for row in _rows(kubeconfig, "context")]:
            message = "the kubeconfig names no current context that it has"
            raise UserError(message, hint=f"name one with --context: {near_hint('', names)}") from error
        broken = _broken_file() if kubeconfig is None else ""
        raise UserError(
            f"the kubeconfig{broken} cannot be used: {told}", hint="check it with: kubectl config view"
        ) from error
    return [row for row in found if isinstance(row.get("context"), dict)], current


def _broken_file() -> str:
    """Return which of several files of KUBECONFIG is no kubeconfig; "" where there is one, or all are."""
    import yaml
    from kubernetes.config import kube_config

    paths = str(kube_config.KUBE_CONFIG_DEFAULT_LOCATION).split(kube_config.ENV_KUBECONFIG_PATH_SEPARATOR)
    files = [path for path in (Path(one).expanduser() for one in paths if one) if path.is_file()]
    for path in files if len(files) > 1 else ():
        try:
            if isinstance(yaml.safe_load(path.read_bytes()), dict):
                continue
        except (OSError, ValueError, yaml.YAMLError):
            pass
        return f" {path}"
    return ""


def _rows_of_contexts(kubeconfig: Path | None) -> list[dict[str, Any]]:
    """Return the contexts of a kubeconfig whatever its current one is; none when it is no kubeconfig."""
    found = _rows(kubeconfig, "context")
    return found if all(isinstance(row.get("name"), str) for row in found) else []


def _rows(kubeconfig: Path | None, kind: str) -> list[dict[str, Any]]:
    """Return the contexts or users of a kubeconfig; none when it is no kubeconfig."""
    from kubernetes.config import kube_config

    paths = str(kubeconfig or kube_config.KUBE_CONFIG_DEFAULT_LOCATION)
    try:
        rows = kube_config.KubeConfigMerger(paths).config[f"{kind}s"].value  # type: ignore[no-untyped-call]
    except Exception:  # whatever a broken file makes the client raise: who asks tells what is wrong in another way
        return []
    plain = [getattr(row, "value", row) for row in rows]
    return [row for row in plain if isinstance(row, dict) and isinstance(row.get(kind), dict)]


def credentials_hint(context: str, kubeconfig: Path | None) -> str:
    """Return what to do where a context gives no credentials: install its plugin, replace an old way, or log in."""
    own: dict[str, Any] = next(
        (row["context"] for row in _rows(kubeconfig, "context") if row.get("name") == context), {}
    )
    asks = own.get("user")
    clusters = {row.get("name"): row["cluster"] for row in _rows(kubeconfig, "cluster")}
    if problem := _authority_problem(clusters.get(own.get("cluster"), {}), kubeconfig):
        return problem
    user: dict[str, Any] = next((row["user"] for row in _rows(kubeconfig, "user") if row.get("name") == asks), {})
    plugin, provider = user.get("exec"), user.get("auth-provider")
    command = str(plugin.get("command") or "") if isinstance(plugin, dict) else ""
    if (
        isinstance(plugin, dict)
        and shutil.which(command) is None
        and (Path(command).is_absolute() or "/" not in command)
    ):
        told = one_line(plugin.get("installHint") or "")
        return f"install its credential plugin, or put it in PATH: {command}" + (f" ({told})" if told else "")
    if isinstance(provider, dict):
        name = one_line(provider.get("name", ""))
        return f"auth-provider {name} is of old: have your provider's tool write this context anew, with an exec plugin"
    return _LOG_IN


def _authority_problem(cluster: Mapping[str, Any], kubeconfig: Path | None) -> str:
    """Return what is wrong with a cluster's certificate authority, "" where that is not seen."""
    path, data = cluster.get("certificate-authority"), cluster.get("certificate-authority-data")
    if data:
        try:
            text = base64.standard_b64decode(str(data))
        except ValueError:
            text = b""
        return "" if b"BEGIN" in text else "its cluster's certificate-authority-data is no certificate in base64"
    file = Path(str(path)) if kubeconfig is None else kubeconfig.parent / str(path)
    if path and file.is_absolute() and not file.is_file():  # where a relative one leads, the client knows
        return f"its cluster's certificate-authority is no file: {one_line(path)}"
    return ""


def _unique(own_names: Mapping[str, str]) -> dict[str, str]:
    """Return a name for the cluster of each context, by context; names that two share become the contexts'.

    A context's name may be another cluster's, so this goes on until no name is shared: at the latest when all are
    contexts, whose names differ.
    """
    names = dict(own_names)
    while twice := {name for name, count in Counter(names.values()).items() if count > 1}:
        names = {context: context if name in twice else name for context, name in names.items()}
    return names


def has_kubeconfig() -> bool:
    """Whether a kubeconfig is where the client looks for one."""
    from kubernetes.config import kube_config

    paths = str(kube_config.KUBE_CONFIG_DEFAULT_LOCATION).split(kube_config.ENV_KUBECONFIG_PATH_SEPARATOR)
    return any(Path(path).expanduser().is_file() for path in paths if path)


def one_line(error: object) -> str:
    """Return an error as a bounded line."""
    return " ".join(str(error).split())[:200]
