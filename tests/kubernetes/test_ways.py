"""The way to an API server: addresses, TLS, proxies, redirects."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from gpuaudit.collect.live import collect_live
from gpuaudit.config import Config
from gpuaudit.errors import UserError
from tests.kubernetes.reading import NOW, PODS, live, run
from tests.kubernetes.replay import Fault, Replay, replay_server
from tests.kubernetes.test_lab import check_nodes

pytestmark = pytest.mark.usefixtures("impatient")


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


def test_a_server_without_tls(tmp_path: Path, api: Replay) -> None:
    config = json.loads(api.kubeconfig("auditor").read_text())
    config["clusters"][0]["cluster"]["server"] = api.url.replace("http", "https")
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    with pytest.raises(UserError) as caught:
        collect_live(Config(kubeconfig=path))
    assert "answers without TLS (http, not https)" in caught.value.message
    assert "http or https" in caught.value.hint


def test_a_proxy_of_the_kubeconfig_is_used(api: Replay) -> None:
    """The cluster's own name leads nowhere: the proxy must have carried the requests."""
    config = json.loads(api.kubeconfig("auditor").read_text())
    config["clusters"][0]["cluster"] = {"server": "http://api.cluster.invalid", "proxy-url": api.url}
    path = api.folder / "proxied.json"
    path.write_text(json.dumps(config))
    found = collect_live(Config(kubeconfig=path, now=NOW)).snapshot
    check_nodes(found)
    assert found.clusters[0].server == "api.cluster.invalid"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_authority_of_the_kubeconfig_is_trusted_and_no_other(api: Replay, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    with replay_server(tmp_path, certificate=(certificate, key)) as secured:
        config = json.loads(secured.kubeconfig("auditor").read_text())
        config["clusters"][0]["cluster"]["certificate-authority"] = str(certificate)
        path = tmp_path / "trusting.json"
        path.write_text(json.dumps(config))
        check_nodes(collect_live(Config(kubeconfig=path, now=NOW)).snapshot)
        with pytest.raises(UserError) as caught:
            live(secured)
        assert "TLS" in caught.value.message
        assert "certificate-authority" in caught.value.hint
        config["clusters"][0]["cluster"] = {"server": secured.url, "insecure-skip-tls-verify": True}
        path.write_text(json.dumps(config))
        seen = run("scan", "--kubeconfig", str(path), "--quiet", "-o", "json")
        assert (seen.returncode, seen.stderr) == (0, "")
        assert "whose certificate is not checked" in seen.stdout
        assert secured.url.startswith("https://")


def test_a_redirect_is_not_followed_with_the_token(api: Replay) -> None:
    api.faults.append(Fault(PODS, answer=(307, {"Location": f"{api.url}/stolen"}, b"")))
    live(api)
    assert "/stolen" not in api.paths()


@pytest.mark.parametrize("proxy", ["nonsense", "ftp://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_an_error_of_one_line(api: Replay, proxy: str) -> None:
    config = json.loads(api.kubeconfig("auditor").read_text())
    config["clusters"][0]["cluster"]["proxy-url"] = proxy
    path = api.folder / "proxied.json"
    path.write_text(json.dumps(config))
    seen = run("scan", "--kubeconfig", str(path))
    assert seen.returncode == 2
    assert len(seen.stderr.splitlines()) == 2, seen.stderr
    assert seen.stderr.startswith("error: ")
