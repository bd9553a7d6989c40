"""Every way in which a GPU can be cut into MIG instances, enumerated from the placements of its profiles."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from gpuaudit.knowledge.mig import MigGpu, MigProfile, geometry, stock_layouts


class Instance(NamedTuple):
    """One GPU instance at its place. `start` is its first memory slot."""

    profile: str
    start: int


Layout = tuple[Instance, ...]  # in the order in which to create it: largest first
Counts = tuple[int, ...]  # instances by profile, in the order of `MigGpu.profiles`


class Census(NamedTuple):
    """How many layouts a GPU has. A maximal one has no room for another instance."""

    legal: int
    maximal: int
    patterns: int  # maximal layouts that differ in what they hold, not only in where
    undominated: int  # of those, the ones that no other pattern contains


def legal_layouts(gpu: MigGpu, profiles: Collection[str] | None = None) -> tuple[Layout, ...]:
    """Return every non-empty legal layout, of all profiles or of these alone."""
    rows = tuple(row for row in gpu.profiles if profiles is None or row.name in profiles)
    return tuple(_in_order(gpu, layout) for layout in _extended(gpu, rows, (), 0) if layout)


def maximal_layouts(gpu: MigGpu, profiles: Collection[str] | None = None) -> tuple[Layout, ...]:
    """Return the legal layouts that have no room for one more instance."""
    legal = {frozenset(layout): layout for layout in legal_layouts(gpu, profiles)}
    inside = {rest for whole in legal for one in whole if (rest := whole - {one})}
    return tuple(layout for key, layout in legal.items() if key not in inside)


def counts_of(gpu: MigGpu, layout: Layout) -> Counts:
    """Return how many instances of each profile a layout holds."""
    held = [instance.profile for instance in layout]
    return tuple(held.count(row.name) for row in gpu.profiles)


def undominated(counts: Collection[Counts]) -> tuple[Counts, ...]:
    """Return the patterns that no other one contains, in a fixed order."""
    rows = sorted(set(counts), reverse=True)
    return tuple(row for row in rows if not any(row != other and _within(row, other) for other in rows))


def census(gpu: MigGpu, profiles: Collection[str] | None = None) -> Census:
    """Count the layouts of a GPU, with all its profiles or with these alone."""
    maximal = maximal_layouts(gpu, profiles)
    patterns = {counts_of(gpu, layout) for layout in maximal}
    return Census(len(legal_layouts(gpu, profiles)), len(maximal), len(patterns), len(undominated(patterns)))


def plain_profiles(gpu: MigGpu) -> tuple[str, ...]:
    """Return the profiles whose name carries no media or graphics variant."""
    return tuple(row.name for row in gpu.profiles if row.name.endswith("gb"))


@cache
def patterns(mig_key: str) -> tuple[Counts, ...]:
    """Return the undominated patterns of a GPU: the columns that a packing is made of."""
    gpu = geometry(mig_key)
    return undominated({counts_of(gpu, layout) for layout in maximal_layouts(gpu)})


@cache
def stock_names(mig_key: str) -> Mapping[Counts, str]:
    """Return the patterns that have a name of their own in mig-parted's stock configuration."""
    gpu = geometry(mig_key)
    named = stock_layouts(gpu)
    return {tuple(named[name].get(row.name, 0) for row in gpu.profiles): name for name in sorted(named)}


@cache
def placed(mig_key: str, counts: Counts) -> Layout:
    """Return where to put these instances: of the legal placements, the one that leaves room for the largest.

    KeyError when they do not fit on one GPU.
    """
    every = _layouts_by_counts(mig_key)
    bigger = [(frozenset(one), key) for key, group in every.items() if _within(counts, key) for one in group]
    rows = list(enumerate(geometry(mig_key).profiles))
    largest = [index for index, _ in sorted(rows, key=lambda row: (-row[1].size, -row[1].g))]

    def room(layout: Layout) -> list[int]:
        """Return how many more of each profile the GPU could still take, the largest first."""
        after = [key for whole, key in bigger if whole.issuperset(layout)]
        return [max(key[index] for key in after) for index in largest]

    return min(every[counts], key=lambda layout: ([-more for more in room(layout)], layout))


@cache
def _layouts_by_counts(mig_key: str) -> Mapping[Counts, tuple[Layout, ...]]:
    gpu = geometry(mig_key)
    groups: dict[Counts, list[Layout]] = {}
    for layout in legal_layouts(gpu):
        groups.setdefault(counts_of(gpu, layout), []).append(layout)
    return {key: tuple(group) for key, group in groups.items()}


def _extended(gpu: MigGpu, rows: Sequence[MigProfile], held: Layout, slot: int) -> Iterator[Layout]:
    """Yield `held` and all that can be added to it from `slot` on."""
    yield held
    used = [row for instance in held for row in rows if row.name == instance.profile]
    for row in rows:
        if _one_too_many(gpu, row, used):
            continue
        for start in row.starts:
            if start >= slot:
                yield from _extended(gpu, rows, (*held, Instance(row.name, start)), start + row.size)


def _one_too_many(gpu: MigGpu, row: MigProfile, used: Sequence[MigProfile]) -> bool:
    """Say whether a limit other than room forbids one more instance of `row`."""
    return (
        used.count(row) >= row.max_instances
        or (row.media_extension and any(other.media_extension for other in used))
        or sum(other.g for other in used) + row.g > gpu.compute_slices
        or any(_spent(engine, [*used, row]) > budget for engine, budget in gpu.engine_budget.items())
    )


def _spent(engine: str, rows: Sequence[MigProfile]) -> int:
    return sum(getattr(row, engine) or 0 for row in rows)


def _in_order(gpu: MigGpu, layout: Layout) -> Layout:
    """Sort a layout into the order of creation: an instance that can go to few places before one that fits anywhere."""
    size = {row.name: (row.size, row.g) for row in gpu.profiles}
    return tuple(sorted(layout, key=lambda one: (-size[one.profile][0], -size[one.profile][1], one.start)))


def _within(inner: Counts, outer: Counts) -> bool:
    return all(a <= b for a, b in zip(inner, outer, strict=True))
