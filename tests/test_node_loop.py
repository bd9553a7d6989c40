"""`gpuaudit node --every`: lines until it is told to stop; the ConfigMap that it publishes if asked."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gpuaudit.cluster.node_facts import HostFacts
from gpuaudit.collect.kubernetes.connection import connections
from gpuaudit.collect.kubernetes.publishing import publish
from gpuaudit.collect.node_documents import read_documents
from gpuaudit.errors import UserError
from gpuaudit.report.node_lines import node_lines
from tests.kubernetes.replay import Fault, Handler, replay_server, status

ROOT = Path(__file__).resolve().parents[1]
FACTS = HostFacts(tool_version="1", taken_at=datetime(2026, 11, 20, tzinfo=UTC), host="pod-x", node="gpu-1.internal")
PLACE = {"GPUAUDIT_POD_NAME": "pod-x", "GPUAUDIT_POD_UID": "uid-1", "GPUAUDIT_POD_NAMESPACE": "gpuaudit-probe"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_reads_at_once_and_ends_in_peace(tmp_path: Path, number: int) -> None:
    (tmp_path / "sys/class/net").mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "gpuaudit", "node", "--every", "1h", "--root", str(tmp_path), "--proc", "/proc"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"GPUAUDIT_NODE_NAME": "gpu-1"},
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(number)
    rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (0, "", "")
    (facts,) = read_documents(first.encode(), name="x").facts
    assert (facts.node, facts.fabric.ports) == ("gpu-1", ())
    assert facts.fabric.kernel


@pytest.mark.parametrize(
    "options", [("--every", "1s"), ("--every", "soon"), ("--every", "1h", "-o", "json"), ("--configmap",)]
)
def test_what_would_not_do_is_usage(options: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gpuaudit", "node", *options], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_the_configmap_is_applied_and_owned_by_the_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PLACE.items():
        monkeypatch.setenv(name, value)
    asked: list[tuple[str, str, str, Any]] = []

    def take(handler: Handler) -> None:
        kind = handler.headers["Content-Type"]
        asked.append((handler.command, handler.path, kind, json.loads(handler.body)))
        handler.reply((201, {"Content-Type": "application/json"}, handler.body))

    with replay_server(tmp_path) as api:
        (connection,) = connections((), api.kubeconfig("auditor"))
        api.faults.append(Fault("/api/v1/namespaces/gpuaudit-probe/configmaps", act=take))
        publish(connection, FACTS, node_lines(FACTS))
        api.faults[0] = Fault("/api/v1/namespaces/gpuaudit-probe/configmaps", answer=status(403, "may not"))
        with pytest.raises(UserError, match="403"):
            publish(connection, FACTS, node_lines(FACTS))
    ((method, path, kind, tree),) = asked
    assert (method, kind) == ("PATCH", "application/apply-patch+yaml")
    assert path == (
        "/api/v1/namespaces/gpuaudit-probe/configmaps/gpuaudit-node-gpu-1.internal"
        "?fieldManager=gpuaudit-probe&force=true"
    )
    assert tree["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Pod", "name": "pod-x", "uid": "uid-1"}]
    assert read_documents(tree["data"]["facts"].encode(), name="x").facts == (FACTS,)


def test_outside_the_probes_pod_nothing_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PLACE:
        monkeypatch.delenv(name, raising=False)
    with replay_server(tmp_path) as api:
        (connection,) = connections((), api.kubeconfig("auditor"))
        with pytest.raises(UserError, match="outside"):
            publish(connection, FACTS, node_lines(FACTS))
        assert api.asked == []
