"""What a pool keeps in reserve, what is free, empty and lost."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit import demand
from gpuaudit.cluster.nodes import Resource
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Workload
from gpuaudit.demand.capacity.reserve import Reserve
from tests.spells import NOW, all_hours, node, pod, snapshot, spell


def of(given: Snapshot) -> Reserve:
    (reserve,) = demand.reserve(given).values()
    return reserve


def test_reserve_of_a_pool_for_its_fullest_node() -> None:
    nodes = tuple(node(f"n{i}") for i in range(1, 5))
    reserve = of(snapshot(nodes=nodes, pods=(pod("a", "n1"), pod("b", "n2", 4))))
    assert reserve.kept == ("n3",)
    assert (reserve.failure_gpus, reserve.surge_gpus, reserve.fullest, reserve.covered) == (8, 0, "n1", True)


def test_surge_of_the_largest_roll_out() -> None:
    owner = "c/Deployment/ml/d"
    workload = Workload(id=owner, cluster="c", kind="Deployment", namespace="ml", name="d", max_surge="50%")
    nodes = tuple(node(f"n{i}") for i in range(1, 4))
    pods = tuple(pod(f"d{i}", "n1", 2, owner) for i in range(4))
    reserve = of(snapshot(nodes=nodes, pods=pods, workloads=(workload,)))
    assert (reserve.failure_gpus, reserve.surge_gpus, reserve.kept) == (8, 4, ("n2", "n3"))


def test_what_can_cover_nothing_is_not_held_back() -> None:
    nodes = (node("n1"), node("n2"), node("n3", cordoned=True))
    reserve = of(snapshot(nodes=nodes, pods=(pod("a", "n1"), pod("b", "n2", 5))))
    assert not reserve.covered
    assert dict(reserve.held_back) == {}


def test_a_holding_of_unknown_size_fills_its_node() -> None:
    reserve = of(snapshot(nodes=(node("n1"), node("n2")), pods=(pod("a", "n1", None),)))
    assert reserve.kept == ("n2",)


def fits_somewhere(pieces: list[float], room: list[float]) -> bool:
    """Try every placement."""
    for places in itertools.product(range(len(room)), repeat=len(pieces)):
        left = list(room)
        for piece, place in zip(pieces, places, strict=True):
            left[place] -= piece
        if min(left, default=0) >= 0:
            return True
    return not pieces


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.sampled_from([1, 2, 4, 8]), max_size=2), min_size=1, max_size=5))
def test_what_the_reserve_promises_holds(loads: list[list[int]]) -> None:
    loads = [load if sum(load) <= 8 else load[:1] for load in loads]
    nodes = tuple(node(f"n{i}") for i in range(len(loads)))
    pods = tuple(
        pod(f"p{i}-{j}", f"n{i}", g, f"c/Job/ml/j{i}{j}") for i, load in enumerate(loads) for j, g in enumerate(load)
    )
    given_snapshot = snapshot(nodes=nodes, pods=pods)
    reserve = of(given_snapshot)
    empty = {f"n{i}" for i, load in enumerate(loads) if not load}
    assert set(reserve.kept) <= empty
    free = {f"n{i}": 8.0 - sum(load) for i, load in enumerate(loads)}
    assert all(gpus <= free[name] + 1e-9 for name, gpus in reserve.held_back.items())
    if reserve.covered:
        for i, load in enumerate(loads):
            room = [free[name] for name in free if name != f"n{i}" and (name in reserve.kept or name not in empty)]
            assert fits_somewhere([float(piece) for piece in load], room)


# --- stranding and free ------------------------------------------------------------------------------------------


def test_free_and_lost() -> None:
    nodes = (node("n1"), node("n2", resources=(Resource(name="nvidia.com/gpu", capacity=8, allocatable=7),)))
    given_snapshot = snapshot(nodes=nodes, pods=(pod("a", "n1", 3), pod("b", "n2", 4)))
    assert [demand.lost_gpus(one) for one in nodes] == [0, 1]
    assert [demand.free_gpus(given_snapshot, one) for one in nodes] == [5, 3]
    unknown = snapshot(nodes=nodes, pods=(pod("a", "n1", None),))
    assert demand.free_gpus(unknown, nodes[0]) is None


def test_empty_since_the_last_owner_left() -> None:
    spells = [spell(f"n1/{i}", "c/Job/ml/j", all_hours(0.5, 336, 101)) for i in range(8)]
    spells += [spell(f"n1/{i}", "", all_hours(0.0, 100)) for i in range(8)]
    (empty,) = demand.empty_nodes(snapshot(*spells))
    assert empty.since == NOW - timedelta(hours=100) - timedelta(seconds=30)
    assert empty.hours == pytest.approx(100)
    assert not empty.all_window


def test_an_owner_that_the_metrics_do_not_name_may_have_been_there() -> None:
    spells = [spell(f"n1/{i}", "?", all_hours(0.5)) for i in range(8)]
    (empty,) = demand.empty_nodes(snapshot(*spells))
    assert empty.since is None


def test_the_answers_are_kept_and_a_changed_copy_starts_anew() -> None:
    given_snapshot = snapshot(nodes=(node("n1"),))
    assert demand.empty_nodes(given_snapshot) is demand.empty_nodes(given_snapshot)
    changed = replace(given_snapshot, pods=(pod("a", "n1"),))
    assert demand.empty_nodes(changed) == ()
