"""The replay against an event-by-event simulation on random cases, and against closed forms on simple ones."""

from collections import defaultdict
from dataclasses import dataclass, field
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit.plan.replay import arrivals as arrivals_module
from gpuaudit.plan.replay.arrivals import Arrivals
from gpuaudit.plan.replay.break_even import break_even
from gpuaudit.plan.replay.policies import Policy, Replay, replay
from gpuaudit.plan.replay.timeline import exact_sum

S = 10**9
Row = tuple[int, int, str]  # arrival, duration, model


def recorded(rows: list[Row]) -> Arrivals:
    names = tuple(dict.fromkeys(model for _, _, model in rows))
    return Arrivals(
        np.array([a for a, _, _ in rows], np.int64),
        np.array([a + d for a, d, _ in rows], np.int64),
        np.array([names.index(model) for _, _, model in rows], np.int32),
        names,
    )


@dataclass
class Instance:
    """One GPU from its start to its end."""

    start: int
    ends: list[int] = field(default_factory=list)
    last_row: int = 0

    @property
    def last_end(self) -> int:
        return max(self.ends)


@dataclass
class Played:
    gpu: int = 0
    cold: int = 0
    waits: list[int] = field(default_factory=list)


def play(rows: list[Row], keep_alive: int, load: int, slots: int | None) -> Played:
    """Simulate one request after another, every instance of every model a separate object."""
    played = Played()
    by_model = defaultdict(list)
    for arrival, duration, model in rows:
        by_model[model].append((arrival, arrival + duration))
    for requests in by_model.values():
        live: list[Instance] = []
        for row, (arrival, end) in enumerate(sorted(requests)):
            for one in [one for one in live if one.last_end + keep_alive < arrival]:
                played.gpu += one.last_end + keep_alive - one.start
                live.remove(one)
            room = [one for one in live if slots is None or sum(e > arrival for e in one.ends) < slots]
            if room:
                chosen = max(room, key=lambda one: (one.last_end, one.last_row))
            else:
                chosen = Instance(arrival)
                live.append(chosen)
                played.cold += 1
            chosen.ends.append(end)
            chosen.last_row = row
            played.waits.append(max(0, chosen.start + load - arrival))
        played.gpu += sum(one.last_end + keep_alive - one.start for one in live)
    played.gpu += played.cold * load
    return played


def quantile(waits: list[int]) -> int:
    return sorted(waits)[ceil(len(waits) * 95 / 100) - 1]


times = st.one_of(st.integers(0, 12), st.integers(0, 400))
rows_of = st.lists(st.tuples(times, st.one_of(st.just(0), st.integers(0, 25)), st.sampled_from("abc")), min_size=1)
keep_alives_of = st.lists(st.integers(0, 40), min_size=1, max_size=4)
loads_of = st.none() | st.integers(0, 30)
slots_of = st.none() | st.integers(1, 4)


@settings(max_examples=300, deadline=None)
@given(rows_of, keep_alives_of, loads_of, slots_of)
def test_every_policy_equals_an_event_by_event_simulation(
    rows: list[Row], keep_alives: list[int], load: int | None, slots: int | None
) -> None:
    result = replay(recorded(rows), keep_alives, load=load, slots=slots)
    assert [policy.keep_alive for policy in result.policies[:-2]] == keep_alives
    for policy in result.policies[:-2]:
        played = play(rows, policy.keep_alive or 0, load or 0, slots)
        assert (policy.gpu, policy.cold_starts) == (played.gpu, played.cold)
        assert policy.p95_wait == (None if load is None else quantile(played.waits))


def forever(rows: list[Row], slots: int | None) -> tuple[dict[str, int], int, list[int]]:
    """Return the peak instances by model, the union of serving time, and the idle gaps, instance by instance."""
    peaks: dict[str, int] = {}
    busy, gaps = 0, []
    for model in {model for _, _, model in rows}:
        live: list[list[tuple[int, int]]] = []
        touched: list[int] = []
        for row, (arrival, end) in enumerate(sorted((a, a + d) for a, d, m in rows if m == model)):
            room = [i for i, held in enumerate(live) if slots is None or sum(e > arrival for _, e in held) < slots]
            if not room:
                live.append([])
                touched.append(0)
                room = [len(live) - 1]
            chosen = max(room, key=lambda i: (max((e for _, e in live[i]), default=0), touched[i]))
            live[chosen].append((arrival, end))
            touched[chosen] = row
        peaks[model] = len(live)
        for held in live:
            until = held[0][0]
            for arrival, end in held:
                if arrival > until:
                    gaps.append(arrival - until)
                    until = arrival
                busy += max(0, end - until)
                until = max(until, end)
    return peaks, busy, gaps


@settings(max_examples=200, deadline=None)
@given(rows_of, loads_of, slots_of)
def test_the_yardsticks_equal_their_definitions(rows: list[Row], load: int | None, slots: int | None) -> None:
    result = replay(recorded(rows), [0], load=load, slots=slots)
    peaks, busy, gaps = forever(rows, slots)
    horizon = max(a + d for a, d, _ in rows) - min(a for a, _, _ in rows)
    assert (result.horizon, result.busy, result.models) == (horizon, busy, len(peaks))
    assert sorted(result.gaps.tolist()) == sorted(gaps)
    always, oracle = result.policies[-2:]
    assert (always.gpu, always.cold_starts) == (sum(peaks.values()) * horizon, 0)
    assert oracle.gpu == busy + sum(min(gap, load or 0) for gap in gaps)
    moments = [a for a, _, _ in rows]
    in_service = [sum(a <= t < a + d for a, d, _ in rows) for t in moments]
    alone = [1 + sum(a < t < a + d for a, d, _ in rows) for t, d, _ in rows if d == 0]
    assert result.peak == max([*in_service, *alone])


@settings(max_examples=100, deadline=None)
@given(rows_of, st.integers(0, 40), st.integers(0, 30), slots_of, st.randoms())
def test_rows_come_in_any_order(rows: list[Row], keep: int, load: int, slots: int | None, random: object) -> None:
    mixed = list(rows)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    first, second = (replay(recorded(order), [keep], load=load, slots=slots) for order in (rows, mixed))
    assert first.policies == second.policies


@settings(max_examples=100, deadline=None)
@given(rows_of, keep_alives_of, loads_of, slots_of)
def test_longer_keep_alives_never_start_colder_and_none_beats_foresight(
    rows: list[Row], keep_alives: list[int], load: int | None, slots: int | None
) -> None:
    *kept, _, oracle = replay(recorded(rows), sorted(keep_alives), load=load, slots=slots).policies
    assert [one.cold_starts for one in kept] == sorted((one.cold_starts for one in kept), reverse=True)
    assert all(one.gpu >= oracle.gpu for one in kept)


@settings(max_examples=60, deadline=None)
@given(rows_of, keep_alives_of, st.integers(0, 30), slots_of)
def test_work_in_pieces_gives_the_same_sums(
    rows: list[Row], keep_alives: list[int], load: int, slots: int | None
) -> None:
    whole = replay(recorded(rows), keep_alives, load=load, slots=slots)
    before = arrivals_module.BATCH
    arrivals_module.BATCH = 1
    try:
        pieces = replay(recorded(rows), keep_alives, load=load, slots=slots)
    finally:
        arrivals_module.BATCH = before
    assert pieces.policies == whole.policies


@settings(max_examples=100, deadline=None)
@given(rows_of, st.integers(0, 30), slots_of)
def test_the_cheapest_keep_alive_and_the_break_even_are_where_the_replay_says(
    rows: list[Row], load: int, slots: int | None
) -> None:
    rows = [(a, d, "one") for a, d, _ in rows]

    def at(keep: int) -> int:
        return replay(recorded(rows), [keep], load=load, slots=slots).policies[0].gpu

    result = replay(recorded(rows), [0], load=load, slots=slots)
    always = result.policies[-2].gpu
    found = break_even(
        result.gaps, instances=int(result.use.instances[0]), busy=result.busy, load=load, always_on=always
    )
    every = {keep: at(keep) for keep in range(450)}
    assert found.cheapest_gpu == min(every.values()) == every[found.cheapest]
    under = [keep for keep, gpu in every.items() if gpu <= always]
    assert found.up_to == max(under, default=None)


def one(rows: list[Row], keep: int, **options: int | None) -> Policy:
    return replay(recorded(rows), [keep], **options).policies[0]


def test_a_request_at_the_very_end_of_the_keep_alive_is_warm() -> None:
    rows = [(0, 10 * S, "m"), (70 * S, 0, "m")]
    assert one(rows, 60 * S).cold_starts == 1
    assert one(rows, 60 * S - 1).cold_starts == 2
    assert one([(0, 10 * S, "m"), (10 * S, S, "m")], 0).cold_starts == 1
    assert one([(0, 10 * S, "m"), (10 * S + 1, S, "m")], 0).cold_starts == 2


def test_the_last_keep_alive_counts_in_full_and_loads_shift_no_end() -> None:
    rows = [(0, 10 * S, "m"), (100 * S, 10 * S, "m")]
    assert one(rows, 30 * S).gpu == (10 + 30 + 10 + 30) * S
    assert one(rows, 30 * S, load=7 * S).gpu == (10 + 30 + 10 + 30 + 2 * 7) * S
    assert one(rows, 90 * S).gpu == (110 + 90) * S


def test_a_single_instant_has_no_horizon_and_no_gpu_time() -> None:
    result = replay(recorded([(5, 0, "m")]), [0, S])
    assert [(policy.gpu, policy.cold_starts) for policy in result.policies] == [(0, 1), (S, 1), (0, 0), (0, 0)]
    assert (result.horizon, result.peak) == (0, 1)


def test_the_most_recently_idle_instance_is_taken_first() -> None:
    rows = [(0, 10, "m"), (0, 20, "m"), (30, 5, "m"), (60, 5, "m")]  # 30 goes to the one idle since 20, 60 to that too
    assert replay(recorded(rows), [], slots=1).gaps.tolist() == [10, 25]


def test_with_slots_a_serving_instance_is_taken_before_an_idle_one() -> None:
    rows = [(0, 100, "m"), (0, 100, "m"), (0, 10, "m"), (50, 5, "m")]  # two slots: the third starts a second instance
    result = replay(recorded(rows), [1000], slots=2)
    assert int(result.use.instances[0]) == 2
    full = [(0, 100, "m"), (0, 10, "m"), (0, 10, "m"), (50, 5, "m")]
    assert replay(recorded(full), [1000], slots=2).gaps.tolist() == []  # the first has a free slot again at 10


def test_waits_are_the_whole_load_or_the_rest_of_it() -> None:
    rows = [(0, 1, "m"), *((second, 0, "m") for second in range(1, 11))]
    # 11 requests: one waits 8, then 7, 6 ... 1, and three for nothing; the nearest rank of 95 % is the longest
    assert one(rows, 100, load=8).p95_wait == 8
    many = [(0, 1, "m")] + [(1000 + i, 0, "m") for i in range(40)]
    assert one(many, 10_000, load=8).p95_wait == 0
    assert one(many, 0, load=8).p95_wait == 8
    assert one(many, 0).p95_wait is None
    assert one(many, 0, load=0).p95_wait == 0


def test_sums_do_not_overflow() -> None:
    year = 365 * 24 * 3600 * S
    rows = [(i * year, 30 * year, f"m{i}") for i in range(50)]
    result = replay(recorded(rows), [10**18 * 5])
    assert result.busy == 50 * 30 * year
    assert result.policies[0].gpu == 50 * (30 * year + 5 * 10**18)
    assert exact_sum(np.full(100, 2**62, np.int64)) == 100 * 2**62


def spread_far(result: Replay) -> list[tuple[int, int]]:
    return [(policy.gpu, policy.cold_starts) for policy in result.policies]


def test_many_instances_over_many_years_fall_back_to_ranks() -> None:
    year = 365 * 24 * 3600 * S
    rows = [(i % 2 * 100 * year, (i % 7) * S, f"m{i // 2}") for i in range(40)]
    shifted = [(a - 50 * year, d, m) for a, d, m in rows]
    assert spread_far(replay(recorded(rows), [S])) == spread_far(replay(recorded(shifted), [S]))
    played = play(rows, S, 0, None)
    assert spread_far(replay(recorded(rows), [S]))[0] == (played.gpu, played.cold)


@pytest.mark.parametrize("slots", [None, 1, 3])
def test_models_do_not_share_instances(slots: int | None) -> None:
    rows = [(0, 10, "a"), (20, 10, "b")]
    result = replay(recorded(rows), [100], slots=slots)
    assert result.policies[0].cold_starts == 2
    assert result.policies[-2].gpu == 2 * 30
