"""Packings: legal, complete, proven, equal to brute force where that is possible, and never dearer for less."""

from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from itertools import product
from math import ceil, inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit.errors import UserError
from gpuaudit.knowledge import mig
from gpuaudit.plan import certificate, layouts, pack_cases
from gpuaudit.plan.packing import pack
from gpuaudit.plan.program import Program, search, search_near
from gpuaudit.plan.program import relax as relaxed
from gpuaudit.plan.serving import serving
from gpuaudit.report.mig_data import mix_data, packing_data

KEYS = ("a100-80gb-sxm", "h100-nvl", "a30", "rtx-pro-6000")
PLENTY = 10**6


def grid(key: str) -> mig.MigGpu:
    return pack_cases.gpu_with_mig(key)[1]


def demands(key: str, most: int) -> st.SearchStrategy[dict[str, int]]:
    names = [row.name for row in grid(key).profiles]
    return st.dictionaries(st.sampled_from(names), st.integers(0, most), max_size=5)


cases = st.sampled_from(KEYS).flatmap(lambda key: st.tuples(st.just(key), demands(key, 12)))
big_cases = st.sampled_from(KEYS).flatmap(lambda key: st.tuples(st.just(key), demands(key, PLENTY)))


def fewest(key: str, demand: Mapping[str, int]) -> int:
    return packing_data(pack_cases.fewest(key, list(demand.items())))["gpus"]


@cache
def brute_force(mig_key: str, left: tuple[int, ...]) -> float:
    """Return the fewest GPUs by trying every full mix of profiles on the next GPU."""
    if not any(left):
        return 0
    tried = {tuple(max(0, a - b) for a, b in zip(left, held, strict=True)) for held in every_mix(mig_key)} - {left}
    return 1 + min((brute_force(mig_key, rest) for rest in minimal(tried)), default=inf)


def minimal(rows: set[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return [a for a in rows if not any(b != a and all(x <= y for x, y in zip(b, a, strict=True)) for b in rows)]


@cache
def every_mix(mig_key: str) -> frozenset[tuple[int, ...]]:
    gpu = mig.geometry(mig_key)
    return frozenset(layouts.counts_of(gpu, layout) for layout in layouts.legal_layouts(gpu))


@settings(max_examples=60, deadline=None)
@given(cases)
def test_a_packing_passes_the_independent_check_and_meets_its_bound(case: tuple[str, dict[str, int]]) -> None:
    key, demand = case
    data = packing_data(pack_cases.fewest(key, list(demand.items())))  # raises when the check finds fault
    assert (data["status"] == "optimal") == (data["gpus"] == data["lower_bound"])


@settings(max_examples=40, deadline=None)
@given(big_cases)
def test_a_large_demand_is_proven_too(case: tuple[str, dict[str, int]]) -> None:
    key, demand = case
    assert packing_data(pack_cases.fewest(key, list(demand.items())))["status"] == "optimal"


small = st.sampled_from(("a100-80gb-sxm", "a30", "rtx-pro-6000")).flatmap(
    lambda key: st.tuples(
        st.just(key),
        st.dictionaries(st.sampled_from([r.name for r in grid(key).profiles]), st.integers(0, 5), max_size=3),
    )
)


@settings(max_examples=60, deadline=None)
@given(small)
def test_a_small_packing_equals_brute_force(case: tuple[str, dict[str, int]]) -> None:
    key, demand = case
    gpu = grid(key)
    assert fewest(key, demand) == brute_force(gpu.key, tuple(demand.get(row.name, 0) for row in gpu.profiles))


@settings(max_examples=30, deadline=None)
@given(cases, st.data())
def test_less_demand_never_needs_more_gpus(case: tuple[str, dict[str, int]], data: st.DataObject) -> None:
    key, demand = case
    less = {name: data.draw(st.integers(0, count), label=name) for name, count in demand.items()}
    assert fewest(key, less) <= fewest(key, demand)


@settings(max_examples=30, deadline=None)
@given(cases)
def test_the_weights_add_up_to_the_bound_over_every_layout(case: tuple[str, dict[str, int]]) -> None:
    key, demand = case
    data = packing_data(pack_cases.fewest(key, list(demand.items())))
    weights = data["certificate"]
    assert min(weights.values()) >= 0
    assert max(sum(weights[one.profile] for one in layout) for layout in layouts.legal_layouts(grid(key))) <= 1 + 1e-9
    assert data["lower_bound"] == ceil(sum(weights[name] * count for name, count in demand.items()) - 1e-6)


@settings(max_examples=20, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["1g.10gb", "1g.20gb", "3g.40gb", "1g.6gb", "2g.12gb"]), st.integers(0, 4)),
    st.integers(100, 900),
    st.integers(100, 900),
)
def test_a_mix_equals_trying_every_number_of_gpus(demand: dict[str, int], dear: int, cheap: int) -> None:
    prices = [("a100-80gb-sxm", Fraction(dear, 100)), ("a30", Fraction(cheap, 100))]
    case = pack_cases.cheapest(prices, list(demand.items()))
    data = mix_data(case)  # raises when the check finds fault
    assert data["status"] == "optimal"
    assert data["usd_per_hour"] == pytest.approx(by_splitting(demand, prices))


def by_splitting(demand: Mapping[str, int], prices: list[tuple[str, Fraction]]) -> float:
    """Return the least price over every way to split each request between the two models."""
    grids = [grid(key) for key, _ in prices]
    stand_in = [serving(gpu, grids, list(demand)) for gpu in grids]
    best = inf
    for split in product(*(range(count + 1) for count in demand.values())):
        cost = 0.0
        parts = [
            dict(zip(demand, split, strict=True)),
            {n: c - s for (n, c), s in zip(demand.items(), split, strict=True)},
        ]
        for gpu, names, part, (_, price) in zip(grids, stand_in, parts, prices, strict=True):
            if any(count and name not in names for name, count in part.items()):
                cost = inf
                break
            left = [0] * len(gpu.profiles)
            for name, count in part.items():
                if count:
                    left[[row.name for row in gpu.profiles].index(names[name])] += count
            cost += float(price) * brute_force(gpu.key, tuple(left))
        best = min(best, cost)
    return best


def test_the_cheaper_of_two_equal_models_takes_all() -> None:
    prices = [("a100-80gb-sxm", Fraction("3.43")), ("h100-80gb-sxm", Fraction("6.88"))]
    data = mix_data(pack_cases.cheapest(prices, [("1g.10gb", 13), ("3g.40gb", 5)]))
    assert {one["gpu"] for one in data["layouts"]} == {"a100-80gb-sxm"}
    assert data["usd_per_hour"] == pytest.approx(5 * 3.43)


def test_a_stand_in_has_no_less_of_anything() -> None:
    a100, nvl, a30 = grid("a100-80gb-sxm"), grid("h100-nvl"), grid("a30")
    assert serving(nvl, [a100, nvl], ["1g.10gb", "3g.40gb", "1g.10gb+me"]) == {
        "1g.10gb": "1g.12gb",
        "3g.40gb": "3g.47gb",
        "1g.10gb+me": "1g.12gb+me",
    }
    assert serving(a100, [a100, nvl], ["1g.12gb"]) == {"1g.12gb": "2g.20gb"}  # 14 SMs and 9.5 GiB are too little
    assert serving(a30, [a100, a30], ["3g.40gb"]) == {}
    assert serving(grid("h20"), [a100, grid("h20")], ["1g.10gb"]) == {}  # what is not known serves nothing


def test_a_thousand_million_instances_are_packed_and_proven() -> None:
    demand = [("1g.10gb", 10**9), ("3g.40gb", 10**9 - 1), ("2g.20gb", 10**9 - 7), ("1g.20gb", 123_456_789)]
    data = packing_data(pack_cases.fewest("a100-80gb-sxm", demand))
    assert data["status"] == "optimal"


def test_stock_layouts_are_preferred_at_no_cost() -> None:
    case = pack_cases.fewest("a100-80gb-sxm", [("1g.10gb", 9), ("2g.20gb", 1), ("3g.40gb", 1)])
    assert sorted(str(pile.stock) for pile in case.packing.piles) == ["all-1g.10gb", "all-balanced"]
    case = pack_cases.fewest("a100-80gb-sxm", [("1g.10gb", 1)])
    assert [pile.stock for pile in case.packing.piles] == ["all-1g.10gb"]


def test_nothing_is_cut_that_nobody_asked_for_except_in_stock_layouts() -> None:
    demand = {"1g.10gb": 3, "1g.20gb": 1, "4g.40gb": 1}
    case = pack_cases.fewest("a100-80gb-sxm", list(demand.items()))
    held = [one.profile for pile in case.packing.piles if pile.stock is None for one in pile.layout * pile.count]
    assert all(held.count(name) <= demand.get(name, 0) for name in held)


def test_repeats_add_up_and_other_spellings_mean_the_same() -> None:
    case = pack_cases.fewest("a100-80gb-sxm", [("1g.10gb.me", 1), ("1g.10gb+me", 1), ("7g.79gb", 1)])
    assert case.demand == {"1g.10gb+me": 2, "7g.80gb": 1}
    assert sum(pile.count for pile in case.packing.piles) == 3


def test_no_demand_needs_no_gpu() -> None:
    data = packing_data(pack_cases.fewest("a30", [("1g.6gb", 0)]))
    assert (data["gpus"], data["lower_bound"], data["status"], data["layouts"]) == (0, 0, "optimal", [])
    assert mix_data(pack_cases.cheapest([("a30", Fraction(1))], [("1g.6gb", 0)]))["usd_per_hour"] == 0


def test_too_many_of_a_profile_are_refused() -> None:
    with pytest.raises(UserError, match="too many"):
        pack_cases.fewest("a30", [("1g.6gb", 10**9), ("1g.6gb", 1)])


@pytest.mark.parametrize("text", ["", "a30", "a30=", "=3", "a30=x", "a30=-1", "a30=0", "a30=inf", "a30=1.00001"])
def test_a_price_is_a_gpu_and_an_amount(text: str) -> None:
    with pytest.raises(UserError):
        pack_cases.read_price(text)


@pytest.mark.parametrize("text", ["1g.6gb", "=3", "1g.6gb=", "1g.6gb=1.5", "1g.6gb=-1", "1g.6gb=1e3", "1g.6gb=٣"])
def test_a_demand_is_a_profile_and_a_whole_number(text: str) -> None:
    with pytest.raises(UserError):
        pack_cases.read_demand([text])


def test_dual_prices_that_are_a_hair_too_high_are_mended() -> None:
    limits = [({"a": 3}, Fraction(1)), ({"a": 1, "b": 2}, Fraction(1))]
    demand = {"a": 10, "b": 10}
    weights = certificate.repaired({"a": 1 / 3 + 1e-9, "b": 1 / 3 + 1e-9}, demand, limits)
    assert weights == {"a": Fraction(1, 3), "b": Fraction(1, 3)}
    weights = certificate.repaired({"a": 0.9, "b": -1e-12}, demand, limits)  # nonsense is scaled down, never believed
    assert all(certificate.weight(weights, counts) <= most for counts, most in limits)


def test_a_search_that_may_not_look_proves_nothing() -> None:
    program = Program(costs=(1, 1), rows=({0: 2, 1: 3},), least=(7,))
    near = search_near(program, relaxed(program))
    assert near is not None
    assert near.cost == 3
    far = Program(costs=(1, 1), rows=({0: 2, 1: 3},), least=(10**9 + 1,))
    near = search_near(far, relaxed(far))
    assert near is not None
    assert near.cost == ceil((10**9 + 1) / 3)
    assert not near.proven
    assert search(Program(costs=(1,), rows=({0: -1},), least=(1,))) is None


def test_the_same_question_has_the_same_answer() -> None:
    demand = {"1g.10gb": 137, "1g.20gb": 51, "2g.20gb": 77, "3g.40gb": 31, "4g.40gb": 5}
    first, second = (pack_cases.fewest("h100-80gb-sxm", list(demand.items())) for _ in range(2))
    assert first.packing == second.packing
    assert pack(first.offers, demand) == first.packing
