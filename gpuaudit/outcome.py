"""The engine: run every rule over the snapshot; a rule that lacks facts is not evaluated, never clean."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.errors import UserError
from gpuaudit.rule import Finding, Rule, Severity

Options = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A finding with what the engine stamps on it: id, rule, area, severity and whether somebody opted out of it."""

    id: str
    rule: str
    area: str
    severity: Severity
    finding: Finding
    ignored: "OptOut | None" = None

    @property
    def workload(self) -> str | None:
        """Id of the workload that the finding is about, None for nodes and other objects."""
        if self.finding.workload:
            return self.finding.workload
        subject = self.finding.subject
        if subject.namespace is None:
            return None
        return f"{subject.cluster}/{subject.kind}/{subject.namespace}/{subject.name}"


@dataclass(frozen=True)
class OptOut:
    """Who opted out, why, and until when (ISO date or None)."""

    by: str
    reason: str
    expires: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one rule: its findings, or the facts that it lacked."""

    rule: Rule
    findings: tuple[Judged, ...] = ()
    missing: tuple[str, ...] = ()


def evaluate(
    snapshot: Snapshot,
    rules: Mapping[str, Rule],
    *,
    options: Mapping[str, Options],
    opted_out: Callable[[str, Finding], OptOut | None],
) -> tuple[Outcome, ...]:
    """Run the rules in the order of their names. UserError for an option that a rule does not have."""
    return tuple(_outcome(snapshot, rules[name], options.get(name, {}), opted_out) for name in sorted(rules))


def finding_id(rule: str, snapshot: Snapshot, finding: Finding) -> str:
    """Return rule + 12 hex digits of SHA-256(rule, cluster, kind, namespace, name).

    The name of a node that a cloud gave is replaced by its pool and instance type: it changes with every replacement.
    """
    subject = finding.subject
    node = snapshot.node_by_key.get((subject.cluster, subject.name)) if subject.kind == "Node" else None
    name = subject.name
    if node is not None and node.provider:
        name = "/".join([node.pool or "", node.instance_type or "", *([node.role] if node.role else [])])
    parts = (rule, subject.cluster, subject.kind, subject.namespace or "", name)
    return f"{rule}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"


def _outcome(
    snapshot: Snapshot, rule: Rule, options: Options, opted_out: Callable[[str, Finding], OptOut | None]
) -> Outcome:
    missing = tuple(sorted(rule.needs - snapshot.facts))
    if missing:
        return Outcome(rule=rule, missing=missing)
    unknown = sorted(set(options) - set(rule.options))
    if unknown:
        raise UserError(
            f"rule {rule.name} has no option {unknown[0]}",
            hint=f"its options: {', '.join(sorted(rule.options)) or 'none'} (gpuaudit rules {rule.name})",
        )
    found = [_judged(snapshot, rule, finding, opted_out) for finding in rule(snapshot, **options)]
    return Outcome(rule=rule, findings=tuple(_distinct(sorted(found, key=_order))))


def _judged(
    snapshot: Snapshot, rule: Rule, finding: Finding, opted_out: Callable[[str, Finding], OptOut | None]
) -> Judged:
    return Judged(
        id=finding_id(rule.name, snapshot, finding),
        rule=rule.name,
        area=rule.area,
        severity=finding.severity or rule.severity,
        finding=finding,
        ignored=opted_out(rule.name, finding),
    )


def _order(judged: Judged) -> tuple[str, str, str, str, str]:
    subject = judged.finding.subject
    return (subject.cluster, subject.namespace or "", subject.kind, subject.name, judged.finding.message)


def _distinct(findings: Sequence[Judged]) -> Iterator[Judged]:
    """Give every finding an id of its own: a rule that speaks twice of one subject gets -2, -3 in sorted order."""
    seen: dict[str, int] = {}
    for judged in findings:
        number = seen[judged.id] = seen.get(judged.id, 0) + 1
        yield judged if number == 1 else replace(judged, id=f"{judged.id}-{number}")
