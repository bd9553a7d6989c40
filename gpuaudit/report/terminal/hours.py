"""The GPU-hours bar, what waits, and what users feel."""

from gpuaudit import schema
from gpuaudit.report.plain import printable
from gpuaudit.report.terminal.canvas import Canvas, percent, plural

BUCKETS = (  # field, word, sign, style
    ("busy", "busy", "█", "green"),
    ("underused", "underused", "▓", "yellow"),
    ("idle", "idle-held", "▒", "red"),
    ("unallocated", "free", "░", "blue"),
    ("unknown", "unseen", "?", "dim"),
)
LABEL = 14
NOT_KNOWN = "not known: the pods were not read, or do not tell their GPUs"
NARROW = 80  # columns: below, a line of its own is more than the yardstick is worth


def hours(canvas: Canvas, report: schema.Report) -> None:
    """Draw the bar and its neighbours."""
    if report.cluster.gpus:
        _bar(canvas, report.utilization.buckets)
    _holders(canvas, report)
    _waiting(canvas, report.utilization.demand)
    _users(canvas, report.serving)


def _bar(canvas: Canvas, buckets: schema.Buckets) -> None:
    known = [(word, getattr(buckets, field), sign, style) for field, word, sign, style in BUCKETS]
    total = sum(value or 0.0 for _, value, _, _ in known)
    if not total:
        canvas.line(f"  {'GPU-hours':<{LABEL}}", "none in this window")
        return
    gap = "   " if canvas.width >= 90 else "  "
    words = [
        (f"{word} {percent(value / total)}{gap}", style)
        for word, value, _, style in known
        if value is not None and value > 0
    ]
    canvas.line(f"  {'GPU-hours':<{LABEL}}", *words)
    room = canvas.width - LABEL - 4
    cells = _cells([value or 0.0 for _, value, _, _ in known], room)
    bar = [(sign * count, style) for (_, _, sign, style), count in zip(known, cells, strict=True)]
    canvas.line(f"  {f'{total:,.0f}':<{LABEL}}", *bar)


def _cells(values: list[float], room: int) -> list[int]:
    """Cells per value, adding up to the room; what is there at all has at least one."""
    total = sum(values)
    cells = [max(1, round(value / total * room)) if value > 0 else 0 for value in values]
    cells[cells.index(max(cells))] += room - sum(cells)
    return cells


def _holders(canvas: Canvas, report: schema.Report) -> None:
    """Mean utilization of what is held, beside the field's yardstick, which is about weeks and not about a moment."""
    mean = report.utilization.mean
    if mean is None:
        return
    if report.coverage.observed_gpu_hours_ratio:
        p95 = report.utilization.p95
        text = f"mean {percent(mean)} while held" + (f", p95 of hours {percent(p95)}" if p95 is not None else "")
        yardstick = ["yardstick: below 50 % look closer"] if canvas.width >= NARROW else []
        canvas.parts([f"  {'Utilization':<{LABEL}}"], [text, *yardstick], separator="   ")
    else:
        canvas.line(f"  {'Utilization':<{LABEL}}", f"{percent(mean)} at the moment of reading; before it, unknown")


def _waiting(canvas: Canvas, demand: schema.Demand) -> None:
    label = f"  {'Waiting':<{LABEL}}"
    unsized = f"{plural(demand.pending_unsized_pods or 0, 'pod')} of unknown size"
    if demand.pending_gpus is None:
        canvas.line(
            label, f"{unsized}: how much of a card each gets is not told" if demand.pending_unsized_pods else NOT_KNOWN
        )
    elif demand.pending_gpus == 0:
        canvas.line(label, "no GPU work waits")
    else:
        waited = (
            f"{demand.gpu_hours_waited:,.0f} GPU-h so far" if demand.gpu_hours_waited is not None else "since unknown"
        )
        p95 = f" (p95 wait {_span(demand.p95_wait_seconds)})" if demand.p95_wait_seconds is not None else ""
        known = f"{demand.pending_gpus:,.4g} GPUs are waited for, {waited}{p95}"
        canvas.parts([label], [known, unsized] if demand.pending_unsized_pods else [known])


def _span(seconds: float) -> str:
    days, rest = divmod(int(seconds), 86400)
    hour, rest = divmod(rest, 3600)
    return f"{days} d {hour} h" if days else f"{hour} h {rest // 60} m"


def _users(canvas: Canvas, rows: list[schema.Serving]) -> None:
    """Draw the model whose users wait longest for the first token, without a verdict; nothing where none told."""
    told = [row for row in rows if row.ttft_p95_seconds is not None or row.error_ratio is not None]
    if not told:
        return
    worst = max(told, key=lambda row: (row.ttft_p95_seconds or 0.0, row.requests or 0.0, row.model or ""))
    more = [f"{len(told) - 1} more"] if len(told) > 1 else []
    canvas.line(f"  {'Users':<{LABEL}}", " · ".join([*_served(worst), *more]))


def _served(row: schema.Serving) -> list[str]:
    parts = [printable(((row.model or "").rstrip("/") or row.workload or "").rpartition("/")[2] or "a model")[:40]]
    if row.ttft_p95_seconds is not None:
        parts[0] += f" p95 first token {row.ttft_p95_seconds:.3g} s"
    if row.error_ratio is not None:
        parts.append(f"{row.error_ratio * 100:.2g} % of requests failed")
    if row.usd_per_million_tokens is not None:
        parts.append(f"${row.usd_per_million_tokens:,.2f} / M tokens")
    return parts
