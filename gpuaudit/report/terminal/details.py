"""Everything behind `--all`: findings, owners, pools, the bill line by line, sources."""

from gpuaudit import schema
from gpuaudit.report.terminal.canvas import Canvas, dollars, percent
from gpuaudit.report.terminal.closing import closing
from gpuaudit.report.terminal.served import served
from gpuaudit.report.terminal.stack import stack
from gpuaudit.report.terminal.wrapping import Piece

STYLES = {"high": "bold red", "medium": "yellow", "low": "", "info": "dim"}


def details(canvas: Canvas, report: schema.Report) -> None:
    """Draw the rest of the report."""
    _findings(canvas, [finding for finding in report.findings if finding.ignored is None], "FINDINGS")
    _findings(canvas, [finding for finding in report.findings if finding.ignored is not None], "IGNORED OR EXEMPT")
    _usage(canvas, "POOLS", report.utilization.by_pool)
    _usage(canvas, "OWNERS", report.utilization.by_owner)
    _usage(canvas, "NAMESPACES", report.utilization.by_namespace)
    _bill(canvas, report.bill)
    served(canvas, report.serving)
    stack(canvas, report.stack)
    closing(canvas, report)
    _not_judged(canvas, report.coverage.not_evaluated)
    _sources(canvas, report.coverage.sources)


def _title(canvas: Canvas, text: str) -> None:
    canvas.blank()
    canvas.line((text, "bold"))


def _findings(canvas: Canvas, findings: list[schema.FindingPart], title: str) -> None:
    if not findings:
        return
    _title(canvas, f"{title} ({len(findings)})")
    for finding in findings:
        amount = dollars(finding.savings.monthly.attributed) if finding.savings.monthly.attributed else ""
        head: list[Piece] = [
            (f"  {finding.severity:<7}", STYLES.get(finding.severity, "")),
            f"{finding.confidence:<12}",
        ]
        canvas.row(head, finding.message, amount)
        why = f"  [{finding.ignored.by}: {finding.ignored.reason}]" if finding.ignored else ""
        canvas.line((f"         {finding.id}{why}", "dim"))


def _usage(canvas: Canvas, title: str, rows: list[schema.UsageRow]) -> None:
    if not rows:
        return
    _title(canvas, title)
    for row in rows:
        hours = "unknown" if row.gpu_hours is None else f"{row.gpu_hours:,.0f} GPU-h"
        cells = f"{hours:>15} {percent(row.share):>8} {_mean(row.mean):>14} {dollars(row.usd_monthly):>13}"
        canvas.columns([f"  {row.name}"], cells)


def _mean(mean: float | None) -> str:
    return "not measured" if mean is None else f"mean {percent(mean)}"


def _bill(canvas: Canvas, bill: schema.Bill) -> None:
    if bill.by_pool or bill.unpriced_nodes:
        _title(canvas, "BILL")
    for row in bill.by_pool:
        kind = f"{row.pool or '(no pool)'} · {row.nodes:,.4g} × {row.instance_type or 'own hardware'} · {row.gpu}"
        source = f" · {row.purchase.replace('_', ' ')} · {row.price_source}, {row.price_date}"
        canvas.row(["  "], kind + source, f"{dollars(row.usd_monthly):>12}")
    for node in bill.unpriced_nodes:
        canvas.row(["  "], f"{node.node} · {node.gpus} GPUs · {node.why}", f"{'unpriced':>12}")


def _not_judged(canvas: Canvas, rows: list[schema.NotEvaluated]) -> None:
    if rows:
        _title(canvas, "NOT JUDGED")
    for row in rows:
        canvas.row([f"  {row.rule}: "], f"{', '.join(row.missing)} · {row.how}")


def _sources(canvas: Canvas, sources: list[schema.SourcePart]) -> None:
    if sources:
        _title(canvas, "SOURCES")
    for source in sources:
        canvas.row([f"  {source.status:<8}"], source.name + (f" · {source.detail}" if source.detail else ""))
