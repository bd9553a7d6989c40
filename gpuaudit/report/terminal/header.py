"""First two lines: which cluster and window, how much was seen, what is blind, whose prices."""

from datetime import datetime

from gpuaudit import schema
from gpuaudit.report.terminal.canvas import Canvas, percent, plural
from gpuaudit.report.terminal.wrapping import Piece, text_of, width_of

NAMED = 3  # namespaces of a tenant
UNREAD = 2  # sources of which is said why they were not read, or not whole
METRICS = {
    "sm_active": "SM activity",
    "gr_engine_active": "engine activity",
    "gpu_util": "GPU utilization",
    "mixed": "several metrics",
}


def header(canvas: Canvas, report: schema.Report) -> None:
    """Draw the header."""
    cluster = report.cluster
    owners = [row for row in report.utilization.by_owner if not row.name.startswith("(")]
    parts = ["GPU nodes not known"]
    if cluster.gpu_nodes is not None and cluster.gpus is not None:
        parts = [plural(cluster.gpu_nodes, "GPU node"), plural(cluster.gpus, "GPU")]
    if cluster.mig_devices:
        parts.append(plural(cluster.mig_devices, "MIG device"))
    if owners:
        parts.append(plural(len(owners), "owner"))
    head: list[Piece] = [(f"gpuaudit {report.tool_version}   ", "bold"), (f"{cluster.name}   ", "bold cyan")]
    head.append(_window(report.window))
    fleet = " · ".join(parts)
    if sum(width_of(text_of(piece)) for piece in head) + 3 + width_of(fleet) <= canvas.width:
        canvas.line(*head, "   ", fleet)
    else:
        canvas.line(*head)
        canvas.line(fleet)
    canvas.parts([], [_seen(report), *_blind(report), _prices(report.bill)])
    for line in _unread(report)[:UNREAD]:
        canvas.line((line, "yellow"))


def _window(window: schema.WindowPart) -> str:
    days = window.seconds / 86400
    length = f"{days:.3g} d" if days >= 1 else f"{window.seconds / 3600:.3g} h"
    return f"{_day(window.start)} – {_day(window.end)} {window.end.year} ({length})"


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%b}"


def _seen(report: schema.Report) -> str:
    ratio = report.coverage.observed_gpu_hours_ratio
    if ratio is None:
        return "No GPU-hours to see"
    if ratio == 0:
        if report.utilization.metric is None:
            return "Seen 0 % of GPU-hours: no metrics, so what the GPUs do is unknown"
        return "Seen single moments, no history: what the GPUs do over time is unknown"
    metric = METRICS.get(report.utilization.metric or "", "")
    return f"Seen {percent(ratio)} of GPU-hours" + (f" (by {metric})" if metric else "")


def _blind(report: schema.Report) -> list[str]:
    failed = dict.fromkeys(source.name for source in report.coverage.sources if source.status == "failed")
    blind = ["failed: " + ", ".join(failed)] if failed else []
    tenants = [cluster for cluster in report.clusters if cluster.read_namespaces]
    blind += [_tenant(cluster, named=len(report.clusters) > 1) for cluster in tenants]
    if report.pods_missing:
        blind.append("pods read in part: what looks free may be held")
    if any(cluster.nodes is None and not cluster.read_namespaces for cluster in report.clusters):
        blind.append("no node list, so no bill")
    return blind


def _unread(report: schema.Report) -> list[str]:
    """Return why clusters were read in part, then why sources failed, one of each name."""
    failed = {source.name: source for source in report.coverage.sources if source.status == "failed"}
    lines = [f"{source.name} read in part: {_reason(source)}" for source in report.partly_read]
    return lines + [f"{name} failed: {_reason(source)}" for name, source in failed.items()]


def _reason(source: schema.SourcePart) -> str:
    """Return what went wrong, without the way there that a source begins with."""
    return source.detail.partition("; ")[2] or source.detail


def _tenant(cluster: schema.ClusterPart, *, named: bool) -> str:
    """Say whose pods were read, of a tenant's view."""
    names = cluster.read_namespaces
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    told = ", ".join(names[:NAMED]) + more
    place = f" in {cluster.name}" if named else ""
    if cluster.namespaces is not None and cluster.namespaces > len(names):
        return f"pods of {len(names)} of {cluster.namespaces} namespaces read{place} ({told}): no bill"
    return f"pods of {told} alone were read{place}: no bill"


def _prices(bill: schema.Bill) -> str:
    listed = [row for row in bill.by_pool if "list price" in row.price_source]
    if not bill.by_pool:
        return "no prices"
    if not listed:
        return "your prices"
    if not bill.monthly:
        return f"list prices of {max(row.price_date for row in listed)}"
    share = sum(row.usd_monthly or 0.0 for row in listed) / bill.monthly
    return f"prices {percent(share)} list of {max(row.price_date for row in listed)}"
