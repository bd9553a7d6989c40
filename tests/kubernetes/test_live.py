"""Live clusters through the official client and real sockets: the recorded API server, every recorded user."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpuaudit.audit import audit
from gpuaudit.cluster.platform import Source
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.inputs.files import collect_files
from gpuaudit.collect.kubernetes.connection import connections
from gpuaudit.collect.live import collect_live
from gpuaudit.config import Config
from gpuaudit.errors import UserError
from gpuaudit.knowledge.kinds import all_kinds
from gpuaudit.loader import load_rules
from gpuaudit.manifests import generate
from gpuaudit.plan.pricebook import PriceBook
from gpuaudit.report.terminal import Screen, render_screen
from gpuaudit.store import load, save
from tests.kubernetes.replay import TENANT, Fault, Replay, capture, names, plain, replay_server, status
from tests.kubernetes.test_lab import check_nodes, check_workloads

NOW = datetime(2026, 11, 23, 16, 46, 13, tzinfo=UTC)


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


def test_counts_equal_what_is_known_of_the_cluster(api: Replay) -> None:
    found = live(api)
    check_nodes(found)
    check_workloads(found, "lab")
    assert the_source(found).status == "ok", the_source(found).detail
    cluster = found.clusters[0]
    assert (cluster.name, cluster.version, cluster.listed) == ("lab", "v1.36.2", True)
    assert cluster.uid == "ffbfe193-4d52-4121-b276-ea063ec5cc13"
    assert cluster.server == api.url.removeprefix("http://")


def test_pages_of_any_size_give_the_same(api: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = live(api)
    monkeypatch.setattr("gpuaudit.collect.kubernetes.listing.PAGE", 7)
    paged = live(api)
    assert (paged.nodes, paged.pods, paged.workloads) == (whole.nodes, whole.pods, whole.workloads)
    assert sum("/api/v1/pods?limit=" in target for _, _, target in api.asked) == 1 + 26


def test_findings_equal_those_from_the_dump(api: Replay, tmp_path: Path) -> None:
    folder = tmp_path / "dump"
    folder.mkdir()
    reports = []
    for snapshot in (live(api), dump(folder)):
        report = audit(snapshot, load_rules(), Config(), PriceBook(None))
        reports.append(report)
    one, other = reports
    assert one.findings == other.findings
    assert len(one.findings) > 5
    assert one.bill == other.bill
    assert one.utilization == other.utilization


def test_what_a_file_keeps_is_what_was_live(api: Replay, tmp_path: Path) -> None:
    found = live(api)
    save(found, tmp_path / "x.gpuaudit")
    kept = load(tmp_path / "x.gpuaudit")
    assert (kept.nodes, kept.pods, kept.sources) == (found.nodes, found.pods, found.sources)


def test_only_lists_are_asked_for_and_no_secrets(api: Replay) -> None:
    live(api)
    assert {method for _, method, _ in api.asked} == {"GET"}
    assert not any("secret" in path.lower() for path in api.paths())
    assert not any(path.startswith("/apis/karpenter.k8s.gcp") for path in api.paths())  # served, but not read
    assert not any("dynamographdeployments" in path for path in api.paths())  # read where served: it is not here


def test_the_generated_role_is_exactly_what_is_asked_for(api: Replay) -> None:
    """Every request is allowed by the role, and everything the role lists is asked for where the server has it."""
    live(api)
    (document,) = generate(["rbac"])
    objects = list(yaml.safe_load_all(document.text))
    role = next(item for item in objects if item["kind"] == "ClusterRole")
    allowed = {
        (group, name, verb)
        for rule in role["rules"]
        for group in rule.get("apiGroups", ())
        for name in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {verb for _, name, verb in allowed if "/" not in name} == {"list"}
    urls = [url for rule in role["rules"] for url in rule.get("nonResourceURLs", ())]
    asked = {right for path in api.paths() if path not in urls for right in [right_of(path)]}
    assert asked <= allowed
    served = {(one.group, one.plural, "list") for one in all_kinds()} & {
        (key.split("/")[2] if "/apis/" in key else "", key.split("?")[0].rpartition("/")[2], "list")
        for key in _recorded_lists()
    }
    assert served <= asked
    rights = [
        (group, name) for rule in role["rules"] for group in rule.get("apiGroups", ()) for name in rule["resources"]
    ]
    assert len(rights) == len(set(rights))
    assert not any(name == "secrets" or "*" in name for _, name, _ in allowed)


def right_of(path: str) -> tuple[str, str, str]:
    """The group, resource and verb that a request needs, as the API server asks for them."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    if len(rest) >= 3:
        return group, f"{rest[0]}/{rest[2]}", "get"
    return group, rest[0], "list" if len(rest) == 1 else "get"


def _recorded_lists() -> list[str]:
    records = json.loads(capture("index.json"))["responses"]
    return [
        key.split()[2]
        for key, value in records.items()
        if key.startswith("auditor") and "?limit=500" in key and value["status"] == 200
    ]


def test_a_tenant_sees_its_namespace_and_no_bill(api: Replay) -> None:
    for settings in ({"namespace": (TENANT,)}, {"context_namespace": TENANT}):
        found = live(api, "limited", **settings)
        assert {pod.namespace for pod in found.pods} == {TENANT}
        assert len(found.pods) == 6
        assert not found.clusters[0].listed
        assert sum(node.gpus for node in found.nodes) == 6  # what its own pods hold, on nodes that it may not list
        assert not any(node.listed for node in found.nodes)
        source = the_source(found)
        assert source.status == "partial"
        assert f"pods of {TENANT} only: no bill" in source.detail
        assert ("others by --namespace" in source.detail) == ("context_namespace" in settings)
        assert {"pods", "workloads"} <= set(source.provides)
        assert not {"nodes", "systems", "namespaces"} & set(source.provides)
        report = audit(found, load_rules(), Config(), PriceBook(None))
        assert report.bill.monthly is None
        assert report.cluster.nodes is None
        assert f"pods of {TENANT} alone were read: no bill" in render_screen(report, Screen(width=100))


def test_a_tenant_who_may_list_namespaces_is_asked_for_none(api: Replay) -> None:
    """Where namespaces can be listed, each is tried: whose pods can be read is found out, not typed in."""
    spaces = {
        "kind": "NamespaceList",
        "apiVersion": "v1",
        "metadata": {},
        "items": [{"metadata": {"name": name}} for name in ("a", TENANT, "b")],
    }
    api.faults.append(Fault("/api/v1/namespaces?", answer=(200, {}, json.dumps(spaces).encode())))
    found = live(api, "limited")
    assert {pod.namespace for pod in found.pods} == {TENANT}
    screen = render_screen(audit(found, load_rules(), Config(), PriceBook(None)), Screen(width=100))
    assert f"pods of 1 of 3 namespaces read ({TENANT}): no bill" in " ".join(screen.split())


def test_a_broken_header_is_refused_though_no_url_is_named(api: Replay) -> None:
    with pytest.raises(UserError, match="K: V"):
        live(api, prometheus_header=("nonsense",))


def test_a_tenant_who_may_list_nodes_still_gets_no_bill(api: Replay) -> None:
    """What others hold is not seen: free capacity and a bill by owner would be wrong."""
    nodes = api.find("auditor", "GET", "/api/v1/nodes", "")
    api.faults.append(Fault("/api/v1/nodes?", answer=nodes))
    found = live(api, "limited", namespace=(TENANT,))
    assert not found.clusters[0].listed
    assert sum(node.gpus for node in found.nodes) == 6
    assert {card.model for node in found.nodes for card in node.cards} == {"h100-80gb-sxm"}


def test_whoever_may_read_nothing_is_told_what_to_do(api: Replay) -> None:
    with pytest.raises(UserError) as caught:
        live(api, "limited")
    assert "not allowed" in caught.value.message
    assert "--namespace (tried: default)" in caught.value.hint
    assert caught.value.code == 2


def test_a_namespace_that_is_not_there_is_refused(api: Replay) -> None:
    with pytest.raises(UserError) as caught:
        live(api, namespace=("nlp-prd",))
    assert "no namespace 'nlp-prd'" in caught.value.message
    assert TENANT in caught.value.hint
    assert caught.value.code == 2


def test_namespaces_that_other_contexts_of_the_cluster_name_are_tried(api: Replay) -> None:
    """A person with a context per namespace need not type them; another cluster's are not tried."""
    config = json.loads(api.kubeconfig("limited").read_text())
    config["clusters"].append({"name": "far", "cluster": {"server": "http://127.0.0.1:1"}})
    config["contexts"] += [
        {"name": "nlp", "context": {"cluster": "lab", "user": "limited", "namespace": TENANT}},
        {"name": "far", "context": {"cluster": "far", "user": "limited", "namespace": "elsewhere"}},
    ]
    path = api.folder / "contexts.json"
    path.write_text(json.dumps(config))
    found = collect_live(Config(kubeconfig=path, context=("limited",), now=NOW)).snapshot
    assert {pod.namespace for pod in found.pods} == {TENANT}
    assert "others by --namespace" in the_source(found).detail
    asked = {path.split("/")[4] for path in api.paths() if path.endswith("/pods") and "/namespaces/" in path}
    assert {"default", TENANT} <= asked
    assert "elsewhere" not in asked


def test_a_wrong_token(api: Replay) -> None:
    with pytest.raises(UserError) as caught:
        live(api, "nobody")
    assert "401" in caught.value.message
    assert "log in" in caught.value.hint
    assert len(api.asked) <= 3  # nobody hammers a server that has said no


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


def test_older_servers_are_asked_group_by_group(api: Replay) -> None:
    api.aggregated = False
    found = live(api)
    check_nodes(found)
    assert the_source(found).status == "ok"


def test_a_server_that_hides_what_it_has(api: Replay) -> None:
    api.faults += [
        Fault("/apis?", answer=status(403)),
        Fault("/apis", answer=status(403), times=1),
        Fault("/api", answer=status(403), times=1),
    ]
    found = live(api)
    check_nodes(found)
    assert "built-in kinds were tried" in the_source(found).detail


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


def test_scan_and_collect_from_the_command_line(api: Replay, tmp_path: Path) -> None:
    config = str(api.kubeconfig("auditor"))
    kept = tmp_path / "lab.gpuaudit"
    done = run("collect", "--kubeconfig", config, "-o", str(kept), "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    stored = run("scan", "--input", str(kept), "-o", "json", "--quiet")
    direct = run("scan", "-o", "json", "--now", json.loads(stored.stdout)["taken_at"], KUBECONFIG=config)
    assert (direct.returncode, stored.returncode) == (0, 0)
    assert json.loads(direct.stdout)["findings"] == json.loads(stored.stdout)["findings"]
    assert json.loads(direct.stdout)["cluster"]["gpus"] == 185


def test_doctor_says_what_is_seen_and_what_is_not(api: Replay) -> None:
    whole = json.loads(run("doctor", "-o", "json", KUBECONFIG=str(api.kubeconfig("auditor"))).stdout)
    assert whole["clusters"][0]["status"] == "ok"
    assert not any(rule["missing"] for rule in whole["rules"] if rule["name"] == "lost-gpu")
    assert {fact["name"]: fact["given"] for fact in whole["facts"]}["nodes"]
    done = run("doctor", KUBECONFIG=str(api.kubeconfig("limited", namespace=TENANT)))
    assert done.returncode == 0
    assert f"only in {TENANT}: " in done.stdout
    assert "there will be no bill" in done.stdout
    assert "lost-gpu: wants nodes" in done.stdout
    none = run("doctor", KUBECONFIG=str(api.kubeconfig("nobody")))
    assert none.returncode == 2
    assert "401" in none.stdout
    assert "RULES" not in none.stdout
    assert none.stderr.splitlines() == [
        "error: nothing can be read here",
        "hint: log in again for context nobody: kubectl get nodes must work",
    ]


def test_generate_prints_whole_documents(tmp_path: Path) -> None:
    done = run("generate", "rbac")
    assert [item["kind"] for item in yaml.safe_load_all(done.stdout)] == [
        "Namespace",
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
    ]
    assert run("generate", "rbac", "--dir", str(tmp_path / "d")).returncode == 0
    assert (tmp_path / "d" / "rbac.yaml").read_text() == done.stdout
    wrong = run("generate", "everything")
    assert (wrong.returncode, wrong.stderr.splitlines()[1]) == (2, "hint: it can be: probe, rbac")


def test_an_unchanged_cluster_gives_the_same_snapshot(api: Replay) -> None:
    one, other = live(api), live(api)
    assert replace(one, usage=other.usage) == other


def test_text_answers_are_no_json(api: Replay) -> None:
    """404 is plain text; so is what a proxy or a login page sends."""
    api.faults.append(Fault("/apis/keda.sh", answer=plain(404, "404 page not found")))
    api.faults.append(Fault("/apis/policy", answer=(200, {"Content-Type": "text/html"}, b"<html>please log in</html>")))
    found = live(api)
    source = the_source(found)
    assert source.status == "partial"
    assert "failed: poddisruptionbudgets.policy (the answer is malformed" in source.detail
    assert "keda" not in source.detail


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
        assert secured.url.startswith("https://")


def test_a_service_account_inside_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a kubeconfig, where a token is mounted, the cluster's own API server is read with it."""
    for name, text in {"token": "mounted", "namespace": "audit", "ca.crt": "x"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr("gpuaudit.collect.kubernetes.connection.SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    try:
        (connection,) = connections((), None)
    except UserError as error:  # the client may look into the certificate at once
        pytest.skip(f"the client wants a real certificate: {error.message}")
    assert (connection.context, connection.server) == ("in-cluster", "10.0.0.1:443")
    assert connection.namespaces == ("audit",)
    assert connection.credentials() == {"authorization": "bearer mounted"}


def test_groups_whose_own_server_does_not_answer_are_said(api: Replay) -> None:
    def change(path: str, answer: Any) -> Any:
        if path != "/apis":
            return answer
        groups = json.loads(answer[2])
        stale = {"version": "v1beta1", "freshness": "Stale"}
        groups["items"].append({"metadata": {"name": "external.metrics.k8s.io"}, "versions": [stale]})
        return answer[0], answer[1], json.dumps(groups).encode()

    api.change = change
    source = the_source(live(api))
    assert source.status == "partial"
    assert "do not answer" in source.detail or "does not answer: external.metrics.k8s.io/v1beta1" in source.detail
