"""Every fault that a real API server and the way to it can have, through real sockets."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gpuaudit.collect.kubernetes.connection import connections
from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.collect.kubernetes.fetch import Fetcher
from gpuaudit.collect.kubernetes.reading import read_cluster
from gpuaudit.collect.live import collect_live
from gpuaudit.config import Config
from gpuaudit.errors import UserError
from gpuaudit.store import load
from tests.kubernetes.replay import Fault, Handler, Replay, cut, drop, garble, plain, slow, status, trickle
from tests.kubernetes.test_lab import check_nodes
from tests.kubernetes.test_live import live, run, the_source

PODS = "/api/v1/pods"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait milliseconds where a real run waits seconds."""
    monkeypatch.setattr("gpuaudit.collect.kubernetes.fetch.MAX_WAIT_SECONDS", 0.05)
    monkeypatch.setattr("gpuaudit.collect.kubernetes.fetch._pause", lambda attempt: 0.01)


def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuaudit.collect.kubernetes.listing.PAGE", 25)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(PODS, answer=plain(429, "slow down", **{"Retry-After": "1"}), times=2),
        Fault(PODS, answer=plain(429, "slow down", **{"Retry-After": "999999"}), times=1),
        Fault(PODS, answer=status(500, "etcd leader changed"), times=3),
        Fault(PODS, answer=status(503), times=1),
        Fault(PODS, answer=status(504), times=1),
        Fault(PODS, act=drop, times=2),
        Fault(PODS, act=cut, times=2),
        Fault(PODS, act=garble, times=1),
        Fault("/api/v1/", act=drop, times=3),
        Fault("/apis", act=drop, times=1),
        Fault("/version", answer=status(500)),
    ],
    ids=lambda fault: f"{fault.path}-{getattr(fault.act, '__name__', fault.answer and fault.answer[0])}-{fault.times}",
)
def test_what_passes_leaves_no_trace(api: Replay, fault: Fault) -> None:
    api.faults.append(Fault(fault.path, fault.act, fault.answer, fault.times))
    found = live(api)
    check_nodes(found)
    assert the_source(found).status == "ok", the_source(found).detail


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(PODS, answer=plain(429, "Too many requests")), "failed: pods (429 Too many requests)"),
        (Fault(PODS, answer=status(500, "boom")), "failed: pods (500 boom)"),
        (Fault(PODS, act=drop), "failed: pods (the connection broke"),
        (Fault(PODS, act=cut), "failed: pods (the connection broke"),
        (Fault(PODS, act=garble), "failed: pods (the answer is malformed"),
        (Fault(PODS, answer=(302, {"Location": "http://127.0.0.1:1/login"}, b"")), "failed: pods (302"),
        (
            Fault(PODS, answer=(200, {}, b'{"kind":"PodList","items":[{"metadata":7}')),
            "failed: pods (the answer is malformed",
        ),
        (Fault(PODS, answer=(200, {"Content-Encoding": "gzip"}, b"no gzip")), "failed: pods (the connection broke"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_stays_is_said_and_nothing_is_concluded_from_missing_pods(api: Replay, fault: Fault, words: str) -> None:
    """Without all pods every node looks empty: the fact is missing, so no rule may say so."""
    api.faults.append(Fault(fault.path, fault.act, fault.answer))
    found = live(api)
    source = the_source(found)
    assert source.status == "partial"
    assert words in source.detail
    assert "pods" not in source.provides
    assert "nodes" in source.provides
    assert all(node.pods_bound is None for node in found.nodes)
    assert sum("/api/v1/pods?limit=" in target for _, _, target in api.asked) <= 8  # tries are bounded


@pytest.mark.parametrize(
    ("path", "missing"),
    [("/api/v1/nodes", "nodes"), ("/api/v1/events", "events"), ("/apis/apps/v1/deployments", "workloads")],
)
def test_each_kind_may_be_forbidden_on_its_own(api: Replay, path: str, missing: str) -> None:
    root, _, plural = path.rpartition("/")
    api.faults += [Fault(f"{root}/namespaces/", answer=status(403)), Fault(path, answer=status(403, "forbidden"))]
    found = live(api)
    assert missing not in the_source(found).provides
    assert f"not allowed: {plural}" in the_source(found).detail
    assert found.pods
    assert found.clusters[0].listed == (missing != "nodes")


def test_a_list_that_expires_under_way_goes_on_from_the_servers_token(
    api: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pages(monkeypatch)
    gone = status(410, "the provided continue parameter is too old", **{"continue": "75"})
    api.faults.append(Fault(PODS, answer=gone, times=1, after=3))
    found = live(api)
    check_nodes(found)
    assert the_source(found).status == "ok"
    assert "pods went on after its version expired" in the_source(found).detail


def test_a_list_that_expires_without_a_token_starts_over_and_counts_no_pod_twice(
    api: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pages(monkeypatch)
    api.faults.append(Fault(PODS, answer=status(410, "expired"), times=1, after=3))
    found = live(api)
    check_nodes(found)
    assert "pods started over" in the_source(found).detail
    assert len({pod.key for pod in found.pods}) == len(found.pods)


def test_a_list_that_always_expires_ends(api: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pages(monkeypatch)
    api.faults.append(Fault(PODS, answer=status(410, "expired"), after=1))
    found = live(api)
    assert "pods" not in the_source(found).provides
    assert "partly read: pods (410 expired)" in the_source(found).detail


def test_a_broken_page_in_the_middle_makes_the_kind_incomplete(api: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pages(monkeypatch)
    api.faults.append(Fault(PODS, answer=status(500, "boom"), after=2))
    found = live(api)
    assert "partly read: pods (500 boom)" in the_source(found).detail
    assert "pods" not in the_source(found).provides


def test_broken_objects_are_named_and_the_rest_is_used(api: Replay) -> None:
    def change(path: str, answer: Any) -> Any:
        if not path.startswith(PODS):
            return answer
        body = json.loads(answer[2])
        body["items"][5]["spec"] = "hostile"
        return answer[0], answer[1], json.dumps(body).encode()

    api.change = change
    found = live(api)
    assert "1 objects could not be read: Pod/" in the_source(found).detail
    assert the_source(found).status == "partial"
    assert len(found.nodes) == 35


def test_credentials_that_expire_under_way_are_renewed_once(api: Replay, tmp_path: Path) -> None:
    """A credential plugin gives a token that the server soon refuses, then a new one."""
    plugin = tmp_path / "plugin"
    counter = tmp_path / "calls"
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "t-%s"},
    }
    plugin.write_text(
        f"#!/bin/sh\necho x >> {counter}\n"
        f"printf '%s' '{json.dumps(credential)}' | sed s/%s/$(wc -l < {counter} | tr -d ' ')/\n"
    )
    plugin.chmod(0o755)
    api.tokens = {"t-1": "auditor", "t-2": "auditor"}
    api.faults.append(Fault("/apis/apps", answer=status(401, "Unauthorized"), times=1))
    user = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    }
    found = collect_live(Config(kubeconfig=api.kubeconfig("auditor", **user))).snapshot
    assert the_source(found).status == "ok", the_source(found).detail
    assert counter.read_text().count("x") == 2


def test_credentials_that_are_gone_for_good_leave_what_was_read(api: Replay) -> None:
    api.faults.append(Fault("/apis/apps", answer=status(401, "Unauthorized")))
    found = live(api)
    assert the_source(found).status == "partial"
    assert "401 " in the_source(found).detail
    assert len(found.nodes) == 35


def test_a_credential_plugin_that_fails_is_named(api: Replay) -> None:
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "no-such-login",
            "interactiveMode": "Never",
        }
    }
    with pytest.raises(UserError) as caught:
        collect_live(Config(kubeconfig=api.kubeconfig("auditor", **user)))
    assert "no-such-login" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "kind: Config",
        "a: &x [*x]",
        "\x00",
        "contexts: [1]\ncurrent-context: x",
        "not one",
        "[1, 2]",
        "a: b: c",
    ],
)
def test_kubeconfigs_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(UserError, match=r"^the kubeconfig ") as caught:
        collect_live(Config(kubeconfig=path))
    assert "object" not in caught.value.message  # as Python says of its own


def test_no_server_there(tmp_path: Path, api: Replay) -> None:
    config = json.loads(api.kubeconfig("auditor").read_text())
    config["clusters"][0]["cluster"]["server"] = "http://no-such-host.invalid:6443"
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    started = time.monotonic()
    with pytest.raises(UserError) as caught:
        collect_live(Config(kubeconfig=path))
    assert "no-such-host.invalid" in caught.value.message
    assert time.monotonic() - started < 30


def test_tls_that_does_not_fit(tmp_path: Path, api: Replay) -> None:
    config = json.loads(api.kubeconfig("auditor").read_text())
    config["clusters"][0]["cluster"]["server"] = api.url.replace("http", "https")
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    with pytest.raises(UserError) as caught:
        collect_live(Config(kubeconfig=path))
    assert "TLS" in caught.value.message or "connection" in caught.value.message


def test_rights_in_every_namespace_are_rights_in_the_cluster(api: Replay) -> None:
    api.faults.append(Fault(f"{PODS}?", answer=status(403, "pods is forbidden at the cluster scope")))
    found = live(api)
    check_nodes(found)
    assert the_source(found).status == "ok"
    assert "pods were listed namespace by namespace" in the_source(found).detail


@pytest.mark.parametrize("act", [slow(30), trickle(30)], ids=["silent", "trickling"])
def test_time_that_is_over_gives_what_was_read(api: Replay, act: Any) -> None:
    api.faults.append(Fault(PODS, act=act))
    started = time.monotonic()
    found = live(api, max_time=timedelta(seconds=2))
    assert time.monotonic() - started < 10
    source = the_source(found)
    assert source.status == "partial"
    assert "the time was over (--max-time)" in source.detail
    assert "pods" not in source.provides
    assert len(found.nodes) == 35


def test_no_time_at_all(api: Replay) -> None:
    api.faults.append(Fault("/api", act=slow(30)))
    with pytest.raises(UserError) as caught:
        live(api, max_time=timedelta(seconds=1))
    assert "time" in caught.value.message


def test_a_slow_server_is_waited_for(api: Replay) -> None:
    api.faults.append(Fault(PODS, act=slow(1.0)))
    check_nodes(live(api))


def test_a_silent_server_is_not_waited_for_longer_than_a_read_may_take(api: Replay) -> None:
    api.faults.append(Fault("/version", act=slow(30)))
    (connection,) = connections((), api.kubeconfig("auditor"))
    fetcher = Fetcher(connection, Deadline(60), read_seconds=0.2)
    started = time.monotonic()
    with pytest.raises(Exception, match="too slow"):
        fetcher.get("/version")
    assert time.monotonic() - started < 5


def test_answers_without_end_are_cut_off(api: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuaudit.collect.kubernetes.fetch.MAX_BODY_BYTES", 300_000)
    found = live(api)  # all pods on one page are 900 kB: they are asked for in smaller pages
    check_nodes(found)
    assert any("limit=20" in target for _, _, target in api.asked)

    def flood(handler: Handler) -> None:
        handler.reply((200, {}, b'{"items":[' + b" " * 400_000))

    api.faults.append(Fault(PODS, act=flood))
    assert "larger than" in the_source(live(api)).detail


def test_the_servers_wish_to_wait_is_bounded(api: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own retries would sleep as long as a server says, silently."""
    monkeypatch.setattr("gpuaudit.collect.kubernetes.fetch.MAX_WAIT_SECONDS", 20.0)
    (connection,) = connections((), api.kubeconfig("auditor"))
    api.faults.append(Fault("/version", answer=plain(429, "later", **{"Retry-After": "3600"})))
    started = time.monotonic()
    with pytest.raises(Exception, match=r"time|429"):
        Fetcher(connection, Deadline(1.0)).get("/version")
    assert time.monotonic() - started < 3


def test_a_redirect_is_not_followed_with_the_token(api: Replay) -> None:
    api.faults.append(Fault(PODS, answer=(307, {"Location": f"{api.url}/stolen"}, b"")))
    live(api)
    assert "/stolen" not in api.paths()


# What a shell starts in the background ignores Ctrl-C, and so does all that it starts: these tests as well.
INTERRUPTIBLE = (
    sys.executable,
    "-c",
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('gpuaudit', run_name='__main__', alter_sys=True)",
)


def test_interrupted_keeps_what_was_collected(api: Replay, tmp_path: Path) -> None:
    """Ctrl-C while pods are being read."""
    api.faults.append(Fault(PODS, act=slow(30)))
    kept = tmp_path / "kept.gpuaudit"
    command = [*INTERRUPTIBLE, "collect", "--kubeconfig", str(api.kubeconfig("auditor")), "-o", str(kept)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(300):
        if PODS in api.paths():
            break
        time.sleep(0.1)
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert "what was collected is kept" in errors
    assert "Traceback" not in errors
    snapshot = load(kept)
    assert len(snapshot.nodes) == 35
    assert "stopped by hand" in the_source(snapshot).detail
    assert "pods" not in the_source(snapshot).provides


def test_an_interrupted_scan_keeps_it_in_the_cache(api: Replay, tmp_path: Path) -> None:
    api.faults.append(Fault(PODS, act=slow(30)))
    environment = {**os.environ, "KUBECONFIG": str(api.kubeconfig("auditor")), "XDG_CACHE_HOME": str(tmp_path)}
    process = subprocess.Popen([*INTERRUPTIBLE, "scan"], stderr=subprocess.PIPE, text=True, env=environment)
    while PODS not in api.paths():
        time.sleep(0.1)
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert str(tmp_path / "gpuaudit" / "interrupted.gpuaudit") in errors
    assert len(load(tmp_path / "gpuaudit" / "interrupted.gpuaudit").nodes) == 35


def test_nothing_readable_is_one_error_line_and_one_hint(api: Replay) -> None:
    done = run("scan", KUBECONFIG=str(api.kubeconfig("nobody")))
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


def test_progress_is_on_stderr_only_and_can_be_silenced(api: Replay) -> None:
    done = run("scan", "-o", "json", "--no-progress", KUBECONFIG=str(api.kubeconfig("auditor")))
    assert json.loads(done.stdout)["cluster"]["gpus"] == 185
    assert done.stderr == ""


def test_credentials_appear_in_no_error(api: Replay) -> None:
    api.faults.append(Fault("/", act=drop))
    with pytest.raises(UserError) as caught:
        live(api)
    assert "auditor-token" not in caught.value.message + caught.value.hint


def test_pages_wait_in_bounded_number(api: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetching runs ahead of decoding by a few pages, not by the whole cluster."""
    monkeypatch.setattr("gpuaudit.collect.kubernetes.listing.PAGE", 5)
    (connection,) = connections((), api.kubeconfig("auditor"))
    ahead: list[int] = []

    def progress(_: str) -> None:
        """Decode slowly: the fetchers have all the time to run ahead."""
        time.sleep(0.01)
        ahead.append(len(api.asked) - len(ahead) - 1)

    read_cluster(connection, Deadline(60), progress=progress)
    assert len(ahead) > 100
    assert max(ahead) <= 15  # discovery, workers, pages that wait
