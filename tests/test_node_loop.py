"""`gpuaudit node --every`: lines until it is told to stop; the ConfigMap that it publishes if asked."""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gpuaudit.cluster.node_facts import HostFacts
from gpuaudit.collect.inputs.node_documents import read_documents
from gpuaudit.collect.kubernetes.publishing import Account, own_account, publish
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
        account = Account(api.url, tmp_path)
        (tmp_path / "token").write_text("auditor-token\n")
        api.faults.append(Fault("/api/v1/namespaces/gpuaudit-probe/configmaps", act=take))
        publish(account, FACTS, node_lines(FACTS))
        (tmp_path / "token").write_text("limited-token\n")  # the kubelet renews it
        api.faults[0] = Fault("/api/v1/namespaces/gpuaudit-probe/configmaps", answer=status(403, "may not"))
        with pytest.raises(UserError, match="403"):
            publish(account, FACTS, node_lines(FACTS))
        assert [user for user, _, _ in api.asked] == ["auditor", "limited"]
    with pytest.raises(UserError, match="not reached"):
        publish(account, FACTS, node_lines(FACTS))
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
        with pytest.raises(UserError, match="outside"):
            publish(Account(api.url, tmp_path), FACTS, node_lines(FACTS))
        assert api.asked == []
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(UserError, match="no service account"):
        own_account()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_only_the_clusters_own_certificate_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PLACE.items():
        monkeypatch.setenv(name, value)
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.crt"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    (tmp_path / "token").write_text("auditor-token")
    other = tmp_path / "other"
    other.mkdir()
    (other / "token").write_text("auditor-token")
    with replay_server(tmp_path, certificate=(certificate, key)) as api:
        api.faults.append(Fault("/api/v1/namespaces", act=lambda handler: handler.reply((200, {}, b"{}"))))
        publish(Account(api.url, tmp_path), FACTS, node_lines(FACTS))
        with pytest.raises(UserError, match="certificate"):
            publish(Account(api.url, other), FACTS, node_lines(FACTS))
        assert len(api.asked) == 1
