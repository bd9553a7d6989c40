"""Several contexts in one report: one that fails does not sink the rest."""

import json
from pathlib import Path

import pytest

from gpuaudit.collect.kubernetes.connection import connections
from gpuaudit.collect.live import collect_live
from gpuaudit.config import Config
from gpuaudit.errors import UserError
from tests.kubernetes.reading import NOW, run, the_source
from tests.kubernetes.replay import Fault, Replay, replay_server, status
from tests.kubernetes.test_lab import check_nodes


def test_one_failing_cluster_does_not_sink_the_rest(api: Replay) -> None:
    config = json.loads(api.kubeconfig("auditor").read_text())
    config["clusters"].append({"name": "gone", "cluster": {"server": "http://127.0.0.1:1"}})
    config["contexts"].append({"name": "gone", "context": {"cluster": "gone", "user": "auditor"}})
    path = api.folder / "fleet.json"
    path.write_text(json.dumps(config))
    found = collect_live(Config(kubeconfig=path, context=("gone", "auditor"), now=NOW)).snapshot
    assert [cluster.name for cluster in found.clusters] == ["lab"]
    assert the_source(found, "kubernetes of gone").status == "failed"
    assert "no connection" in the_source(found, "kubernetes of gone").detail
    assert the_source(found, "kubernetes of lab").status == "ok"
    check_nodes(found)


def test_one_context_without_credentials_does_not_sink_the_rest(api: Replay) -> None:
    """A login that has run out for one cluster is the usual case."""
    config = json.loads(api.kubeconfig("auditor").read_text())
    login = {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-login", "interactiveMode": "Never"}
    config["users"].append({"name": "out", "user": {"exec": login}})
    config["clusters"].append({"name": "other", "cluster": {"server": api.url}})
    config["contexts"].append({"name": "out", "context": {"cluster": "other", "user": "out"}})
    path = api.folder / "out.json"
    path.write_text(json.dumps(config))
    found = collect_live(Config(kubeconfig=path, context=("out", "auditor"), now=NOW)).snapshot
    assert [cluster.name for cluster in found.clusters] == ["lab"]
    told = the_source(found, "kubernetes of other")
    assert told.status == "failed"
    assert told.detail.startswith("context out; context 'out' gives no credentials")
    check_nodes(found)
    seen = run("doctor", "--context", "out", "--context", "auditor", KUBECONFIG=str(path))
    assert seen.returncode == 0
    assert "cannot be read: context 'out' gives no credentials" in seen.stdout


def test_two_contexts_of_one_cluster_count_once(api: Replay) -> None:
    config = json.loads(api.kubeconfig("auditor").read_text())
    config["contexts"].append({"name": "again", "context": {"cluster": "lab", "user": "auditor"}})
    path = api.folder / "twice.json"
    path.write_text(json.dumps(config))
    found = collect_live(Config(kubeconfig=path, context=("auditor", "again"), now=NOW)).snapshot
    assert len(found.nodes) == 35
    assert any("the same cluster" in source.detail for source in found.sources)


@pytest.mark.parametrize(
    ("contexts", "expected"),
    [
        ({"a": "east", "b": "west"}, ["east", "west"]),
        ({"a": "east", "b": "east"}, ["a", "b"]),
        ({"prod": "east", "other": "east", "third": "prod"}, ["prod", "other", "third"]),
        ({"b": "a", "a": "c", "c": "c"}, ["b", "a", "c"]),
        ({"a": "arn:aws:eks:eu-west-1:1:cluster/ml", "b": "gke_p_eu_ml"}, ["a", "b"]),
    ],
)
def test_no_two_clusters_of_a_fleet_share_a_name(contexts: dict[str, str], expected: list[str], tmp_path: Path) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": f"http://h{number}"}} for number, name in enumerate(contexts.values())
        ],
        "contexts": [{"name": name, "context": {"cluster": at, "user": "u"}} for name, at in contexts.items()],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "current-context": next(iter(contexts)),
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    assert [one.cluster for one in connections(tuple(contexts), path)] == expected


def test_beside_others_a_cluster_without_its_pods_shows_no_free_nodes(api: Replay, tmp_path: Path) -> None:
    with replay_server(tmp_path / ".") as other:
        other.faults.append(Fault("/api/v1/pods", answer=status(500, "boom")))
        other.change = lambda path, answer: (answer[0], answer[1], answer[2].replace(b"ffbfe193", b"aaaaaaaa"))
        config = json.loads(api.kubeconfig("auditor").read_text())
        config["clusters"].append({"name": "ill", "cluster": {"server": other.url}})
        config["contexts"].append({"name": "ill", "context": {"cluster": "ill", "user": "auditor"}})
        path = tmp_path / "fleet.json"
        path.write_text(json.dumps(config))
        found = collect_live(Config(kubeconfig=path, context=("auditor", "ill"), now=NOW)).snapshot
    assert {node.cluster for node in found.nodes} == {"lab"}
    assert {cluster.name: cluster.listed for cluster in found.clusters} == {"lab": True, "ill": False}
    assert "pods (500 boom)" in the_source(found, "kubernetes of ill").detail


def test_an_unknown_context_lists_the_known(api: Replay) -> None:
    with pytest.raises(UserError) as caught:
        collect_live(Config(kubeconfig=api.kubeconfig("auditor", "limited"), context=("prod",)))
    assert caught.value.hint == "it has: auditor, limited"


def test_doctor_says_whose_prometheus_it_is(api: Replay) -> None:
    with replay_server(api.folder / "two") as other:
        config = json.loads(api.kubeconfig("auditor").read_text())
        config["clusters"].append({"name": "second", "cluster": {"server": other.url}})
        config["contexts"].append({"name": "b", "context": {"cluster": "second", "user": "auditor"}})
        path = api.folder / "two.json"
        path.write_text(json.dumps(config))
        seen = run("doctor", "--context", "auditor", "--context", "b", KUBECONFIG=str(path))
        alone = run("doctor", "--context", "auditor", KUBECONFIG=str(path))
    assert "· of lab\n" in seen.stdout
    assert "· of second\n" in seen.stdout
    assert "· of lab" not in alone.stdout
