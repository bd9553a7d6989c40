"""Live clusters through the official client and real sockets: the recorded API server, every recorded user."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpuaudit.audit import audit
from gpuaudit.config import Config
from gpuaudit.knowledge.kinds import all_kinds
from gpuaudit.loader import load_rules
from gpuaudit.manifests import generate
from gpuaudit.plan.pricebook import PriceBook
from gpuaudit.store import load, save
from tests.kubernetes.reading import dump, live, right_of, the_source
from tests.kubernetes.replay import Fault, Replay, capture, plain, status
from tests.kubernetes.test_lab import check_nodes, check_workloads


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


def _recorded_lists() -> list[str]:
    records = json.loads(capture("index.json"))["responses"]
    return [
        key.split()[2]
        for key, value in records.items()
        if key.startswith("auditor") and "?limit=500" in key and value["status"] == 200
    ]


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
