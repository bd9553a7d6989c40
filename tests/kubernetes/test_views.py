"""Several contexts that mean one cluster: it counts once, as whoever may read most of it sees it, in any order."""

import json
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import pytest

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.live import collect_live
from gpuaudit.config import Config
from tests.kubernetes.reading import NOW, PODS, live, the_source
from tests.kubernetes.replay import TENANT, Fault, Replay, status
from tests.kubernetes.test_lab import check_nodes

pytestmark = pytest.mark.usefixtures("impatient")

NO_NODES = ("/api/v1/nodes",)
NO_CLUSTER = ("/api/v1/pods", "/api/v1/namespaces?", *NO_NODES)  # a tenant
NO_PODS = ("/api/v1/pods", *(f"/api/v1/namespaces/{name}/pods" for name in ("default", TENANT, "research")))


def may_not(api: Replay, user: str, paths: Iterable[str]) -> str:
    """Make another auditor, who may not read these."""
    api.tokens[f"{user}-token"] = "auditor"
    api.faults += [Fault(path, answer=status(403, "forbidden"), token=f"{user}-token") for path in paths]
    return user


def together(api: Replay, *contexts: str, **settings: Any) -> Snapshot:
    """What these contexts of one kubeconfig give together."""
    path = api.kubeconfig(*contexts, namespace=settings.pop("context_namespace", ""))
    return collect_live(Config(kubeconfig=path, context=contexts, now=NOW, **settings)).snapshot


def check_whole(api: Replay, found: Snapshot) -> None:
    """The snapshot is the whole cluster, once, and as it is alone."""
    alone = live(api)
    check_nodes(found)
    assert [cluster.name for cluster in found.clusters] == ["lab"]
    assert found.clusters[0].listed
    for field in fields(Snapshot):
        if field.name not in ("sources", "usage"):
            assert getattr(found, field.name) == getattr(alone, field.name), field.name


def both_orders(*names: str) -> list[tuple[str, ...]]:
    return [names, names[::-1]]


@pytest.mark.parametrize("order", both_orders("limited", "auditor"))
def test_a_tenant_beside_an_auditor(api: Replay, order: tuple[str, ...]) -> None:
    """Whoever may not read the cluster's UID still means the same cluster."""
    found = together(api, *order, context_namespace=TENANT)
    check_whole(api, found)
    told = the_source(found, "kubernetes of limited")
    assert (told.status, told.provides) == ("ok", ())
    assert told.detail.endswith("the same cluster as auditor: read once")


@pytest.mark.parametrize("order", both_orders("half", "auditor"))
def test_a_view_whose_pods_broke_off_beside_a_whole_one(
    api: Replay, order: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuaudit.collect.kubernetes.listing.PAGE", 25)
    may_not(api, "half", ())
    api.faults.append(Fault(PODS, answer=status(500, "boom"), after=2, token="half-token"))
    found = together(api, *order)
    check_whole(api, found)
    assert the_source(found, "kubernetes of half").provides == ()


@pytest.mark.parametrize("order", both_orders("nodes", "pods"))
def test_one_reads_the_nodes_and_the_other_the_pods(api: Replay, order: tuple[str, ...]) -> None:
    """Pods tell whose the GPUs are; what the other context could have shown is said."""
    may_not(api, "nodes", NO_PODS)
    may_not(api, "pods", NO_NODES)
    found = together(api, *order, namespace=(TENANT,))
    assert len(found.pods) == len(live(api).pods)
    told = the_source(found, "kubernetes of nodes")
    assert told.status == "partial"
    assert "read once, without its nodes: audit this context alone for them" in told.detail


@pytest.mark.parametrize("order", both_orders("limited", "wide"))
def test_of_two_tenants_the_wider_view_counts(api: Replay, order: tuple[str, ...]) -> None:
    may_not(api, "wide", NO_CLUSTER)
    found = together(api, *order, namespace=(TENANT, "research"))
    assert {pod.namespace for pod in found.pods} == {TENANT, "research"}
    assert len({pod.key for pod in found.pods}) == len(found.pods)
    assert "the same cluster as wide: read once" in the_source(found, "kubernetes of limited").detail


def test_two_tenants_without_a_namespace_in_common_both_count(api: Replay) -> None:
    may_not(api, "other", (*NO_CLUSTER, f"/api/v1/namespaces/{TENANT}/pods"))
    found = together(api, "limited", "other", namespace=(TENANT, "research"))
    assert {pod.namespace for pod in found.pods} == {TENANT, "research"}
    assert "read once" not in " ".join(source.detail for source in found.sources)


@pytest.mark.parametrize("beside", [("nobody",), ("limited",), ("again",), ("nobody", "again")], ids=str)
def test_the_name_of_a_cluster_does_not_depend_on_other_contexts(api: Replay, beside: tuple[str, ...]) -> None:
    """Findings' ids are made of it: a login that ran out for another context must not change them."""
    may_not(api, "again", ())
    for order in ((*beside, "auditor"), ("auditor", *beside)):
        check_whole(api, together(api, *order, context_namespace=TENANT))


@pytest.mark.parametrize("order", both_orders("poor", "auditor"))
def test_whoever_may_read_fewer_kinds_counts_less(api: Replay, order: tuple[str, ...]) -> None:
    may_not(api, "poor", ("/apis/apps/", "/apis/batch/", "/apis/resource.k8s.io/", "/api/v1/services"))
    found = together(api, *order)
    check_whole(api, found)
    assert the_source(found, "kubernetes of poor").detail.endswith("the same cluster as auditor: read once")


@pytest.mark.parametrize("order", both_orders("one", "two"))
def test_kinds_that_only_the_other_may_read_are_named(api: Replay, order: tuple[str, ...]) -> None:
    may_not(api, "one", ("/apis/storage.k8s.io/",))
    may_not(api, "two", ("/apis/resource.k8s.io/",))
    found = together(api, *order)
    told = the_source(found, "kubernetes of two")
    assert told.status == "partial"
    assert told.detail.endswith(
        "read once, without its storageclasses.storage.k8s.io: audit this context alone for them"
    )


def test_a_server_is_the_same_however_its_address_is_written(api: Replay) -> None:
    path = api.kubeconfig("auditor", "limited", namespace=TENANT)
    config = json.loads(path.read_text())
    config["clusters"].append({"name": "other", "cluster": {"server": api.url.replace("http", "HTTP")}})
    config["contexts"][1]["context"]["cluster"] = "other"
    path.write_text(json.dumps(config))
    check_whole(api, collect_live(Config(kubeconfig=path, context=("auditor", "limited"), now=NOW)).snapshot)


def test_what_another_tenant_shows_is_not_called_missing(api: Replay) -> None:
    """Three that overlap: the first and the last are audited, and show all that the second could."""
    views = {"a": ("default", TENANT), "b": (TENANT, "research"), "c": ("research",)}
    for user, own in views.items():
        others = {"default", TENANT, "research"} - set(own)
        may_not(api, user, (*NO_CLUSTER, *(f"/api/v1/namespaces/{name}/" for name in others)))
    found = together(api, *views, namespace=("default", TENANT, "research"))
    assert the_source(found, "kubernetes of b").detail.endswith("the same cluster as a: read once")
