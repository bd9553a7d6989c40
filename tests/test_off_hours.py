"""Rhythms of rest: what has none is not given one, what has one is found to the hour."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit import demand
from gpuaudit.demand.work.off_hours import OffHours, _chance, off_hours
from tests.spells import NOW, Hour, pod, snapshot, spell

JOB = "c/Job/ml/j"


def rhythm(values: list[float], timezone: str = "UTC") -> OffHours | None:
    """Judge a device whose hours up to now were these."""
    hours: list[Hour] = [(len(values) - i, value) for i, value in enumerate(values)]
    given = snapshot(spell("n1/0", JOB, hours), pods=(pod("p", "n1", 1),))
    return off_hours(given, demand.tenures(given), timezone=timezone)


def hour_of_week(values: int) -> list[int]:
    starts = (NOW - timedelta(hours=values - i) for i in range(values))
    return [moment.weekday() * 24 + moment.hour for moment in starts]


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(0, 6), min_size=3), st.integers(0, 15), st.integers(2, 8))
def test_a_strict_rhythm_is_found_to_the_hour(days: set[int], start: int, length: int) -> None:
    working = {day * 24 + start + i for day in days for i in range(length)}
    found = rhythm([0.7 if slot in working else 0.0 for slot in hour_of_week(336)])
    assert found is not None
    assert found.broken == 0
    assert set(found.slots) == set(range(168)) - working


def test_one_spell_a_week_may_have_been_chance() -> None:
    assert rhythm([0.7 if 10 <= slot < 30 else 0.0 for slot in hour_of_week(336)]) is None


@pytest.mark.parametrize("rate", [0.03, 0.06, 0.1, 0.4])
def test_work_at_random_hours_has_no_rhythm(rate: float) -> None:
    import random

    found = 0
    for seed in range(15):
        chance = random.Random(f"{rate}/{seed}")
        told = rhythm([0.7 if chance.random() < rate else 0.0 for _ in range(336)])
        found += told is not None and told.hours_a_week >= 40
    assert found == 0


def test_a_day_less_than_two_weeks_shows_days_only() -> None:
    values = [0.7 if 8 <= slot % 24 < 18 else 0.0 for slot in hour_of_week(13 * 24)]
    found = rhythm(values)
    assert found is not None
    assert found.period == "day"
    assert found.hours_a_week == 7 * 14
    assert found.words == "Mon-Sun 00-08, 18-24"


def test_chance_is_that_of_a_binomial_and_large_numbers_do_not_break_it() -> None:
    assert _chance(0, 4, 0.5) == pytest.approx(1 / 16)
    assert _chance(1, 4, 0.5) == pytest.approx(5 / 16)
    assert _chance(4, 4, 0.3) == pytest.approx(1.0)
    assert _chance(400, 9000, 0.7) < 1e-300
    assert _chance(0, 5, 0.0) == _chance(0, 5, 1.0) == 1.0
