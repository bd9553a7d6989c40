"""A MIG layout drawn to scale: one box an instance, memory slots from left to right."""

from collections.abc import Collection, Iterator, Sequence
from functools import cache
from itertools import groupby

from gpuaudit.knowledge.mig import MigGpu, geometry
from gpuaudit.plan.layouts import Layout, legal_layouts

WIDTH = 72  # columns of a whole GPU
FREE, USELESS = "free", "no use"  # no use: nothing that the GPU can still hold would take that slot
_ASCII = str.maketrans("┌┬┐└┴┘│─", "+++++++-")

Cell = tuple[str, int]  # what stands there, how many slots


def drawing(gpu: MigGpu, layout: Layout, *, unicode: bool = True) -> list[str]:
    """Return the lines of the drawing."""
    cells = list(_cells(gpu, layout))
    slot = WIDTH // gpu.memory_slots
    widths = [count * slot - 1 for _, count in cells]
    bodies = [tuple(label.partition("gb")) for label, _ in cells]
    lines = ["┌" + "┬".join("─" * width for width in widths) + "┐", _row([a + b for a, b, _ in bodies], widths)]
    if any(variant for _, _, variant in bodies):
        lines.append(_row([variant for _, _, variant in bodies], widths))
    lines.append("└" + "┴".join("─" * width for width in widths) + "┘")
    return lines if unicode else [line.translate(_ASCII) for line in lines]


def command(gpu: MigGpu, layout: Layout) -> str:
    """Return the command that creates this layout on an empty GPU: profile ids with their places, in this order."""
    identity = {row.name: row.gi_profile_id for row in gpu.profiles}
    places = ",".join(f"{identity[one.profile]}:{one.start}" for one in layout)
    return f"nvidia-smi mig -cgi {places} -C"


def _cells(gpu: MigGpu, layout: Layout) -> Iterator[Cell]:
    """Yield the instances and the gaps between them, from the first slot to the last."""
    size = {row.name: row.size for row in gpu.profiles}
    held = {slot: one for one in layout for slot in range(one.start, one.start + size[one.profile])}
    usable = _usable(gpu.key, layout)
    labels = [held.get(slot) or (FREE if slot in usable else USELESS) for slot in range(gpu.memory_slots)]
    for label, slots in groupby(labels):
        yield (label if isinstance(label, str) else label.profile, len(list(slots)))


@cache
def _usable(mig_key: str, layout: Layout) -> Collection[int]:
    """Return the empty slots that some instance could still take."""
    gpu = geometry(mig_key)
    size = {row.name: row.size for row in gpu.profiles}
    more = {one for whole in legal_layouts(gpu) if set(layout) < set(whole) for one in whole} - set(layout)
    return {slot for one in more for slot in range(one.start, one.start + size[one.profile])}


def _row(labels: Sequence[str], widths: Sequence[int]) -> str:
    return "│" + "│".join(f" {label}".ljust(width)[:width] for label, width in zip(labels, widths, strict=True)) + "│"
