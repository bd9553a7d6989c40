"""One finding or action in full: evidence, queries, the arithmetic, what would refute it, how to exempt it."""

import difflib
import json
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from gpuaudit import schema
from gpuaudit.errors import UserError
from gpuaudit.report.explain_stack import explained_row, row_named, stack_of
from gpuaudit.report.plain import printable
from gpuaudit.rule import Rule

HOURS_PER_MONTH = 730
REFUTED = "refuted if"
COPIED = ("kubectl ", "query: ", "name = ", "gpuaudit ")
EXEMPTION = timedelta(days=90)  # proposed length; long enough to act, short enough to be looked at again
ANNOTATED = {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod", "Namespace"}  # kinds of the core API


def explain(report: schema.Report, name: str, rules: Mapping[str, Rule], *, width: int = 100) -> str:
    """Return the explanation of a finding's id, an action's id or its number on the screen, or a system of the stack.

    Prose is broken at `width` characters; what is meant to be copied stays whole. UserError when the report has no
    such thing.
    """
    subject = _subject_of(report, name)
    if isinstance(subject, schema.StackRow):
        return _lines(explained_row(subject), width)
    if isinstance(subject, schema.ActionPart):
        findings = {finding.id: finding for finding in report.findings}
        return _lines(_action(subject, findings), width)
    return _lines(_finding(report, subject, rules.get(subject.rule)), width)


def explained_data(report: schema.Report, name: str) -> dict[str, list[Any]]:
    """Return the actions and findings, or the row of the stack, that the name stands for, as the report holds them."""
    subject = _subject_of(report, name)
    if isinstance(subject, schema.StackRow):
        return {"actions": [], "findings": [], "stack": [subject]}
    if isinstance(subject, schema.FindingPart):
        return {
            "actions": [action for action in report.actions if subject.id in action.findings],
            "findings": [subject],
        }
    return {"actions": [subject], "findings": [f for f in report.findings if f.id in subject.findings]}


def _subject_of(report: schema.Report, name: str) -> schema.ActionPart | schema.FindingPart | schema.StackRow:
    found: dict[str, schema.ActionPart | schema.FindingPart] = {finding.id: finding for finding in report.findings}
    found |= {action.id: action for action in report.actions}
    if name.isascii() and name.isdigit() and 1 <= int(name) <= len(report.actions):
        return report.actions[int(name) - 1]
    if name in found:
        return found[name]
    if row := row_named(report, name):
        return row
    known = {one.casefold(): one for one in (*found, *(row.system for row in report.stack))}
    close = [known[one] for one in difflib.get_close_matches(name.casefold(), known, n=2, cutoff=0.5)]
    hint = f"did you mean {' or '.join(close)}?" if close else "gpuaudit scan --all lists the ids"
    raise UserError(f"the report has no finding or action {name!r}", hint=hint)


def _lines(lines: Iterator[str], width: int) -> str:
    return "\n".join(part for line in lines for part in _broken(line.rstrip(), width)) + "\n"


def _broken(line: str, width: int) -> list[str]:
    """Break a line under its second column, or a little indented; not what is there to be copied."""
    start = line.lstrip()
    if start.startswith(COPIED) or len(line) <= width:
        return [line]
    margin = len(line) - len(start)
    column = re.match(r"\s*(\S+ )*\S+ {2,}", line)
    indent = column.end() if column and column.end() <= width // 2 else margin + 4 if margin else 0
    return textwrap.wrap(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def _action(action: schema.ActionPart, findings: Mapping[str, schema.FindingPart]) -> Iterator[str]:
    yield f"{action.id} · {action.shelf.replace('_', ' ')} · {action.act.replace('_', ' ')}"
    yield ""
    yield printable(action.text)
    yield ""
    if action.owner:
        yield f"  owner   {printable(action.owner)}"
    if action.pool:
        yield f"  pool    {printable(action.pool)}"
    yield f"  risk    {action.risk}"
    yield f"  effort  {action.effort}"
    booked = action.booked_monthly
    yield f"  booked  {_usd(booked)} a month, the sum of:" if booked else "  booked  no cash"
    for name in action.findings:
        finding = findings[name]
        amount = f"{_usd(finding.savings.monthly.attributed):>12}  " if booked else ""
        yield f"    {amount}{name}  {printable(finding.message)}"
    yield ""
    yield "One of them in full:"
    yield f"  gpuaudit explain {action.findings[0]} --from FILE"


def _finding(report: schema.Report, finding: schema.FindingPart, rule: Rule | None) -> Iterator[str]:
    yield f"{finding.id} · {finding.area} · {finding.severity} · {finding.confidence}"
    yield ""
    yield printable(finding.message)
    yield ""
    yield from _about(finding)
    yield from stack_of(report, finding)
    yield from _evidence(finding)
    yield from _arithmetic(report, finding)
    yield from _refutation(finding)
    yield from _act(finding)
    yield from _exempt(finding, (report.taken_at + EXEMPTION).date())
    if rule is not None:
        yield f"The rule's page: gpuaudit rules {rule.name}"


def _about(finding: schema.FindingPart) -> Iterator[str]:
    subject = finding.subject
    yield "About"
    where = f"{subject.namespace}/" if subject.namespace else ""
    yield f"  {printable(subject.kind)} {printable(where + subject.name)} in {printable(subject.cluster)}"
    if subject.node and subject.node != subject.name:
        yield f"  on node {printable(subject.node)}"
    if subject.devices:
        shown = ", ".join(printable(device) for device in subject.devices[:8])
        more = f" and {len(subject.devices) - 8} more" if len(subject.devices) > 8 else ""
        yield f"  devices {shown}{more}"
    yield ""


def _evidence(finding: schema.FindingPart) -> Iterator[str]:
    items = [item for item in finding.evidence if item.name != REFUTED]
    if not items:
        return
    yield "Evidence"
    width = max(len(printable(item.name)) for item in items)
    for item in items:
        over = f" over {_span(item.window_seconds)}" if item.window_seconds else ""
        how = f" ({item.statistic}{over})" if item.statistic else over
        source = f"  from {item.source}" if item.source else ""
        kind = "" if item.observed else "  [a default or yardstick, not measured here]"
        yield f"  {printable(item.name):<{width}}  {_value(item)}{how}{printable(source)}{kind}"
        if item.query:
            yield f"  {'':<{width}}  query: {printable(item.query)}"
    yield ""


def _nodes(bill: schema.NodeBill) -> str:
    return "of nodes not all listed" if bill.nodes is None else f"{bill.nodes:,.4g} nodes"


def _arithmetic(report: schema.Report, finding: schema.FindingPart) -> Iterator[str]:
    monthly, plan = finding.savings.monthly, report.plan
    yield "Arithmetic"
    if monthly.attributed:
        yield from _pool_lines(report, finding)
        yield _sum("bill", plan.before.monthly, f"{_nodes(plan.before)} on average")
        yield _sum("bill after the booked plan", plan.after.monthly, _nodes(plan.after))
        yield _sum(f"booked plan {plan.hash[:8]}", plan.savings_monthly.booked, "the one less the other")
        yield _sum("of it, this finding", monthly.attributed, "attributed: the findings add up to the plan")
    elif finding.ignored is not None:
        yield "  nothing is booked: it was opted out of, and stays in the bill"
    elif finding.savings.ledger == "capacity":
        yield "  $0 in cash: GPUs come free on nodes that stay, or go without a bill that falls"
    elif finding.savings.ledger == "at_renewal":
        yield "  $0 now: the nodes are committed; see plan.at_renewal for the date"
    else:
        yield "  no money is claimed"
    if monthly.standalone is not None:
        yield _sum("acted on alone", monthly.standalone, "standalone: not to be added to others")
    yield ""


def _pool_lines(report: schema.Report, finding: schema.FindingPart) -> Iterator[str]:
    """Say the price of a node of the finding's pool and how often the finding's money holds it."""
    names = {*finding.subject.name.split("/"), finding.act.target if finding.act else ""}
    mine = [row for row in report.bill.by_pool if row.cluster == finding.subject.cluster and row.nodes]
    rows = [row for row in mine if row.pool in names] or [row for row in mine if row.instance_type in names]
    for row in rows:
        monthly = (row.usd_monthly or 0.0) / row.nodes
        price = f"${monthly / HOURS_PER_MONTH:,.4f}/h × {HOURS_PER_MONTH} h"
        yield _sum(f"one node of {printable(row.pool) or 'no pool'}", monthly, price)
        source = f"{row.purchase.replace('_', ' ')}, {row.price_source}, {row.price_date}"
        yield f"    {printable(f'{row.instance_type}, {source}')}"
        if len(rows) == 1 and monthly:
            count = finding.savings.monthly.attributed / monthly
            yield _sum(f"{count:,.4g} of them", finding.savings.monthly.attributed, "which this finding lets go")


def _sum(label: str, amount: float | None, note: str) -> str:
    return f"  {label:<28} {_usd(amount):>14}  {note}"


def _refutation(finding: schema.FindingPart) -> Iterator[str]:
    texts = [str(item.value) for item in finding.evidence if item.name == REFUTED]
    if texts:
        yield "What would refute it"
        yield from (f"  {printable(text)}" for text in texts)
        yield ""


def _act(finding: schema.FindingPart) -> Iterator[str]:
    if finding.act is None and not finding.fix.note:
        return
    yield "What to do"
    if finding.act is not None:
        change = f": {finding.act.from_} → {finding.act.to}" if finding.act.from_ or finding.act.to else ""
        yield f"  {finding.act.kind.replace('_', ' ')} · {printable(finding.act.target)}{printable(change)}"
        if finding.act.unblocks:
            yield f"  unblocks {printable(finding.act.unblocks)}"
    if finding.fix.note:
        yield f"  {printable(finding.fix.note)}"
    yield ""


def _exempt(finding: schema.FindingPart, expires: date) -> Iterator[str]:
    if finding.ignored is not None:
        until = f" until {finding.ignored.expires}" if finding.ignored.expires else ""
        yield f"Opted out{until} by {printable(finding.ignored.by)}: {printable(finding.ignored.reason)}"
        yield ""
        return
    subject = finding.subject
    yield "How to exempt it: in gpuaudit.toml (still counted and listed)"
    yield "  [[ignore]]"
    yield f"  rule = {json.dumps(finding.rule)}"
    for key, value in (("cluster", subject.cluster), ("namespace", subject.namespace), ("kind", subject.kind)):
        if value:
            yield f"  {key} = {json.dumps(_glob(value))}"
    yield f"  name = {json.dumps(_glob(subject.name))}"
    yield '  reason = "…"'
    yield f"  expires = {expires}"
    if subject.kind in ANNOTATED:
        space = ["-n", subject.namespace] if subject.namespace else []
        command = ["kubectl", "annotate", *space, f"{subject.kind.lower()}/{subject.name}"]
        yield "or on the object itself:"
        yield "  " + printable(shlex.join([*command, f"gpuaudit.io/ignore={finding.rule}"]))
    yield ""


def _glob(text: str) -> str:
    """Keep signs of a glob that are part of the name from matching more than it."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)


def _value(item: schema.EvidencePart) -> str:
    if item.value is None:
        return "unknown"
    if isinstance(item.value, float):
        return f"{item.value:,.6g}" + (f" {item.unit}" if item.unit else "")
    return printable(str(item.value)) + (f" {item.unit}" if item.unit else "")


def _span(seconds: float) -> str:
    return f"{seconds / 86400:.3g} d" if seconds >= 86400 else f"{seconds / 3600:.3g} h"


def _usd(amount: float | None) -> str:
    return "unknown" if amount is None else f"${amount:,.2f}"
