"""MIG geometry: placements lie in the grid, layouts are possible, names and aliases are understood."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from gpuaudit.knowledge import gpus, mig

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
GRIDS = mig.all_geometries()
PROFILES = [(grid, row) for grid in GRIDS for row in grid.profiles]
SEVEN = [grid for grid in GRIDS if grid.compute_slices == 7]


def fits(grid: mig.MigGpu, wanted: Mapping[str, int]) -> bool:
    """Whether the instances can be placed together: brute force over the legal starts."""
    rows = sorted((mig.profile(grid, name) for name in Counter(wanted).elements()), key=lambda row: -row.size)
    if any(wanted[row.name] > row.max_instances for row in rows):
        return False
    if sum(row.media_extension for row in rows) > 1:
        return False
    for engine, budget in grid.engine_budget.items():
        if sum(getattr(row, engine) for row in rows) > budget:
            return False
    return placed(rows, frozenset())


def placed(rows: list[mig.MigProfile], taken: frozenset[int]) -> bool:
    if not rows:
        return True
    first, rest = rows[0], rows[1:]
    spots = (frozenset(range(start, start + first.size)) for start in first.starts)
    return any(placed(rest, taken | spot) for spot in spots if not spot & taken)


def layouts(grid: mig.MigGpu, names: frozenset[str]) -> set[frozenset[tuple[str, int]]]:
    """All maximal layouts of the profiles, as sets of (profile, start)."""
    spots = [(row.name, start, row.size) for row in grid.profiles if row.name in names for start in row.starts]

    @cache
    def complete(chosen: frozenset[tuple[str, int, int]]) -> frozenset[frozenset[tuple[str, int, int]]]:
        taken = {slot for _, start, size in chosen for slot in range(start, start + size)}
        more = [spot for spot in spots if not taken & set(range(spot[1], spot[1] + spot[2]))]
        if not more:
            return frozenset({chosen})
        return frozenset().union(*(complete(chosen | {spot}) for spot in more))

    return {frozenset((name, start) for name, start, _ in layout) for layout in complete(frozenset())}


def plain(grid: mig.MigGpu) -> Iterator[mig.MigProfile]:
    return (row for row in grid.profiles if re.fullmatch(r"\d+g\.\d+gb", row.name))


def test_keys_and_profile_names_are_unique() -> None:
    assert len({grid.key for grid in GRIDS}) == len(GRIDS)
    for grid in GRIDS:
        assert len({row.name for row in grid.profiles}) == len(grid.profiles)
        assert len({row.gi_profile_id for row in grid.profiles}) == len(grid.profiles)


@pytest.mark.parametrize(("grid", "row"), PROFILES, ids=lambda value: getattr(value, "name", None) or value.key)
def test_a_profile_lies_in_its_grid(grid: mig.MigGpu, row: mig.MigProfile) -> None:
    assert row.starts
    assert list(row.starts) == sorted(set(row.starts))
    assert row.starts[0] >= 0
    assert row.starts[-1] + row.size <= grid.memory_slots
    assert 1 <= row.g <= grid.compute_slices
    assert fits(grid, {row.name: row.max_instances})
    assert row.memory_mib is None or row.memory_mib > 0
    assert row.sm is None or grid.total_sm is None or row.sm <= grid.total_sm
    assert set(row.inferred) <= set(mig.MigProfile.__struct_fields__)
    assert row.nvml_profile in gpus.nvml_profile_enum()


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.key)
def test_sources_resolve(grid: mig.MigGpu) -> None:
    assert grid.sources
    tags = {*grid.sources, *(tag for row in grid.profiles for tag in row.verified)}
    assert tags <= set(mig.sources())
    assert all(row.source in mig.sources() for row in mig.unplaced())


@pytest.mark.parametrize("grid", SEVEN, ids=lambda grid: grid.key)
def test_seven_slice_gpus_have_the_known_layouts(grid: mig.MigGpu) -> None:
    names = {row.name for row in plain(grid)}
    double = next(row.name for row in plain(grid) if row.g == 1 and row.size == 2)
    without = layouts(grid, frozenset(names - {double}))
    every = layouts(grid, frozenset(names))
    assert len(without) == 19
    assert len({counts(layout) for layout in without}) == 14
    assert len(every) == 78
    assert len({counts(layout) for layout in every}) == 38


def test_a30_layouts() -> None:
    grid = mig.geometry("a30-24gb")
    found = layouts(grid, frozenset(row.name for row in plain(grid)))
    assert (len(found), len({counts(layout) for layout in found})) == (5, 4)


def counts(layout: frozenset[tuple[str, int]]) -> frozenset[tuple[str, int]]:
    return frozenset(Counter(name for name, _ in layout).items())


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.key)
def test_stock_layouts_are_possible(grid: mig.MigGpu) -> None:
    stock = mig.stock_layouts(grid)
    assert "all-balanced" in stock
    assert not set(stock) & set(mig.bare_layouts())
    for name, devices in stock.items():
        assert all(mig.profile(grid, profile).name == profile for profile in devices), name
        assert fits(grid, devices), name


def test_stock_layouts_name_only_known_gpus() -> None:
    assert {key for row in mig._file().stock for key in row.gpus} == {grid.key for grid in GRIDS}


def test_the_mixed_layout_of_an_80_gb_card_is_stock() -> None:
    for key in ("a100-80gb", "h100-sxm-80gb"):
        assert mig.stock_layouts(mig.geometry(key))["all-balanced"] == {"3g.40gb": 1, "2g.20gb": 1, "1g.10gb": 2}
    assert mig.stock_layouts(mig.geometry("a100-40gb"))["all-1g.10gb"] == {"1g.10gb": 4}
    assert mig.stock_layouts(mig.geometry("a100-80gb"))["all-1g.10gb"] == {"1g.10gb": 7}


@pytest.mark.parametrize(
    ("key", "wanted", "possible"),
    [
        ("a100-80gb", {"3g.40gb": 2, "1g.10gb": 1}, False),
        ("a100-80gb", {"4g.40gb": 2}, False),
        ("a100-80gb", {"4g.40gb": 1, "3g.40gb": 1}, True),
        ("a100-80gb", {"4g.40gb": 1, "3g.40gb": 1, "1g.10gb": 1}, False),
        ("a100-80gb", {"2g.20gb": 4}, False),
        ("a100-80gb", {"7g.80gb": 1, "1g.10gb": 1}, False),
        ("a100-80gb", {"1g.20gb": 5}, False),
        ("a100-80gb", {"1g.10gb+me": 2}, False),
        ("a100-80gb", {"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1}, True),
        ("rtx-pro-6000-96gb", {"1g.24gb+me.all": 1, "1g.24gb-me": 3}, True),
        ("rtx-pro-6000-96gb", {"1g.24gb+me.all": 1, "1g.24gb": 1}, False),
    ],
)
def test_what_nvidia_says_fits(key: str, wanted: dict[str, int], possible: bool) -> None:
    assert fits(mig.geometry(key), wanted) is possible


@pytest.mark.parametrize(("grid", "row"), PROFILES, ids=lambda value: getattr(value, "name", None) or value.key)
def test_every_spelling_of_a_profile(grid: mig.MigGpu, row: mig.MigProfile) -> None:
    dotted = row.name.replace("+", ".")
    for name in (row.name, row.k8s, dotted, f"MIG {row.name}", row.name.upper(), f"nvidia.com/{row.k8s}"):
        assert mig.profile(grid, name) is row, name
    assert mig.parse_resource(f"nvidia.com/{row.k8s}") == row.name
    assert mig.parse_resource(f"nvidia.com/{row.k8s}.shared") == row.name
    assert row.k8s == f"mig-{dotted}"


@pytest.mark.parametrize(
    ("key", "alias", "name"),
    [
        ("a100-80gb", "7g.79gb", "7g.80gb"),
        ("a100-80gb", "nvidia.com/mig-7g.79gb", "7g.80gb"),
        ("h100-sxm-80gb", "7g.79gb", "7g.80gb"),
        ("gb200-186gb", "7g.189gb", "7g.186gb"),
        ("gb200-186gb", "3g.95gb", "3g.93gb"),
        ("a100-80gb", "7g.40gb", None),
        ("a100-80gb", "1c.3g.40gb", None),
        ("a100-80gb", "gpu", None),
        ("a100-80gb", "", None),
    ],
)
def test_aliases(key: str, alias: str, name: str | None) -> None:
    found = mig.profile(mig.geometry(key), alias)
    assert (found and found.name) == name


def test_aliases_lead_to_profiles() -> None:
    for grid in GRIDS:
        for alias, name in grid.aliases.items():
            assert mig.profile(grid, name) is not None
            assert alias not in {row.name for row in grid.profiles}


@pytest.mark.parametrize(
    "resource", ["nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-", "rdma/ib", "nvidia.com/mig-x"]
)
def test_other_resources_are_no_profile(resource: str) -> None:
    assert mig.parse_resource(resource) is None


def test_a_compute_instance_is_part_of_a_profile() -> None:
    assert mig.split_compute("1c.3g.40gb") == (1, "3g.40gb")
    assert mig.split_compute("3g.40gb") == (None, "3g.40gb")
    assert mig.parse_resource("nvidia.com/mig-1c.3g.40gb") == "1c.3g.40gb"


def test_unknown_grid_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        mig.geometry("h100")
    assert mig.for_model(gpus.resolve("l40s")) is None


def test_a_real_device_prints_the_same() -> None:
    path = SHARED / "recordings" / "transcribed" / "lgip__a30-24gb.txt"
    if not path.is_file():
        pytest.skip("no recordings beside this checkout")
    grid = mig.geometry("a30-24gb")
    printed = re.findall(r"MIG (\S+)\s+(\d+)\s+\d+/(\d+)\s+([\d.]+)\s+\w+\s+(\d+)", path.read_text())
    assert len(printed) == len(grid.profiles)
    for name, number, instances, gib, sm in printed:
        row = mig.profile(grid, name)
        assert (row.gi_profile_id, row.max_instances, row.sm) == (int(number), int(instances), int(sm))
        assert row.memory_mib == pytest.approx(float(gib) * 1024, rel=0.005)


def test_real_placements_are_the_same() -> None:
    path = SHARED / "recordings" / "transcribed" / "lgipp__a30.txt"
    if not path.is_file():
        pytest.skip("no recordings beside this checkout")
    grid = mig.geometry("a30-24gb")
    printed = re.findall(r"Profile ID\s+(\d+) Placements?\s*: \{([\d,]+)\}:(\d+)", path.read_text())
    assert printed
    for number, starts, size in printed:
        row = next(row for row in grid.profiles if row.gi_profile_id == int(number))
        assert (row.starts, row.size) == (tuple(map(int, starts.split(","))), int(size))
