"""Whoever may not read the whole cluster: its own namespaces, no bill."""

import json

import pytest

from gpuaudit.audit import audit
from gpuaudit.collect.live import collect_live
from gpuaudit.config import Config
from gpuaudit.errors import UserError
from gpuaudit.loader import load_rules
from gpuaudit.plan.pricebook import PriceBook
from gpuaudit.report.terminal import Screen, render_screen
from tests.kubernetes.reading import NOW, PODS, live, the_source
from tests.kubernetes.replay import TENANT, Answer, Fault, Replay, status
from tests.kubernetes.test_lab import check_nodes


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


def test_rights_in_every_namespace_are_rights_in_the_cluster(api: Replay) -> None:
    api.faults.append(Fault(f"{PODS}?", answer=status(403, "pods is forbidden at the cluster scope")))
    found = live(api)
    check_nodes(found)
    assert the_source(found).status == "ok"
    assert "pods were listed namespace by namespace" in the_source(found).detail


def test_a_namespace_that_vanishes_after_it_was_listed_makes_no_tenant(api: Replay) -> None:
    """Its rights go with it: 403. Neither does a namespace that only the kubeconfig still names."""
    api.faults.append(Fault(f"{PODS}?", answer=status(403, "pods is forbidden at the cluster scope")))
    api.extra["namespaces"] = [{"metadata": {"name": "vanished"}}]
    api.faults.append(Fault("/api/v1/namespaces/vanished/pods", answer=status(403, "pods is forbidden")))
    api.faults.append(Fault("/api/v1/namespaces/stale/pods", answer=status(403, "pods is forbidden")))

    def vanish(path: str, answer: Answer) -> Answer:
        if path.startswith(PODS) or "/pods?" in path:
            api.extra.pop("namespaces", None)
        return answer

    api.change = vanish
    found = live(api, context_namespace="stale")
    check_nodes(found)
    assert the_source(found).status == "ok", the_source(found).detail


def test_a_namespace_that_may_not_be_read_makes_a_tenant(api: Replay) -> None:
    api.faults.append(Fault(f"{PODS}?", answer=status(403, "pods is forbidden at the cluster scope")))
    api.extra["namespaces"] = [{"metadata": {"name": "secret"}}]
    api.faults.append(Fault("/api/v1/namespaces/secret/pods", answer=status(403, "pods is forbidden")))
    assert not live(api).clusters[0].listed


def test_one_namespace_that_cannot_be_read_does_not_lose_the_other(api: Replay) -> None:
    api.faults.append(Fault("/api/v1/namespaces/broken/pods", answer=status(500, "boom")))
    found = live(api, "limited", namespace=("broken", TENANT))
    assert len(found.pods) == 6
    assert sum(node.gpus for node in found.nodes) == 6
    assert "pods of broken could not be read (500 boom)" in the_source(found).detail
    assert the_source(found).status == "partial"
