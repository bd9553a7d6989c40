"""What a person can do: PROTECT, DO THIS WEEK, PLAN, FIND OUT; the rows add up to the headline."""

from gpuaudit import schema
from gpuaudit.report.terminal.canvas import Canvas
from gpuaudit.report.terminal.wrapping import Piece

SHELVES = (
    ("protect", "PROTECT", "users and jobs hurt now", "bold red"),
    ("this_week", "DO THIS WEEK", "cash, confirmed", "bold green"),
    ("plan", "PLAN", "needs moves, a date, or frees capacity", "bold yellow"),
    ("find_out", "FIND OUT", "not sure yet", "bold"),
)
NARROW, WIDE = 90, 150


def shelves(canvas: Canvas, report: schema.Report, *, top: int) -> None:
    """Draw at most `top` actions, those of every shelf before the second of any, in the shelves' order."""
    if not report.actions:
        _nothing(canvas, report)
        return
    shown = _chosen(report.actions, top)
    numbers = {action.id: number for number, action in enumerate(report.actions, start=1)}
    for name, title, note, style in SHELVES:
        rows = [action for action in shown if action.shelf == name]
        hidden = sum(action.shelf == name for action in report.actions) - len(rows)
        if rows:
            _title(canvas, title, note, style, money=any(row.booked_monthly for row in rows))
        for action in rows:
            _row(canvas, action, numbers[action.id])
        if rows and hidden:
            canvas.line((f"      and {hidden} more", "dim"))
    _sum(canvas, report)


def _chosen(actions: list[schema.ActionPart], top: int) -> list[schema.ActionPart]:
    first = {action.shelf: action for action in reversed(actions)}
    chosen = list(first.values())[:top]
    for action in actions:
        if len(chosen) < top and action not in chosen:
            chosen.append(action)
    # money is never left off the screen: rows that add to the headline come first
    for action in actions:
        if action.booked_monthly and action not in chosen:
            chosen.append(action)
    return [action for action in actions if action in chosen]


def _title(canvas: Canvas, title: str, note: str, style: str, *, money: bool) -> None:
    left: list[Piece] = [(title, style), (f" · {note}", "dim")]
    heads = "$ / month" if money else ""
    if canvas.width >= NARROW:
        heads = f"{'risk':<9}{'effort':<7}{heads:>10}"
    canvas.columns(left, heads, style="dim")


def _row(canvas: Canvas, action: schema.ActionPart, number: int) -> None:
    mark = {"protect": ("✖ ", "red"), "find_out": ("? ", "")}.get(action.shelf, ("  ", ""))
    who = f"{action.owner}: " if action.owner and action.owner not in action.text else ""
    where = f" · pool {action.pool} · {action.id}" if canvas.width >= WIDE and action.pool else ""
    amount = f"{action.booked_monthly:,.0f}" if action.booked_monthly else ""
    right = f"{action.risk:<9}{action.effort:<7}{amount:>10}" if canvas.width >= NARROW else amount
    canvas.row([f"{number:>3} ", mark], f"{who}{action.text}{where}", right)


def _sum(canvas: Canvas, report: schema.Report) -> None:
    booked = report.plan.savings_monthly.booked
    if booked is None:
        return
    p95 = report.plan.savings_monthly.p95
    left: list[Piece] = [(f"      booked plan {report.plan.hash[:8]}, the sum of the rows above", "dim")]
    canvas.columns(left, f"$ {booked:>10,.0f}", style="bold")
    if p95 is not None and p95 > booked:
        canvas.columns([("      possible beyond, not booked", "dim")], f"$ {p95 - booked:>10,.0f}")


def _nothing(canvas: Canvas, report: schema.Report) -> None:
    if report.pods_missing:
        canvas.line(("NOTHING JUDGED", "bold"), " that needs the pods: not all of them were read")
    elif report.cluster.gpus is None:
        canvas.line(("NO GPUS", "bold"), " were seen; no list of nodes was read, so whether there are any is not known")
    elif report.cluster.gpus == 0:
        canvas.line(("NO GPUS", "bold"), " were found, so there is nothing to audit here")
    elif report.utilization.metric is None:
        canvas.line(("NOTHING FOUND", "bold"), " that needs no metrics; what the GPUs do was not measured")
    elif report.coverage.not_evaluated:
        canvas.line(("NOTHING FOUND", "bold"), " by the rules that could be judged; others lack facts, see below")
    else:
        canvas.line(("NOTHING TO DO", "bold green"), " · every rule could be judged, and none has anything to say")
