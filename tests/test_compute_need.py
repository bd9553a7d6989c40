"""Measured compute need: upper estimates over devices and hours, unknown where a device was not seen."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit.cluster.nodes import Card
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import ComputeNeed, compute_needs
from tests.spells import Spell, all_hours, node, pod, snapshot, spell

JOB = "c/Job/ml/j"


def of(*spells: Spell, **facts: object) -> ComputeNeed:
    (need,) = compute_needs(running(*spells, **facts)).values()
    return need


def running(*spells: Spell, **facts: object) -> Snapshot:
    """Return the snapshot with a pod of the job that still runs."""
    pods = (pod("p", "n1", 2), pod("q", "n2", 1))
    return snapshot(*spells, **({"pods": pods} | facts))


def test_nothing_measured_is_no_need() -> None:
    assert compute_needs(snapshot()) == {}


def test_the_busiest_hour_counts_where_a_percentile_would_hide_it() -> None:
    hours = [(h, 0.9 if h % 24 == 3 else 0.05) for h, _ in all_hours(0.0)]
    need = of(spell("n1/0", JOB, hours, util_p95=0.06))
    assert need.sm == pytest.approx(0.9)
    assert need.hours == pytest.approx(336)
    assert need.observed == pytest.approx(1.0)
    assert (need.model, need.profile, need.metric) == ("h100-80gb-sxm", "", "sm_active")


def test_the_percentile_counts_where_the_mean_of_an_hour_hides_it() -> None:
    assert of(spell("n1/0", JOB, all_hours(0.3), util_p95=0.7)).sm == pytest.approx(0.7)


def test_the_highest_of_several_devices() -> None:
    need = of(spell("n1/0", JOB, all_hours(0.1)), spell("n1/1", JOB, all_hours(0.4)))
    assert need.sm == pytest.approx(0.4)


def test_a_device_without_the_metric_makes_it_unknown() -> None:
    rows, device = spell("n1/0", JOB, all_hours(0.1))
    for row in rows:
        row["dram_mean"] = 0.2
    need = of((rows, device), spell("n1/1", JOB, all_hours(0.4)))
    assert need.dram is None
    assert need.bandwidth is None
    assert need.sm == pytest.approx(0.4)


def test_what_no_metric_told_is_unknown_not_zero() -> None:
    need = of(spell("n1/0", JOB, all_hours(float("nan")), metric=""))
    assert (need.sm, need.tensor, need.dram, need.compute, need.bandwidth) == (None,) * 5
    assert need.because == "no utilization metric of its devices"


def test_tensor_and_bandwidth_count_against_their_ceilings() -> None:
    need = ComputeNeed(sm=0.3, tensor=0.465, dram=0.4)
    assert need.compute == pytest.approx(0.5)
    assert need.bandwidth == pytest.approx(0.5)


def test_several_kinds_of_device_at_once_are_not_comparable() -> None:
    cards = tuple(Card(index=i, model="l40s") for i in range(8))
    spells = (spell("n1/0", JOB, all_hours(0.1)), spell("n2/0", JOB, all_hours(0.4), node="n2", pod="q"))
    need = of(*spells, nodes=(node("n1"), node("n2", cards=cards)))
    assert need.sm is None
    assert "several kinds of device" in need.because


def test_a_metric_of_any_kernel_is_an_upper_bound() -> None:
    need = of(spell("n1/0", JOB, all_hours(0.4), metric="gpu_util"))
    assert "upper bound" in need.because


def test_work_that_ended_has_no_need() -> None:
    hours = [(h, 0.5) for h in range(300, 200, -1)]
    assert compute_needs(snapshot(spell("n1/0", JOB, hours))) == {}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=48), st.floats(0, 1))
def test_need_is_never_below_any_hour_nor_the_percentile(values: list[float], p95: float) -> None:
    hours = [(len(values) - i, value) for i, value in enumerate(values)]
    need = of(spell("n1/0", JOB, hours, util_p95=p95))
    assert need.sm is not None
    assert need.sm >= max(values) - 1e-6
    assert need.sm >= p95 - 1e-6
    assert need.sm <= max([*values, p95]) + 1e-6
    assert need.hours == pytest.approx(len(values), abs=1e-3)
