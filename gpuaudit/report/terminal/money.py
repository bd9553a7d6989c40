"""BILL, REMOVABLE NOW (booked), AT RENEWAL, CAPACITY: three ledgers side by side, never added."""

from itertools import zip_longest

from gpuaudit import schema
from gpuaudit.report.terminal.canvas import Canvas, dollars, plural
from gpuaudit.report.terminal.wrapping import wrap

WIDE = 96
NOW = "REMOVABLE NOW"
CAPACITY = "CAPACITY"


def money(canvas: Canvas, report: schema.Report) -> None:
    """Draw the blocks; side by side where there is room."""
    if not report.bill.by_pool and not report.cluster.gpus:
        return
    blocks = [_bill(report), _removable(report), _later(report)]
    if canvas.width < WIDE:
        for title, amount, notes in blocks:
            canvas.columns([(f"  {title:<15}", "bold"), *([notes[0]] if notes else [])], amount, style="bold")
            for note in notes[1:]:
                canvas.line(" " * 17, note)
        canvas.line((f"  {CAPACITY:<15}", "bold"), _freed(report))
        return
    blocks[-1][2].append(f"{CAPACITY}  {_freed(report)}")
    width = (canvas.width - 2) // 3
    cells = [[line for note in notes for line in wrap(note, width - 2, limit=2)] for _, _, notes in blocks]
    titles: list[tuple[str, str] | str] = ["  "]
    for title, amount, _ in blocks:
        titles += [
            (title, "bold"),
            " ",
            (f"{amount:<{max(0, width - len(title) - 1)}}", "bold green" if title == NOW else "bold"),
        ]
    canvas.line(*titles)
    for row in zip_longest(*cells, fillvalue=""):
        canvas.line("  ", *(f"{cell:<{width}}" for cell in row))


Block = tuple[str, str, list[str]]


def _bill(report: schema.Report) -> Block:
    bill = report.bill
    unpriced = len(bill.unpriced_nodes)
    pools = len({(row.cluster, row.pool) for row in bill.by_pool})
    notes = [
        f"{plural(pools, 'pool')}, " + (f"{plural(unpriced, 'node')} unpriced" if unpriced else "nothing unpriced")
    ]
    if report.cluster.nodes is None:
        notes = ["others' pods were not read" if report.cluster.read_namespaces else "the node list was not read"]
    elif bill.monthly is None:
        count = report.cluster.gpu_nodes
        notes = ["no GPU node has a price" if count is None else f"none of {plural(count, 'GPU node')} has a price"]
    return "BILL", _monthly(bill.monthly), [*notes, "GPU node hours, nothing else"]


def _removable(report: schema.Report) -> Block:
    plan = report.plan
    booked = plan.savings_monthly.booked
    fewer = (plan.before.nodes or 0.0) - (plan.after.nodes or 0.0)
    if booked is None and report.pods_missing:
        return NOW, "unknown", ["not all pods were read: no node was judged"]
    if booked is None:
        return NOW, "unknown", ["without a bill nothing can be booked"]
    if not booked:
        return NOW, _monthly(0.0), ["no node was found that can go"]
    checked = "not backtested" if plan.backtest is None else "backtested"
    return NOW, _monthly(booked), [f"{plural(round(fewer, 2), 'node')} fewer, {checked}"]


def _later(report: schema.Report) -> Block:
    plan = report.plan
    unbilled = plan.savings_monthly.booked is None and not plan.at_renewal
    due = None if unbilled else sum(row.usd_monthly for row in plan.at_renewal)
    dates = sorted({row.date for row in plan.at_renewal if row.date})
    notes = []
    if plan.at_renewal:
        count = sum(row.nodes for row in plan.at_renewal)
        notes.append(f"{plural(round(count, 2), 'node')}, " + (f"from {dates[0]}" if dates else "date not known"))
    return "AT RENEWAL", _monthly(due), notes


def _freed(report: schema.Report) -> str:
    """Return what the plan frees without a bill growing less."""
    gpus = report.plan.capacity_gpus
    if gpus is None:
        return "unknown"
    return f"{plural(round(gpus, 2), 'GPU')}, $0"


def _monthly(amount: float | None) -> str:
    return "unknown" if amount is None else f"{dollars(amount)} / month"
