"""Which clusters a kubeconfig, several, or a service account name, and what is said of broken ones."""

import json
from pathlib import Path

import pytest

from gpuaudit.collect.kubernetes.connection import connections
from gpuaudit.collect.live import collect_live
from gpuaudit.config import Config
from gpuaudit.errors import UserError
from tests.kubernetes.reading import NOW, live, mount, run
from tests.kubernetes.replay import Replay
from tests.kubernetes.test_lab import check_nodes

pytestmark = pytest.mark.usefixtures("impatient")


def test_a_way_to_log_in_that_is_no_more_is_named(api: Replay) -> None:
    """Kubeconfigs written before Kubernetes 1.26 have it."""
    user = {"auth-provider": {"name": "gcp"}}
    with pytest.raises(UserError) as caught:
        collect_live(Config(kubeconfig=api.kubeconfig("auditor", **user)))
    assert "auth-provider gcp" in caught.value.hint
    assert "exec plugin" in caught.value.hint


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


def test_a_service_account_inside_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a kubeconfig, where a token is mounted, the cluster's own API server is read with it."""
    mount(tmp_path, monkeypatch, token="mounted", host="10.0.0.1", port="443")
    try:
        (connection,) = connections((), None)
    except UserError as error:  # the client may look into the certificate at once
        pytest.skip(f"the client wants a real certificate: {error.message}")
    assert (connection.context, connection.server) == ("in-cluster", "10.0.0.1:443")
    assert connection.namespaces == ("audit",)
    assert connection.credentials() == {"authorization": "bearer mounted"}


@pytest.mark.parametrize("context", [None, "x", ["y"]])
def test_a_broken_context_that_is_not_asked_for_does_no_harm(api: Replay, context: object) -> None:
    path = api.kubeconfig("auditor")
    config = json.loads(path.read_text())
    config["contexts"].append({"name": "old", "context": context})
    path.write_text(json.dumps(config))
    check_nodes(collect_live(Config(kubeconfig=path, now=NOW)).snapshot)


def test_a_broken_header_is_refused_though_no_url_is_named(api: Replay) -> None:
    with pytest.raises(UserError, match="K: V"):
        live(api, prometheus_header=("nonsense",))


def test_a_context_is_found_without_a_current_one(api: Replay) -> None:
    config = json.loads(api.kubeconfig("auditor").read_text())
    for current in (None, "deleted"):
        config.pop("current-context", None)
        config |= {"current-context": current} if current else {}
        path = api.folder / "nocurrent.json"
        path.write_text(json.dumps(config))
        check_nodes(collect_live(Config(kubeconfig=path, context=("auditor",), now=NOW)).snapshot)
        with pytest.raises(UserError, match="the kubeconfig names no current context") as caught:
            collect_live(Config(kubeconfig=path))
        assert "--context: it has: auditor" in caught.value.hint


def test_hints_name_the_kubeconfig_that_was_given(api: Replay) -> None:
    path = api.kubeconfig("nobody")
    seen = run("scan", "--kubeconfig", str(path))
    assert f"kubectl --kubeconfig {path} --context nobody get nodes" in seen.stderr


def test_a_certificate_authority_that_is_none_is_named(api: Replay) -> None:
    path = api.kubeconfig("auditor")
    config = json.loads(path.read_text())
    config["clusters"][0]["cluster"] = {"server": "https://127.0.0.1:1", "certificate-authority": "no/such.pem"}
    path.write_text(json.dumps(config))
    with pytest.raises(UserError) as caught:
        collect_live(Config(kubeconfig=path))
    assert caught.value.hint == "its cluster's certificate-authority is no file: no/such.pem"


@pytest.mark.parametrize("text", ["a: [", "", "just words"])
def test_which_of_several_kubeconfigs_is_broken_is_said(api: Replay, text: str) -> None:
    broken = api.folder / "broken.yaml"
    broken.write_text(text)
    seen = run("scan", KUBECONFIG=f"{api.kubeconfig('auditor')}:{broken}")
    assert seen.returncode == 2
    assert f"error: the kubeconfig {broken} cannot be used" in seen.stderr
