"""History → need: tenures add up to hand-made hours; the judgement holds what it promises."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit import demand
from gpuaudit.cluster.platform import Source
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import Tenure
from gpuaudit.demand.usage.units import weakest
from tests.spells import NOW, Hour, all_hours, pod, snapshot, spell


def only(given: Snapshot) -> Tenure:
    (tenure,) = demand.tenures(given)
    return tenure


# --- tenures -----------------------------------------------------------------------------------------------------


def test_nothing_measured_is_no_tenure() -> None:
    assert demand.tenures(snapshot()) == ()


def test_a_device_held_all_window() -> None:
    tenure = only(snapshot(spell("n1/0", "c/Job/ml/j", all_hours(0.5), util_p95=0.6)))
    assert tenure.held_hours == pytest.approx(336)
    assert tenure.observed_hours == pytest.approx(336)
    assert tenure.gpu_hours == pytest.approx(336)
    assert tenure.util_mean == pytest.approx(0.5)
    assert tenure.util_max == pytest.approx(0.5)
    assert tenure.util_p95 == pytest.approx(0.6)
    assert tenure.dram_mean is None
    assert tenure.model == "h100-80gb-sxm"
    assert tenure.power_limit_watts == 700
    assert tenure.last_worked == NOW - timedelta(hours=1)


def test_the_mean_weighs_samples_and_skips_what_was_not_seen() -> None:
    rows, device = spell("n1/0", "c/Job/ml/j", [(3, 0.2), (2, 0.8), (1, 0.5)])
    rows[0]["samples"], rows[2]["util_mean"] = 60.0, float("nan")
    tenure = only(snapshot((rows, device)))
    assert tenure.util_mean == pytest.approx((60 * 0.2 + 120 * 0.8) / 180)
    assert tenure.observed_hours == pytest.approx(1.5)
    assert tenure.gpu_hours == pytest.approx(2.5)


def test_a_gap_is_held_and_not_observed() -> None:
    hours = [one for one in all_hours(0.0) if not 100 <= one[0] < 150]
    tenure = only(snapshot(spell("n1/0", "c/Job/ml/j", hours)))
    assert tenure.held_hours == pytest.approx(336)
    assert tenure.observed_hours == pytest.approx(286)
    assert tenure.observed_ratio == pytest.approx(286 / 336)


def test_hours_that_others_held_the_device_are_not_held() -> None:
    mine = [(h, 0.0) for h in range(200, 100, -1)] + [(h, 0.0) for h in range(50, 0, -1)]
    others = [(h, 0.9) for h in range(100, 50, -1)]
    found = demand.tenures(snapshot(spell("n1/0", "c/Job/ml/a", mine), spell("n1/0", "c/Job/ml/b", others)))
    assert [tenure.held_hours for tenure in found] == pytest.approx([150, 50])
    assert found[0].observed_ratio == pytest.approx(1.0)


def test_a_running_pod_held_the_device_before_the_metrics_began() -> None:
    given = snapshot(spell("n1/0", "c/Job/ml/j", all_hours(0.0, 200)), pods=(pod("p", "n1", 1),))
    assert only(given).held_hours == pytest.approx(336)
    assert demand.idle(only(given)) is None


def test_a_mig_device_counts_its_share() -> None:
    tenure = only(snapshot(spell("n1/0", "c/Job/ml/j", all_hours(0.5), gpus=3 / 7, profile="3g.40gb")))
    assert tenure.gpu_hours == pytest.approx(336 * 3 / 7, rel=1e-6)
    assert tenure.held_hours == pytest.approx(336)
    assert tenure.memory_share is None


def test_owners_of_a_shared_device_share_its_gpu_hours_not_its_clock() -> None:
    rows, device = spell("n1/0", "c/Job/ml/a", all_hours(0.0), shared=True)
    rows2, device2 = spell("n1/0", "c/Job/ml/b", all_hours(0.0), shared=True)
    for row in (*rows, *rows2):
        row["samples"] = 60.0
    found = demand.tenures(snapshot((rows, device), (rows2, device2)))
    assert [tenure.held_hours for tenure in found] == pytest.approx([336, 336])
    assert sum(tenure.gpu_hours for tenure in found) == pytest.approx(336)
    assert {demand.idle(tenure) for tenure in found} == {"likely"}


def test_a_point_in_time_stands_for_no_hours() -> None:
    tenure = only(snapshot(spell("n1/0", "c/Job/ml/j", [(1, 0.0)], interval_seconds=float("nan"))))
    assert tenure.gpu_hours == 0
    assert tenure.util_mean == 0
    assert demand.idle(tenure) is None
    assert demand.bucket(tenure) == "idle"


def test_who_holds_it_now() -> None:
    ended = spell("n1/0", "c/Job/ml/j", all_hours(0.5, 300, 100))
    assert not only(snapshot(ended)).current
    going = spell("n1/0", "c/Job/ml/j", all_hours(0.5))
    assert only(snapshot(going, pods=(pod("p", "n1"),))).current
    assert only(snapshot(going, pods=(pod("renamed", "n1"),))).current
    assert not only(snapshot(going)).current, "the pods were listed, none of them holds it"
    blind = (Source(name="s", status="ok", provides=("utilization", "pod_attribution")),)
    assert only(snapshot(going, sources=blind)).current


spans = st.lists(
    st.tuples(st.integers(1, 336), st.sampled_from([0.0, 0.005, 0.1, 0.9, float("nan")])), min_size=1, max_size=40
)


@settings(max_examples=60, deadline=None)
@given(spans, spans)
def test_tenures_never_claim_more_than_there_was(one: list[Hour], two: list[Hour]) -> None:
    mine = dict(one)
    theirs = {hour: util for hour, util in two if hour not in mine}
    spells = [spell("n1/0", "c/Job/ml/a", list(mine.items()))]
    if theirs:
        spells.append(spell("n1/0", "c/Job/ml/b", list(theirs.items())))
    found = demand.tenures(snapshot(*spells))
    assert sum(tenure.gpu_hours for tenure in found) == pytest.approx(len(mine) + len(theirs))
    for tenure in found:
        assert 0 <= tenure.observed_hours <= tenure.held_hours + 1e-6
        assert tenure.held_hours <= 336 + 1e-6
        assert demand.bucket(tenure) in ("idle", "underused", "busy", "unknown")
        seen = [u for u in (mine if tenure.owner.endswith("a") else theirs).values() if not math.isnan(u)]
        assert (demand.bucket(tenure) == "unknown") == (not seen)
        if demand.idle(tenure):
            assert max(seen) < 0.01
            assert demand.underused(tenure) is None


# --- judgement ---------------------------------------------------------------------------------------------------

BASE = only(snapshot(spell("n1/0", "c/Job/ml/j", all_hours(0.0), util_p95=0.0)))


@pytest.mark.parametrize(
    ("hours", "sureness"), [(23, None), (24, "investigate"), (71, "investigate"), (72, "likely"), (168, "confirmed")]
)
def test_how_sure_idle_is_grows_with_age(hours: float, sureness: str | None) -> None:
    assert demand.idle(replace(BASE, held_hours=hours, observed_hours=hours)) == sureness


@pytest.mark.parametrize(
    ("drawn", "floor", "limit", "denies"),
    [
        (70, 68, 700, False),  # H100 at rest
        (125, 118, 700, False),  # a model in memory holds the clocks up
        (420, 70, 700, True),
        (350, 350, 700, True),  # a floor that high is no idle floor
        (27, 27, 70, False),  # T4 with a context
        (33, 30, 72, False),  # L4 with a context
        (60, 16, 72, True),
        (90, 60, None, False),
        (200, 60, None, True),
        (200, None, None, False),
        (None, 60, 700, False),
    ],
)
def test_power_as_veto(drawn: float | None, floor: float | None, limit: float | None, denies: bool) -> None:
    tenure = replace(
        BASE, power_p95_watts=drawn, power_mean_watts=drawn, power_floor_watts=floor, power_limit_watts=limit
    )
    assert demand.power_denies(tenure) is denies
    assert (demand.idle(tenure) is None) is denies
    assert not demand.power_denies(replace(tenure, profile="3g.40gb")), "a MIG device has no power draw of its own"


@pytest.mark.parametrize(
    ("mean", "p95", "dram", "bucket"),
    [
        (0.1, 0.3, None, "underused"),
        (0.1, 0.3, 0.1, "underused"),
        (0.1, 0.3, 0.2, "busy"),  # 0.2 / 0.8 = 25 %
        (0.1, 0.5, None, "busy"),
        (0.2, 0.3, None, "busy"),
        (0.1, None, None, "busy"),
        (None, None, None, "unknown"),
    ],
)
def test_buckets(mean: float | None, p95: float | None, dram: float | None, bucket: str) -> None:
    tenure = replace(BASE, util_mean=mean, util_max=mean, util_p95=p95, dram_mean=dram, dram_p95=dram, held_hours=5)
    assert demand.bucket(tenure) == bucket
    assert demand.underused(tenure) is None, "the minimum age governs findings"
    old = replace(tenure, held_hours=168, observed_hours=160)
    assert (demand.underused(old) == "confirmed") == (bucket == "underused")


def test_the_weakest_of_several() -> None:
    assert weakest(["confirmed", "likely"]) == "likely"
    assert weakest(["confirmed", None]) is None
    assert weakest([]) is None
