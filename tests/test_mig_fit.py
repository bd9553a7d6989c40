"""How many GPUs a set of profiles needs: the quick answer of the rules against the exact packer."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit.demand.mig.fit import cut, plain
from gpuaudit.knowledge import mig
from gpuaudit.plan import pack_cases
from gpuaudit.report.mig_data import packing_data

KEYS = ("a100-80gb-sxm", "h100-nvl", "h200", "a30")


def grid(key: str) -> mig.MigGpu:
    return pack_cases.gpu_with_mig(key)[1]


def demands(key: str) -> st.SearchStrategy[dict[str, int]]:
    names = [row.name for row in plain(grid(key))]
    return st.dictionaries(st.sampled_from(names), st.integers(0, 20), max_size=4)


cases = st.sampled_from(KEYS).flatmap(lambda key: st.tuples(st.just(key), demands(key)))


@given(cases)
@settings(max_examples=60, deadline=None)
def test_the_quick_answer_lies_close_above_the_exact_one(case: tuple[str, Mapping[str, int]]) -> None:
    key, demand = case
    wanted = {name: count for name, count in demand.items() if count}
    if not wanted:
        return
    exact = packing_data(pack_cases.fewest(key, list(wanted.items())))["gpus"]
    quick = cut(grid(key), wanted)
    assert quick.at_least <= exact <= quick.gpus <= exact * 1.2 + 1


@pytest.mark.parametrize(
    ("wanted", "gpus", "stock"),
    [
        ({"1g.10gb": 7}, 1, "all-1g.10gb"),
        ({"1g.10gb": 8}, 2, "all-1g.10gb"),
        ({"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1}, 1, "all-balanced"),
        ({"3g.40gb": 1, "4g.40gb": 1}, 1, None),
        ({"4g.40gb": 2}, 2, "all-4g.40gb"),
        ({"2g.20gb": 4}, 2, "all-2g.20gb"),
    ],
)
def test_stock_layouts_are_named_where_they_need_no_more(wanted: dict[str, int], gpus: int, stock: str | None) -> None:
    found = cut(grid("a100-80gb-sxm"), wanted)
    assert (found.gpus, found.stock) == (gpus, stock)
