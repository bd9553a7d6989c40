"""The stack in a few lines a layer: what is there, what a provider runs, what is absent or unknown; trouble in full."""

from gpuaudit import schema
from gpuaudit.report.terminal.canvas import Canvas

LABEL = 15
QUIET = (("provider_managed", "the provider's"), ("absent", "absent"), ("unknown", "unknown"))


def stack(canvas: Canvas, rows: list[schema.StackRow]) -> None:
    """Draw the section."""
    if not rows:
        return
    canvas.blank()
    canvas.line(("STACK", "bold"))
    for layer in dict.fromkeys(row.layer for row in rows):
        mine = [row for row in rows if row.layer == layer]
        parts = [_named(row) for row in mine if row.status == "present"]
        for status, word in QUIET:
            names = [row.system for row in mine if row.status == status]
            parts += [f"{word}: {', '.join(names)}"] if names else []
        canvas.row([f"  {layer:<{LABEL}}"], " · ".join(parts))
        for row in mine:
            if row.status == "misconfigured":
                canvas.row([f"  {'':<{LABEL}}", ("✖ ", "red")], f"{_named(row)}: {row.evidence[0]}")


def _named(row: schema.StackRow) -> str:
    return f"{row.system} {row.version}" if row.version else row.system
