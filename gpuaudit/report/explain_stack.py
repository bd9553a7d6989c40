"""A row of the stack in full, and what a finding makes of it."""

from collections.abc import Iterator

from gpuaudit import schema
from gpuaudit.report.plain import printable

MEANING = {
    "present": "it runs here, or its hardware or resources are in use",
    "provider_managed": "the provider runs it: nothing to install, little to set",
    "misconfigured": "it is here, and something about it is wrong",
    "absent": "it could have been seen, and is not here",
    "unknown": "it may be here or not: what would show it was not seen",
}


def row_named(report: schema.Report, name: str) -> schema.StackRow | None:
    """Return the row of a system by its name, in whatever case."""
    return next((row for row in report.stack if row.system.casefold() == name.strip().casefold()), None)


def explained_row(row: schema.StackRow) -> Iterator[str]:
    """Yield the lines about a system."""
    status = row.status.replace("_", " ")
    yield f"{row.system} · {row.layer} · {status}{f' · {printable(row.version)}' if row.version else ''}"
    yield ""
    yield f"{status}: {MEANING[row.status]}"
    yield ""
    yield "Evidence"
    yield from (f"  {printable(text)}" for text in row.evidence)


def stack_of(report: schema.Report, finding: schema.FindingPart) -> Iterator[str]:
    """Yield what the finding says of the stack, nothing when it says nothing."""
    text = f"{finding.rule}: {finding.message}"
    rows = [row for row in report.stack if text in row.evidence]
    if rows:
        yield "In the stack"
        yield from (f"  {row.system} is {row.status.replace('_', ' ')}" for row in rows)
        yield ""
