"""Lists that expire under way (410): they go on inconsistently or start over, and what is gone by then is not there."""

import json
from typing import Any

import pytest

from tests.kubernetes.objects import node, pod, thing
from tests.kubernetes.reading import PODS, live, the_source
from tests.kubernetes.replay import TENANT, Answer, Fault, Handler, Replay, status
from tests.kubernetes.test_faults import small_pages
from tests.kubernetes.test_lab import check_nodes

pytestmark = pytest.mark.usefixtures("impatient")


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


@pytest.mark.parametrize("what", ["pods", "resourceclaims"])
def test_what_is_gone_when_a_list_of_a_namespace_starts_over_is_not_there(
    api: Replay, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The other namespaces' objects, read before and after, stay."""
    monkeypatch.setattr("gpuaudit.collect.kubernetes.listing.PAGE", 3)
    expected = live(api)
    root, group = {"pods": ("/api/v1", "v1"), "resourceclaims": ("/apis/resource.k8s.io/v1", "resource.k8s.io/v1")}[
        what
    ]
    ghost = thing("Pod" if what == "pods" else "ResourceClaim", "ghost", group, namespace=TENANT)
    ghost |= (
        pod("ghost", namespace=TENANT, node_name=expected.nodes[0].name, requests={"gpu": "1"})
        if what == "pods"
        else {}
    )
    asked = 0

    def with_a_ghost_once(path: str, answer: Answer) -> Answer:
        nonlocal asked
        if not path.startswith(f"{root}/namespaces/{TENANT}/{what}?"):
            return answer
        asked += 1
        page = json.loads(answer[2])
        if asked == 1:
            page["items"].append(ghost)
            page["metadata"]["continue"] = "3"
            return answer[0], answer[1], json.dumps(page).encode()
        return status(410, "expired") if asked == 2 else answer

    api.change = with_a_ghost_once
    api.faults.append(Fault(f"{root}/{what}?", answer=status(403, "forbidden")))
    found = live(api)
    assert asked > 2
    assert "started over" in the_source(found).detail
    assert found.pods == expected.pods
    assert found.claims == expected.claims
    assert found.nodes == expected.nodes


@pytest.mark.parametrize("what", ["pods", "nodes"])
def test_what_is_gone_when_a_list_starts_over_is_not_there(
    api: Replay, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Two objects are on the first page only until the list expires."""
    small_pages(monkeypatch)
    expected = live(api).nodes
    live_node = expected[0].name
    ghost: dict[str, Any] = {
        "pods": pod("ghost", node_name="ghost", requests={"gpu": "1"}),
        "nodes": node("ghost", gpu=8),
    }[what]
    other: dict[str, Any] = {"pods": pod("plain", node_name=live_node, requests={"cpu": "9"}), "nodes": node("plain")}[
        what
    ]
    path = f"/api/v1/{what}?"

    def first_page(handler: Handler) -> None:
        code, headers, body = handler.good()
        page = json.loads(body)
        page["items"] += [ghost, other]
        handler.reply((code, headers, json.dumps(page).encode()))

    api.faults.append(Fault(path, act=first_page, times=1))
    api.faults.append(Fault(path, answer=status(410, "expired"), times=1, after=0 if what == "nodes" else 2))
    found = live(api)
    assert f"{what} started over" in the_source(found).detail
    check_nodes(found)
    assert not [item for item in (*found.pods, *found.nodes) if item.name in ("ghost", "plain")]
    assert found.nodes == expected


def test_a_list_that_always_expires_ends(api: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pages(monkeypatch)
    api.faults.append(Fault(PODS, answer=status(410, "expired"), after=1))
    found = live(api)
    assert "pods" not in the_source(found).provides
    assert "partly read: pods (410 expired)" in the_source(found).detail


@pytest.mark.parametrize("namespaced", [False, True])
def test_a_broken_object_of_a_list_that_starts_over_is_counted_once(
    api: Replay, monkeypatch: pytest.MonkeyPatch, namespaced: bool
) -> None:
    small_pages(monkeypatch)
    where = f"/api/v1/namespaces/{TENANT}/pods?" if namespaced else f"{PODS}?"

    def with_a_broken_one(path: str, answer: Answer) -> Answer:
        if not path.startswith(where) or "continue" in path or answer[0] != 200:
            return answer
        page = json.loads(answer[2])
        page["items"].append({"metadata": {"name": "odd", "namespace": TENANT}, "spec": {"containers": 7}})
        page["metadata"].setdefault("continue", "1")
        return answer[0], answer[1], json.dumps(page).encode()

    api.change = with_a_broken_one
    if namespaced:
        api.faults.append(Fault(f"{PODS}?", answer=status(403, "forbidden")))
    api.faults.append(Fault(f"{where}limit=25&continue", answer=status(410, "expired"), times=1))
    detail = the_source(live(api)).detail
    assert "started over" in detail
    assert "1 objects could not be read: " in detail
    assert detail.count(f"Pod/{TENANT}/odd") == 1


def test_a_system_whose_pods_are_gone_when_a_list_starts_over_is_not_there(
    api: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pages(monkeypatch)
    expected = live(api)
    ghost = pod("ghost", node_name=expected.nodes[0].name, requests={"cpu": "1"})
    ghost["spec"]["containers"][0]["image"] = "ghcr.io/project-hami/hami:v2.4.0"
    ghost["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}

    def with_a_ghost(handler: Handler) -> None:
        code, headers, body = handler.good()
        page = json.loads(body)
        page["items"].append(ghost)
        handler.reply((code, headers, json.dumps(page).encode()))

    api.faults += [
        Fault(f"{PODS}?", act=with_a_ghost, times=1),
        Fault(f"{PODS}?", answer=status(410, "expired"), times=1, after=2),
    ]
    found = live(api)
    assert "started over" in the_source(found).detail
    assert found.systems == expected.systems
    assert found.nodes == expected.nodes
