"""The closing sections for a terminal: decisions, questions and their answers, the five steps."""

from gpuaudit import schema
from gpuaudit.report.terminal.canvas import Canvas

TITLES = {
    "gpu_sizing": "GPU sizing",
    "model_loading": "model loading",
    "networking": "networking",
    "observability": "observability",
    "scheduling": "scheduling",
}
MARKS = {True: ("✔", "green"), False: ("✖", "red"), None: ("?", "dim")}
LABEL = 15


def closing(canvas: Canvas, report: schema.Report) -> None:
    """Draw the sections."""
    if report.decisions:
        canvas.blank()
        canvas.columns([("DECISIONS", "bold")], "$ a year", style="dim")
    for row in report.decisions:
        amount = "" if row.annual_delta_usd is None else f"{row.annual_delta_usd:,.0f}"
        canvas.row([f"  {TITLES[row.decision]:<{LABEL}}", ("today    ", "dim")], row.today, amount)
        canvas.row([f"  {'':<{LABEL}}", ("right    ", "dim")], row.right)
        canvas.row([f"  {'':<{LABEL}}", ("enables  ", "dim")], row.enables)
    if report.answers:
        canvas.blank()
        canvas.line(("QUESTIONS", "bold"))
    for answer in report.answers:
        canvas.row(["  "], f"{answer.question} {answer.answer or 'cannot be answered'}")
        canvas.row(["    "], answer.because)
    if report.monday:
        canvas.blank()
        canvas.line(("MONDAY MORNING", "bold"))
    for number, step in enumerate(report.monday, start=1):
        canvas.row([f"  {number} ", MARKS[step.done], " "], f"{step.step}: {step.next}")
