"""Every way to cut a GPU: the published counts, and the cases that are easy to get wrong."""

import pytest

from gpuaudit.knowledge import mig
from gpuaudit.plan import layout_check, layouts

SEVEN_SLICE = [gpu for gpu in mig.all_geometries() if gpu.compute_slices == 7]
EVERY = mig.all_geometries()


def plain(gpu: mig.MigGpu, *, double_memory: bool = True) -> list[str]:
    """Profiles without variants, with or without the 1g that has two memory slots."""
    rows = {row.name: row for row in gpu.profiles}
    return [name for name in layouts.plain_profiles(gpu) if double_memory or (rows[name].g, rows[name].size) != (1, 2)]


@pytest.mark.parametrize("gpu", SEVEN_SLICE, ids=lambda gpu: gpu.key)
def test_seven_slice_boards_have_the_published_layouts(gpu: mig.MigGpu) -> None:
    assert layouts.census(gpu, plain(gpu)) == (722, 78, 38, 28)
    assert layouts.census(gpu, plain(gpu, double_memory=False)) == (297, 19, 14, 12)


def test_the_a30_and_the_rtx_pro_6000_have_their_own_grids() -> None:
    for key in ("a30-24gb", "rtx-pro-6000-96gb"):
        gpu = mig.geometry(key)
        assert layouts.census(gpu, plain(gpu)) == (25, 5, 4, 4)


@pytest.mark.parametrize("gpu", EVERY, ids=lambda gpu: gpu.key)
def test_the_independent_check_finds_the_same_layouts(gpu: mig.MigGpu) -> None:
    legal = layouts.legal_layouts(gpu)
    assert len(set(legal)) == len(legal) == layout_check.layout_count(gpu)
    assert not [layout for layout in legal if layout_check.layout_problems(gpu, layout)]
    assert not [layout for layout in legal if layout_check.order_problems(gpu, layout)]


@pytest.mark.parametrize("gpu", EVERY, ids=lambda gpu: gpu.key)
def test_every_pattern_stands_on_a_gpu_as_counted(gpu: mig.MigGpu) -> None:
    for counts in layouts.patterns(gpu.key):
        layout = layouts.placed(gpu.key, counts)
        assert layouts.counts_of(gpu, layout) == counts
        assert not layout_check.layout_problems(gpu, layout)


@pytest.mark.parametrize("gpu", EVERY, ids=lambda gpu: gpu.key)
def test_every_stock_layout_is_legal_and_known_by_name(gpu: mig.MigGpu) -> None:
    named = layouts.stock_names(gpu.key)
    assert set(named.values()) == set(mig.stock_layouts(gpu))
    for counts in named:
        assert not layout_check.layout_problems(gpu, layouts.placed(gpu.key, counts))


@pytest.mark.parametrize(
    "held",
    [
        {"3g.40gb": 2, "1g.10gb": 1},
        {"4g.40gb": 2},
        {"4g.40gb": 1, "3g.40gb": 1, "1g.10gb": 1},
        {"2g.20gb": 4},
        {"7g.80gb": 1, "1g.10gb": 1},
        {"1g.20gb": 5},
        {"1g.10gb+me": 2},
        {"1g.10gb": 7, "1g.10gb+me": 1},
        {"1g.10gb": 8},
    ],
    ids=str,
)
def test_what_does_not_fit_is_not_placed(held: dict[str, int]) -> None:
    gpu = mig.geometry("a100-80gb")
    with pytest.raises(KeyError):
        layouts.placed(gpu.key, tuple(held.get(row.name, 0) for row in gpu.profiles))


def test_what_fits_in_one_order_only_is_placed_in_that_order() -> None:
    gpu = mig.geometry("a100-80gb")
    held = {"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1}
    layout = layouts.placed(gpu.key, tuple(held.get(row.name, 0) for row in gpu.profiles))
    assert [tuple(one) for one in layout] == [("3g.40gb", 4), ("2g.20gb", 0), ("1g.10gb", 2), ("1g.10gb", 3)]


def test_what_is_left_free_keeps_most_ways_to_go_on() -> None:
    gpu = mig.geometry("a100-80gb")
    (one,) = layouts.placed(gpu.key, (1, 0, 0, 0, 0, 0, 0))
    assert one.start == 6  # beside it a 4g, a 3g or three 2g still fit


def test_media_engines_of_the_rtx_pro_6000_are_one_budget() -> None:
    gpu = mig.geometry("rtx-pro-6000-96gb")
    take_all = [("1g.24gb+me.all", 0)]
    assert not layout_check.layout_problems(gpu, [*take_all, *(("1g.24gb-me", start) for start in (3, 6, 9))])
    assert layout_check.layout_problems(gpu, [*take_all, ("1g.24gb", 3)])
    assert layout_check.layout_problems(gpu, [("1g.24gb+me", 0), ("1g.24gb+me.all", 3)])
    assert all(
        sum("+me" in one.profile for one in layout) <= 1
        and (all(one.profile.endswith("-me") for one in layout[1:] + layout[:1] if "+me.all" not in one.profile))
        for layout in layouts.legal_layouts(gpu)
        if any("+me.all" in one.profile for one in layout)
    )
