"""The report for a terminal: a first screen of actions (design 7), and everything behind `--all`."""

from gpuaudit import schema
from gpuaudit.report.terminal.canvas import Canvas, Screen
from gpuaudit.report.terminal.details import details
from gpuaudit.report.terminal.footer import footer
from gpuaudit.report.terminal.header import header
from gpuaudit.report.terminal.hours import hours
from gpuaudit.report.terminal.money import money
from gpuaudit.report.terminal.shelves import shelves

__all__ = ["Screen", "render_screen"]


FIRST_SCREEN_LINES = 40
UNBOUNDED = 1_000_000


def render_screen(report: schema.Report, screen: Screen, *, show_all: bool = False, top: int = 7) -> str:
    """Return the report's text for that screen; 40 lines hold the top 7 actions, `show_all` adds everything else.

    On a screen so narrow that they do not fit, there are fewer.
    """
    if show_all:
        canvas = _first_screen(report, Canvas(screen, spare_lines=UNBOUNDED), top=len(report.actions), show_all=True)
        details(canvas, report)
        return canvas.text()
    tight = _first_screen(report, Canvas(screen), top=top, show_all=False)
    while tight.height > FIRST_SCREEN_LINES and top > 1:
        top -= 1
        tight = _first_screen(report, Canvas(screen), top=top, show_all=False)
    spare = max(0, FIRST_SCREEN_LINES - tight.height)
    return _first_screen(report, Canvas(screen, spare_lines=spare), top=top, show_all=False).text()


def _first_screen(report: schema.Report, canvas: Canvas, *, top: int, show_all: bool) -> Canvas:
    for draw in (header, money, hours):
        draw(canvas, report)
        canvas.blank()
    shelves(canvas, report, top=top)
    canvas.blank()
    footer(canvas, report, top=top, show_all=show_all)
    return canvas
