"""Owners, what was not judged and why, what is hidden, and the next commands."""

from gpuaudit import schema
from gpuaudit.report.terminal.canvas import Canvas, percent, plural

SHOWN_OWNERS = 4


def footer(canvas: Canvas, report: schema.Report, *, top: int, show_all: bool) -> None:
    """Draw the footer."""
    _owners(canvas, report.utilization.by_owner)
    _not_judged(canvas, report.coverage.not_evaluated)
    _hidden(canvas, report, top=top, show_all=show_all)
    commands = []
    if report.actions:
        commands.append("gpuaudit explain 1 --from SNAPSHOT|REPORT")
    if report.bill.unpriced_nodes or any("list price" in row.price_source for row in report.bill.by_pool):
        commands.append("gpuaudit prices --template")
    if commands:
        canvas.parts([("  Next  ", "bold")], commands, separator="  ·  ")


def _owners(canvas: Canvas, rows: list[schema.UsageRow]) -> None:
    total = sum(row.gpu_hours or 0.0 for row in rows)
    if not total:
        return
    named = [row for row in rows if not row.name.startswith("(")]
    rest = [row for row in rows if row.name.startswith("(")]
    parts = [f"{row.name} {percent((row.gpu_hours or 0.0) / total)}" for row in named[:SHOWN_OWNERS]]
    if len(named) > SHOWN_OWNERS:
        others = sum(row.gpu_hours or 0.0 for row in named[SHOWN_OWNERS:])
        parts.append(f"{len(named) - SHOWN_OWNERS} more {percent(others / total)}")
    parts += [f"{row.name.strip('()')} {percent((row.gpu_hours or 0.0) / total)}" for row in rest if row.gpu_hours]
    canvas.parts([("  OWNERS  ", "bold")], parts)


def _not_judged(canvas: Canvas, rows: list[schema.NotEvaluated]) -> None:
    if not rows:
        return
    missing: dict[str, int] = {}
    for row in rows:
        for fact in row.missing:
            missing[fact] = missing.get(fact, 0) + 1
    reasons = [f"{n} want {fact.replace('_', ' ')}" for fact, n in sorted(missing.items(), key=lambda item: -item[1])]
    canvas.parts(
        [("  NOT JUDGED  ", "bold")], [f"{plural(len(rows), 'rule')}: {reasons[0]}", *reasons[1:]], separator=", "
    )


def _hidden(canvas: Canvas, report: schema.Report, *, top: int, show_all: bool) -> None:
    ignored = sum(finding.ignored is not None for finding in report.findings)
    grouped = {name for action in report.actions for name in action.findings}
    loose = sum(finding.ignored is None and finding.id not in grouped for finding in report.findings)
    parts = []
    if len(report.actions) > top and not show_all:
        parts.append(f"{len(report.actions) - top} more actions")
    if loose:
        parts.append(f"{plural(loose, 'more finding')} without an act")
    if ignored:
        parts.append(f"{plural(ignored, 'finding')} ignored or exempt")
    if parts:
        parts[-1] += "" if show_all else " (--all)"
        canvas.parts(["  "], parts)
