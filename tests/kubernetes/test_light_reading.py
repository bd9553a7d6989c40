"""Pods of a live server are read as lightly as they matter: that must change nothing, however a pod holds its GPU."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaudit.collect.builder import InventoryBuilder
from gpuaudit.collect.inventory import Inventory
from gpuaudit.collect.objects.fold import Fold, FoldedPod
from gpuaudit.knowledge import kubernetes
from tests.kubernetes.objects import GFD_A100, Tree, container, node, pod

MARKS = kubernetes.fractions()
NODE = node(labels=GFD_A100, gpu=8)


def read(pods: list[Tree], *, lightly: bool) -> Inventory:
    builder = InventoryBuilder("c", dated=not lightly)
    for kind, items in (("Node", [NODE]), ("Pod", pods)):
        page = {"kind": f"{kind}List", "apiVersion": "v1", "metadata": {}, "items": items}
        builder.add_page(json.dumps(page).encode(), ("", kind))
    return builder.finish()


HOLDERS: dict[str, Tree] = {
    "a resource": pod(requests={"gpu": "1"}),
    "a limit alone": pod(containers=[{"name": "a", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]),
    "a MIG resource": pod(requests={"nvidia.com/mig-1g.5gb": "1"}),
    "an init container's resource": pod(init=[container({"gpu": "1"})]),
    "pod-level resources": pod(spec={"resources": {"requests": {"nvidia.com/gpu": "1"}}}),
    "a fraction": pod(meta={"annotations": {MARKS.fraction: "0.5"}}),
    "a part of the memory": pod(meta={"annotations": {MARKS.memory_mib: "2000"}}),
    "a claim": pod(spec={"resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}]}),
    "a claim that DRA made": pod(status={"extendedResourceClaimStatus": {"resourceClaimName": "c"}}),
    "nothing, but tolerates": pod(requests={"cpu": "1"}, spec={"tolerations": [{"key": "nvidia.com/gpu"}]}),
    "nothing, and has ended": pod(requests={"cpu": "1"}, status={"phase": "Succeeded"}),
}


@pytest.mark.parametrize("how", HOLDERS)
def test_lightly_read_pods_are_the_same_pods(how: str) -> None:
    pods = [HOLDERS[how], pod("other", requests={"cpu": "2", "memory": "1Gi"})]
    lightly, whole = read(pods, lightly=True), read(pods, lightly=False)
    assert (lightly.pods, lightly.nodes, lightly.workloads) == (whole.pods, whole.nodes, whole.workloads)
    assert lightly.notes == whole.notes


def test_an_ended_pod_keeps_its_node_and_what_it_held() -> None:
    ended = pod("died", requests={"gpu": "2"}, status={"phase": "Failed", "reason": "Evicted"})
    (found,) = read([ended], lightly=True).pods
    assert (found.node, found.gpus, found.holds, found.reason) == ("n1", 2.0, False, "Evicted")


def test_a_broken_pod_is_counted_and_no_other_is_lost() -> None:
    broken = pod("broken") | {"spec": {"containers": "none"}}
    found = read([broken, pod("good", requests={"gpu": "1"})], lightly=True)
    assert [item.name for item in found.pods] == ["good"]
    assert "1 objects could not be read: Pod/team/broken" in found.notes[0]


@pytest.mark.parametrize("kind", ["Pod", "Node", "ConfigMap"])
def test_an_empty_list_may_be_null(kind: str) -> None:
    """Go writes a list of nothing as null."""
    builder = InventoryBuilder("c", dated=False)
    builder.add_page(b'{"kind":"List","metadata":{"resourceVersion":"7"},"items":null}', ("", kind))
    assert not builder.finish().pods


def test_whether_a_pod_follows_one_with_a_gpu_changes_nothing() -> None:
    """The one after a GPU pod is read whole at first: what only a whole reading sees broken is not lost for that."""
    odd = pod("odd", requests={"cpu": "2"})
    odd["spec"] = odd["spec"] | {"volumes": "none"}
    holds = pod("holds", requests={"gpu": "1"})
    found = [read(pods, lightly=True) for pods in ([holds, odd], [odd, holds])]
    assert [(one.nodes[0].pods_bound, one.nodes[0].cpu_requested_cores, one.notes) for one in found] == [
        (2, 2.0, ())
    ] * 2


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 6)), max_size=30), st.booleans())
def test_of_many_versions_the_newest_counts_whether_it_holds_a_gpu_or_not(
    seen: list[tuple[int, int]], lightly: bool
) -> None:
    def version(number: int, at: int) -> Tree:
        requests = {"gpu": "1"} if (number * at + at // 2) % 2 else {"cpu": "1"}
        return pod(f"p{number}", requests=requests, meta={"resourceVersion": str(at)})

    newest = {number: max(at for one, at in seen if one == number) for number, _ in seen}
    all_of_them = read([version(*one) for one in seen], lightly=lightly)
    only_newest = read([version(*one) for one in sorted(newest.items())], lightly=lightly)
    assert (all_of_them.pods, all_of_them.nodes) == (only_newest.pods, only_newest.nodes)
    told = f"{len(seen) - len(newest)} objects stand in more than one input"
    assert (told in "".join(all_of_them.notes)) == (len(seen) > len(newest))


Change = tuple[int, int, int | None]  # which pod, its version, its node


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5), st.one_of(st.none(), st.integers(0, 3))), max_size=80))
def test_the_fold_keeps_the_newest_of_each_pod(changes: list[Change]) -> None:
    fold, expected = Fold(), dict[str, Change]()
    for change in changes:
        number, version, place = change
        name = f"p{number}"
        folded: dict[str, Any] = {"cpu_cores": 0.5, "memory_bytes": 100.0, "owner": f"o{number % 3}"}
        on = None if place is None else f"n{place}"
        fold.add(FoldedPod(namespace="a", name=name, version=version, node=on, **folded))
        if name not in expected or expected[name][1] < version:
            expected[name] = change
    settled = fold.settle({})
    assert len(fold) == len(expected)
    assert settled.doubled == len(changes) - len(expected)
    placed = sorted((f"n{place}", f"o{number % 3}") for number, _, place in expected.values() if place is not None)
    sums = {(load.node, load.owner): (load.pods, load.cpu_cores, load.memory_bytes) for load in fold.loads()}
    counts = {key: placed.count(key) for key in placed}
    assert sums == {key: (count, count * 0.5, count * 100) for key, count in counts.items()}


def test_many_pods_are_found_again() -> None:
    fold = Fold()
    names = [f"pod-{number}" for number in range(5000)]
    for version, order in ((1, names), (2, random.Random(1).sample(names, len(names)))):
        for name in order:
            fold.add(
                FoldedPod(
                    namespace="x",
                    name=name,
                    version=version,
                    node="n",
                    cpu_cores=1,
                    memory_bytes=1,
                    owner=f"v{version}",
                )
            )
    fold.settle({})
    (load,) = fold.loads()
    assert (len(fold), load.pods, load.owner) == (5000, 5000, "v2")
