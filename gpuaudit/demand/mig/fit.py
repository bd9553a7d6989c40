"""Which MIG profile a measured need fits, and how many GPUs a set of profiles needs at least, and surely."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpuaudit.demand.usage.measured import COMPUTE_HEADROOM, MEMORY_MARGIN, Measured
from gpuaudit.knowledge import mig
from gpuaudit.knowledge.mig import MigGpu, MigProfile

Counts = Mapping[str, int]  # instances by profile name


@dataclass(frozen=True)
class Cut:
    """GPUs that hold a set of instances: no fewer than `at_least`, and `gpus` surely do; `stock` names the layout."""

    at_least: int
    gpus: int
    stock: str | None


def plain(gpu: MigGpu) -> list[MigProfile]:
    """Return the profiles that are a part of the card, media and graphics variants left out, the smallest first."""
    rows = [row for row in gpu.profiles if row.name.endswith("gb") and row.g < gpu.compute_slices]
    return sorted(rows, key=lambda row: (row.size, row.g, row.memory_mib or 0))


def fitting(
    gpu: MigGpu, need: Measured, of: MigProfile | None = None, *, headroom: float = COMPUTE_HEADROOM
) -> MigProfile | None:
    """Return the smallest profile with room for the need, None when only the whole card has it, or nothing is known.

    Memory must fit with a margin, compute slices below the headroom, bandwidth by memory slots. Serving must fit with
    its peaks as well: a burst that a slice cannot hold is answered late. `of` = the profile that the ratios are of.
    """
    slices, slots = (of.g, of.size) if of else (gpu.compute_slices, gpu.memory_slots)
    for row in plain(gpu):
        if row.memory_mib is None or row.memory_mib < need.mib * (1 + MEMORY_MARGIN):
            continue
        if need.compute * slices > headroom * row.g + 1e-9 or need.bandwidth * slots > row.size + 1e-9:
            continue
        if need.serving and (need.peak is None or need.peak * slices > row.g + 1e-9):
            continue
        return row
    return None


def cut(gpu: MigGpu, wanted: Counts) -> Cut:
    """Return how many GPUs hold the instances: a bound that no layout beats, and a first fit at legal places.

    A stock layout is preferred where it needs no more GPUs: it is one label, no configuration of one's own.
    """
    rows = {name: row for name, count in wanted.items() if count and (row := mig.profile(gpu, name))}
    sized = [row for name, row in rows.items() for _ in range(wanted[name])]
    bounds = [math.ceil(wanted[name] / row.max_instances) for name, row in rows.items()]
    bounds.append(math.ceil(sum(row.size for row in sized) / gpu.memory_slots))
    bounds.append(math.ceil(sum(row.g for row in sized) / gpu.compute_slices))
    first = _first_fit(gpu, sorted(sized, key=lambda row: (-row.size, -row.g, row.name)))
    named = _stock(gpu, wanted)
    if named and named[0] <= first:
        return Cut(max(bounds), named[0], named[1])
    return Cut(max(bounds), first, None)


def _stock(gpu: MigGpu, wanted: Counts) -> tuple[int, str] | None:
    """Return the fewest GPUs with one stock layout on all of them, and its name."""
    needs = []
    for name, devices in sorted(mig.stock_layouts(gpu).items()):
        if all(devices.get(profile) for profile, count in wanted.items() if count):
            needs.append((max(math.ceil(count / devices[p]) for p, count in wanted.items() if count), name))
    return min(needs, default=None)


def _first_fit(gpu: MigGpu, rows: Sequence[MigProfile]) -> int:
    """Place each instance on the first GPU that has a legal place for it, where it leaves most room."""
    cards: list[list[tuple[MigProfile, int]]] = []
    for row in rows:
        for card in cards:
            start = _place(gpu, card, row)
            if start is not None:
                card.append((row, start))
                break
        else:
            cards.append([(row, _place(gpu, [], row) or 0)])
    return len(cards)


def _place(gpu: MigGpu, card: Sequence[tuple[MigProfile, int]], row: MigProfile) -> int | None:
    if sum(one.name == row.name for one, _ in card) >= row.max_instances:
        return None
    if sum(one.g for one, _ in card) + row.g > gpu.compute_slices:
        return None
    free = [start for start in row.starts if _is_free(card, start, row.size)]
    return max(free, key=lambda start: (_room(gpu, [*card, (row, start)]), start), default=None)


def _room(gpu: MigGpu, card: Sequence[tuple[MigProfile, int]]) -> int:
    """Return how many legal places are left for instances of any kind."""
    return sum(_is_free(card, start, row.size) for row in plain(gpu) for start in row.starts)


def _is_free(card: Sequence[tuple[MigProfile, int]], start: int, size: int) -> bool:
    return all(start + size <= at or at + one.size <= start for one, at in card)
