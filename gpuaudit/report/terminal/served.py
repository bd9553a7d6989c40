"""The models that are served, behind `--all`: what their users got, and what it cost."""

from gpuaudit import schema
from gpuaudit.report.terminal.canvas import Canvas


def served(canvas: Canvas, rows: list[schema.Serving]) -> None:
    """Draw the section; what an engine did not tell is left out of its line."""
    if not rows:
        return
    canvas.blank()
    canvas.line(("SERVING", "bold"))
    for row in rows:
        name = " · ".join(part for part in (row.model, (row.workload or "").partition("/")[2]) if part) or "a model"
        canvas.row(["  "], f"{name}: {', '.join(_told(row)) or 'nothing was read of its engine'}")


def _told(row: schema.Serving) -> list[str]:
    figures = (
        (row.ttft_p50_seconds, "p50 first token {:.3g} s"),
        (row.ttft_p95_seconds, "p95 first token {:.3g} s"),
        (row.requests, "{:,.0f} requests"),
        (None if row.error_ratio is None else row.error_ratio * 100, "{:.2g} % failed"),
        (row.queue_p95, "p95 queue {:,.3g}"),
        (row.usd_per_million_tokens, "${:,.2f} / M tokens"),
        (row.usd_per_thousand_requests, "${:,.2f} / 1,000 requests"),
    )
    return [form.format(value) for value, form in figures if value is not None]
