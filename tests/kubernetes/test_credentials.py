"""Who asks: kubeconfigs, tokens, plugins, keys, and what happens when they fail."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gpuaudit.collect.live import collect_live
from gpuaudit.config import Config
from gpuaudit.errors import UserError
from tests.kubernetes.broken_answers import drop, slow
from tests.kubernetes.reading import NOW, PODS, live, mount, run, the_source
from tests.kubernetes.replay import Answer, Fault, Handler, Replay, status
from tests.kubernetes.test_lab import check_nodes

pytestmark = pytest.mark.usefixtures("impatient")


def test_a_wrong_token(api: Replay) -> None:
    with pytest.raises(UserError) as caught:
        live(api, "nobody")
    assert "401" in caught.value.message
    assert "log in" in caught.value.hint
    assert len(api.asked) <= 3  # nobody hammers a server that has said no


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


def test_a_token_that_expires_while_several_requests_are_under_way(api: Replay, tmp_path: Path) -> None:
    """All workers are refused with the old token; those that did not renew it ask again with the new one."""
    counter = tmp_path / "calls"
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "t-%s"},
    }
    script = (
        f"echo x >> {counter}\nprintf '%s' '{json.dumps(credential)}' | sed s/%s/$(wc -l < {counter} | tr -d ' ')/\n"
    )
    user = plugin_user(tmp_path / "plugin", script)

    def revoke(path: str, answer: Answer) -> Answer:
        if path.startswith(PODS):
            api.tokens.pop("t-1", None)
        return answer

    api.change = revoke
    for _ in range(3):
        counter.unlink(missing_ok=True)
        api.tokens = {"t-1": "auditor", "t-2": "auditor"}
        found = collect_live(Config(kubeconfig=api.kubeconfig("auditor", **user), now=NOW)).snapshot
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
            "installHint": "Get no-such-login from\nhttps://login.invalid/",
        }
    }
    with pytest.raises(UserError) as caught:
        collect_live(Config(kubeconfig=api.kubeconfig("auditor", **user)))
    assert "no-such-login" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint == (
        "install its credential plugin, or put it in PATH: no-such-login "
        "(Get no-such-login from https://login.invalid/)"
    )


def plugin_user(plugin: Path, script: str) -> dict[str, Any]:
    """A user of a kubeconfig whose credentials a script gives."""
    plugin.write_text(f"#!/bin/sh\n{script}\n")
    plugin.chmod(0o755)
    how = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    return {"exec": how}


def test_a_credential_plugin_that_never_answers_is_not_waited_for(api: Replay, tmp_path: Path) -> None:
    user = plugin_user(tmp_path / "plugin", "exec sleep 60")
    begun = time.monotonic()
    with pytest.raises(UserError, match="their plugin did not answer in 1 s"):
        collect_live(Config(kubeconfig=api.kubeconfig("auditor", **user), max_time=timedelta(seconds=1)))
    assert time.monotonic() - begun < 50  # the plugin takes 60


def test_a_credential_plugin_that_never_answers_does_not_sink_the_rest(api: Replay, tmp_path: Path) -> None:
    config = json.loads(api.kubeconfig("auditor", "limited").read_text())
    config["users"][1]["user"] = plugin_user(tmp_path / "plugin", "exec sleep 60")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    settings = Config(kubeconfig=path, context=("limited", "auditor"), max_time=timedelta(seconds=30), now=NOW)
    begun = time.monotonic()
    found = collect_live(settings).snapshot
    assert 15 <= time.monotonic() - begun < 55
    assert len(found.nodes) == 35
    assert "did not answer in 15 s" in the_source(found, "kubernetes of limited").detail


def test_a_credential_plugin_that_stops_answering_under_way(api: Replay, tmp_path: Path) -> None:
    """Its first token is out of date at once; asked again, it hangs."""
    counter = tmp_path / "calls"
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "auditor-token", "expirationTimestamp": "2020-01-01T00:00:00Z"},
    }
    script = f"test -e {counter} && exec sleep 60\n: > {counter}\nprintf '%s' '{json.dumps(credential)}'"
    user = plugin_user(tmp_path / "plugin", script)
    begun = time.monotonic()
    with pytest.raises(UserError, match="their plugin did not answer"):
        collect_live(Config(kubeconfig=api.kubeconfig("auditor", **user), max_time=timedelta(seconds=2)))
    assert time.monotonic() - begun < 50


def test_a_token_of_a_service_account_that_is_gone_under_way(
    api: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read until then is kept. The official client reads the file each minute: here each time."""
    from kubernetes.config.incluster_config import InClusterConfigLoader as Loader

    mount(tmp_path, monkeypatch, token="auditor-token", host="127.0.0.1", port="1")
    load = Loader.load_and_set

    def load_for_a_moment(self: Any, settings: Any) -> None:
        self._token_refresh_period = timedelta(0)
        load(self, settings)
        settings.host = self.host = api.url
        settings.ssl_ca_cert = self.ssl_ca_cert = None

    monkeypatch.setattr(Loader, "load_and_set", load_for_a_moment)
    monkeypatch.setattr("gpuaudit.collect.kubernetes.connection.KEEP_SECONDS", 0.0)

    def empty(handler: Handler) -> None:
        (tmp_path / "token").write_text("")
        handler.reply(handler.good())

    api.tokens["bearer auditor-token"] = "auditor"  # as the client writes it here
    api.faults.append(Fault("/api/v1/nodes", act=empty, times=1))
    found = collect_live(Config(now=NOW)).snapshot
    assert len(found.nodes) == 35
    source = the_source(found)
    assert source.status == "partial"
    assert "gives no credentials" in source.detail


def test_credentials_appear_in_no_error(api: Replay) -> None:
    api.faults.append(Fault("/", act=drop))
    with pytest.raises(UserError) as caught:
        live(api)
    assert "auditor-token" not in caught.value.message + caught.value.hint


def test_a_token_with_a_line_end_is_sent_without_it(api: Replay, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("auditor-token\n")
    for user in ({"tokenFile": str(tmp_path / "token")}, {"token": "auditor-token\n"}):
        found = collect_live(Config(kubeconfig=api.kubeconfig("auditor", **user), now=NOW)).snapshot
        assert the_source(found).status == "ok"


@pytest.mark.parametrize("token", ["secret\nX-Injected: 1", "secret-\u20ac", "secret\x00"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(api: Replay, token: str) -> None:
    path = api.kubeconfig("auditor", token=token)
    seen = run("scan", "--kubeconfig", str(path))
    assert seen.returncode == 2
    assert "cannot be sent" in seen.stderr
    assert "secret" not in seen.stderr + seen.stdout
    assert "Traceback" not in seen.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_private_key_does_not_stay_behind(api: Replay, tmp_path: Path) -> None:
    """The client writes it to a file; a plugin that hangs must not keep it from being removed, nor SIGTERM."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    data = {
        "client-key-data": base64.b64encode(key.read_bytes()).decode(),
        "client-certificate-data": base64.b64encode(certificate.read_bytes()).decode(),
        "token": "auditor-token",
    }
    config = json.loads(api.kubeconfig("auditor", "limited", **data).read_text())
    config["users"][1]["user"] = plugin_user(tmp_path / "plugin", "exec sleep 30")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    left = tmp_path / "left"
    left.mkdir()
    order = ("--context", "limited", "--context", "auditor", "--max-time", "8s")
    seen = run("scan", "--kubeconfig", str(path), *order, TMPDIR=str(left))
    assert seen.returncode == 0, seen.stderr
    assert list(left.iterdir()) == []
    api.faults.append(Fault(PODS, act=slow(20)))
    command = [sys.executable, "-m", "gpuaudit", "scan", "--kubeconfig", str(path)]
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(left)}, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 30
        while not list(left.iterdir()) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 143
    assert list(left.iterdir()) == []


def test_a_server_that_repeats_the_token_does_not_get_it_shown(api: Replay) -> None:
    """Gateways quote a request's header when they refuse it; reports and snapshots are passed on."""
    for told in ("denied for header Bearer auditor-token", "bad: auditor-token", "got 'bearer c29tZXRoaW5n'"):
        api.faults = [Fault(PODS, answer=(400, {"Content-Type": "text/plain"}, told.encode()))]
        path = str(api.kubeconfig("auditor"))
        for seen in (run("scan", "-o", "json", KUBECONFIG=path), run("doctor", KUBECONFIG=path)):
            whole = seen.stdout + seen.stderr
            assert "400 " in whole
            assert "auditor-token" not in whole
            assert "c29tZXRoaW5n" not in whole


def test_a_plugin_whose_token_is_about_to_expire_is_not_run_for_each_request(api: Replay, tmp_path: Path) -> None:
    """The official client would: it renews what has less than five minutes left."""
    counter = tmp_path / "calls"
    end = (datetime.now(UTC) + timedelta(minutes=4)).strftime("%Y-%m-%dT%H:%M:%SZ")
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "auditor-token", "expirationTimestamp": end},
    }
    user = plugin_user(tmp_path / "plugin", f"echo x >> {counter}\nprintf '%s' '{json.dumps(credential)}'")
    found = collect_live(Config(kubeconfig=api.kubeconfig("auditor", **user), now=NOW)).snapshot
    check_nodes(found)
    assert counter.read_text().count("x") <= 3
