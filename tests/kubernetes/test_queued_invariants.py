"""What holds of queues' objects whatever pods there are, and whatever the objects say."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kubernetes.objects import Tree, owned_by, pod, thing
from tests.kubernetes.queues import GPU, NO_QUOTA, kueue, sums, volcano


@given(
    asked=st.integers(0, 6),
    made=st.lists(st.sampled_from(["running", "waiting", "ended", "deleted"]), max_size=8),
    named=st.booleans(),
    kind=st.sampled_from(["Workload", "PodGroup"]),
)
def test_what_runs_and_what_waits_is_what_is_asked_for(asked: int, made: list[str], named: bool, kind: str) -> None:
    """Whatever pods there are, each counts once, and only those that neither ended nor are on their way out."""
    job = thing("Job", "train", "batch.volcano.sh/v1alpha1", spec={})
    group = kueue("pg", job, NO_QUOTA) if kind == "Workload" else volcano("Pending", 4 * asked, asked, job)
    group["spec"].get("podSets", [{}])[0]["count"] = asked
    pods = []
    for number, state in enumerate(made):
        meta: Tree = {"labels": {"kueue.x-k8s.io/pod-group-name": "pg"}} if named else {}
        if state == "deleted":
            meta["deletionTimestamp"] = "2026-11-21T14:46:13Z"
        status = {"phase": "Succeeded"} if state == "ended" else {}
        where = None if state == "waiting" else "n1"
        meta["ownerReferences"] = [owned_by(job)]
        pods.append(pod(f"p{number}", node_name=where, requests=GPU, meta=meta, status=status))
    running, waiting = made.count("running"), made.count("waiting")
    lacking = max(0, asked - running - waiting)
    assert sums(job, group, *pods) == (4 * (waiting + lacking), waiting + lacking)


ODD: list[Any] = [
    None,
    "",
    [],
    {},
    [None],
    -5,
    0,
    2**80,
    1e308,
    "1e400",
    "NaN",
    True,
    "x" * 5000,
    ["a"],
    {"a": {"b": 1}},
]


def places(tree: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to everything in a tree."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield (*way, key)
        yield from places(value, (*way, key))


@pytest.mark.parametrize("kind", ["Workload", "PodGroup"])
def test_nothing_that_a_queue_s_object_may_hold_ends_the_reading(kind: str) -> None:
    job = thing("Job", "train", "batch.volcano.sh/v1alpha1", spec={})
    group = kueue("pg", job, NO_QUOTA) if kind == "Workload" else volcano("Pending", 16, 4, job)
    group["status"]["reclaimablePods"] = [{"name": "main", "count": 1}]
    marks = {"annotations": {"gpu-memory": "1Gi"}}
    group["spec"].get("podSets", [{}])[0].setdefault("template", {})["metadata"] = marks
    others = [job, pod("p", node_name=None, requests=GPU, meta={"ownerReferences": [owned_by(job)]})]
    for way in places({key: group[key] for key in ("spec", "status")}):
        for odd in ODD:
            broken = deepcopy(group)
            above = broken
            for step in way[:-1]:
                above = above[step]
            above[way[-1]] = odd
            count, pods = sums(*others, broken)
            assert 4 <= count < 1e7, (way, odd)  # the pod that waits, whatever the object says
            assert pods >= 1
