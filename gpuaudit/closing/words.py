"""Numbers and lists as the closing sections write them; what is not known is said to be unknown."""

from collections.abc import Iterable, Sequence

from gpuaudit import schema

METRICS = {
    "sm_active": "SM activity",
    "gr_engine_active": "engine activity",
    "gpu_util": "GPU utilization",
    "mixed": "several metrics",
}
LINK_FACTS = frozenset({"node_network", "network_metrics", "port_facts"})  # each tells of links and their errors


def percent(ratio: float) -> str:
    """Return `38 %`."""
    return f"{100 * ratio:.0f} %"


def counted(number: float, thing: str) -> str:
    """Return `1 node`, `3 nodes`, `1.5 nodes`."""
    return f"{number:,.4g} {thing}" + ("" if number == 1 else "s")


def joined(parts: Iterable[str], most: int = 5) -> str:
    """Return a few parts, and how many more there are."""
    found = list(parts)
    more = [f"{len(found) - most} more"] if len(found) > most else []
    return ", ".join([*found[:most], *more])


def tallied(findings: Sequence[schema.FindingPart]) -> str:
    """Return the rules behind findings, the one that speaks most often first."""
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.rule] = counts.get(finding.rule, 0) + 1
    most = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return joined(rule + (f" ({count})" if count > 1 else "") for rule, count in most)


def open_findings(report: schema.Report, *areas: str) -> list[schema.FindingPart]:
    """Return the findings of these areas that nobody opted out of and that are more than a remark."""
    return [
        one for one in report.findings if one.area in areas and one.ignored is None and one.severity in _MORE_THAN_INFO
    ]


def row(report: schema.Report, system: str) -> schema.StackRow:
    """Return a row of the stack."""
    return next(one for one in report.stack if one.system == system)


_MORE_THAN_INFO = ("high", "medium", "low")
