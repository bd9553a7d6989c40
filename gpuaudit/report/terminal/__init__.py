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


def render_screen(report: schema.Report, screen: Screen, *, show_all: bool = False, top: int = 7) -> str:
    """Return the report's text for that screen; at most 40 lines unless `show_all`."""
    canvas = Canvas(screen)
    header(canvas, report)
    canvas.blank()
    money(canvas, report)
    canvas.blank()
    hours(canvas, report)
    canvas.blank()
    shelves(canvas, report, top=len(report.actions) if show_all else top)
    canvas.blank()
    footer(canvas, report, top=top, show_all=show_all)
    if show_all:
        details(canvas, report)
    return canvas.text()
