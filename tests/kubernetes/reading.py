"""A live cluster read through the official client, and the command line run against it."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gpuaudit.cluster.platform import Source
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.inputs.files import collect_files
from gpuaudit.collect.live import collect_live
from gpuaudit.config import Config
from tests.kubernetes.replay import Replay, capture, names

NOW = datetime(2026, 11, 23, 16, 46, 13, tzinfo=UTC)
PODS = "/api/v1/pods"


def live(api: Replay, *users: str, **settings: Any) -> Snapshot:
    """The snapshot as these users see the cluster."""
    namespace = settings.pop("context_namespace", "")
    path = api.kubeconfig(*(users or ("auditor",)), namespace=namespace)
    return collect_live(Config(kubeconfig=path, context=users, now=NOW, **settings)).snapshot


def the_source(snapshot: Snapshot, name: str = "kubernetes") -> Source:
    return next(source for source in snapshot.sources if source.name == name)


def dump(folder: Path) -> Snapshot:
    """The same cluster from what kubectl printed."""
    for name in names("dump/"):
        (folder / Path(name).name).write_bytes(capture(name))
    return collect_files([str(folder)], now=NOW, window=Config().window, cluster_name="lab")


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The command line, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "gpuaudit", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "KUBECONFIG": "/nonexistent", **env},
    )


def right_of(path: str) -> tuple[str, str, str]:
    """The group, resource and verb that a request needs, as the API server asks for them."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    if len(rest) >= 3:
        return group, f"{rest[0]}/{rest[2]}", "get"
    return group, rest[0], "list" if len(rest) == 1 else "get"


def mount(folder: Path, monkeypatch: pytest.MonkeyPatch, *, token: str, host: str, port: str) -> None:
    """Have the process find a service account as in a pod, and no kubeconfig."""
    for name, text in {"token": token, "namespace": "audit", "ca.crt": "x"}.items():
        (folder / name).write_text(text)
    monkeypatch.setattr("gpuaudit.collect.kubernetes.connection.SERVICE_ACCOUNT", folder)
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME", str(folder / "token"))
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_CERT_FILENAME", str(folder / "ca.crt"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(folder / "none"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
