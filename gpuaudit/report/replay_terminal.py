"""A replay for a terminal: the policies side by side, the idle gaps, and where keep-alives stop paying, by model."""

from collections.abc import Sequence
from decimal import Decimal
from textwrap import wrap

import numpy as np

from gpuaudit.plan.replay.arrivals import SECOND, Nanoseconds
from gpuaudit.plan.replay.break_even import break_even
from gpuaudit.plan.replay.policies import Policy, Replay
from gpuaudit.report.plain import printable
from gpuaudit.report.replay_data import HOUR

WIDTH = 79
MODELS = 10
NAME = 24  # columns of a model's name
BAR = 30
_BEST = 5  # column of the best keep-alive
_STEPS = (1, 10, 60, 300, 900, 3600, 6 * 3600, 24 * 3600)  # seconds at which the histogram's rows end
_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"))


def replay_text(replay: Replay, *, usd_per_gpu_hour: Decimal | None = None, unicode: bool = True) -> str:
    """Return the replay as text."""
    lines = wrap(
        f"{replay.requests:,} requests of {replay.models:,} model{'' if replay.models == 1 else 's'} over "
        f"{_span(replay.horizon)}, at most {replay.peak:,} at once. One instance is one GPU; instances serve for "
        f"{_hours(replay.busy)} GPU-hours.",
        WIDTH,
    )
    lines += ["", *_policies(replay, usd_per_gpu_hour), "", *_reading(replay)]
    if len(replay.gaps):
        lines += ["", *_histogram(replay.gaps, "█" if unicode else "#")]
    lines += ["", *_models(replay)]
    return "\n".join(lines) + "\n"


def _policies(replay: Replay, usd: Decimal | None) -> list[str]:
    always = next(policy for policy in replay.policies if policy.name == "always_on")
    heads = ["policy", "GPU-hours", "of always on", "cold starts"]
    heads += ["p95 wait"] * (replay.load is not None) + ["cost"] * (usd is not None)
    rows = [heads]
    for policy in replay.policies:
        row = [_name(policy), _hours(policy.gpu), _share(policy.gpu, always.gpu), f"{policy.cold_starts:,}"]
        if policy.p95_wait is not None:
            row.append(_span(policy.p95_wait))
        if usd is not None:
            row.append(f"${Decimal(policy.gpu) / HOUR * usd:,.2f}")
        rows.append(row)
    return _table(rows)


def _reading(replay: Replay) -> list[str]:
    """Say what the rows mean that nobody could run, and what a load is worth."""
    text = "always on: the instances each model needs at its peak, throughout. oracle: knows every arrival, so that "
    text += "nothing uses less. Both begin loaded."
    if replay.load is None:
        text += " Loads count for nothing: give --load-seconds to charge cold starts and see the waits."
    else:
        text += f" A load takes {_span(replay.load)}: holding an idle GPU for longer costs more than loading again."
    return wrap(text, WIDTH)


def _histogram(gaps: Nanoseconds, block: str) -> list[str]:
    """Count the idle gaps by length, each row with its share of all idle time."""
    edges = np.array([0, *(step * SECOND for step in _STEPS), np.iinfo(np.int64).max])
    place = np.searchsorted(edges, gaps, side="left") - 1
    counts = np.bincount(place, minlength=len(edges) - 1)
    idle = np.bincount(place, weights=gaps, minlength=len(edges) - 1)
    labels = [f"up to {_span(int(edges[1]))}", *(f"to {_span(int(edge))}" for edge in edges[2:-1])]
    labels.append(f"over {_span(int(edges[-2]))}")
    rows = [["idle gap", "gaps", "of idle time", ""]]
    longest = int(np.flatnonzero(counts).max()) + 1
    for label, count, time in list(zip(labels, counts.tolist(), idle.tolist(), strict=True))[:longest]:
        bar = block * round(BAR * count / int(counts.max()))
        rows.append([label, f"{count:,}", f"{time / idle.sum():.1%}", bar])
    return _table(rows, left=(0, 3))


def _models(replay: Replay) -> list[str]:
    """Show the models that idle most: what their best fixed keep-alive was, and how long one may be."""
    idle = np.bincount(replay.gap_models, weights=replay.gaps, minlength=replay.models)
    order = np.lexsort((np.arange(replay.models), -idle))
    rows = [["model", "requests", "busy", "idle", "median gap", "best keep-alive", "pays up to"]]
    rows += [_model_row(replay, int(index), float(idle[index])) for index in order[:MODELS]]
    best = "best keep-alive: the fixed one with the fewest GPU-hours here. "
    text = "pays up to: a longer keep-alive costs more than always on."
    if replay.load is None:  # where loads are free, no keep-alive is best
        rows, best = [[cell for column, cell in enumerate(row) if column != _BEST] for row in rows], ""
    more = replay.models - MODELS
    lines = [*_table(rows), *([f"and {more:,} more models, with less idle time"] if more > 0 else [])]
    return [*lines, "", *wrap(best + text, WIDTH)]


def _model_row(replay: Replay, index: int, idle: float) -> list[str]:
    gaps = replay.gaps[replay.gap_models == index]
    instances, busy = int(replay.use.instances[index]), float(replay.use.busy[index])
    found = break_even(
        gaps, instances=instances, busy=round(busy), load=replay.load or 0, always_on=instances * replay.horizon
    )
    return [
        printable(replay.use.names[index], limit=NAME),
        f"{int(replay.use.requests[index]):,}",
        f"{_hours(busy)} h",
        f"{_hours(idle)} h",
        _span(int(np.median(gaps))) if len(gaps) else "none",
        _span(found.cheapest),
        "never" if found.up_to is None else _span(found.up_to),
    ]


def _table(rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _name(policy: Policy) -> str:
    if policy.keep_alive is None:
        return policy.name.replace("_", " ")
    return f"keep-alive {_span(policy.keep_alive)}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _hours(nanoseconds: float) -> str:
    hours = nanoseconds / HOUR
    if not hours:
        return "0"
    return f"{hours:,.1f}" if hours >= 1000 else f"{hours:,.2f}" if hours >= 1 else f"{hours:,.4f}"


def _span(nanoseconds: int) -> str:
    """Return a length of time in its two largest units, seconds with what decimals they need."""
    seconds = nanoseconds / SECOND
    if seconds < _UNITS[-1][0]:
        return f"{seconds:.3g} s"
    rest = round(seconds)
    parts = []
    for size, name in (*_UNITS, (1, "s")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])
