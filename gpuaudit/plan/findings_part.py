"""The report's findings: what the engine found, with its place in the books."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gpuaudit import schema
from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.outcome import Judged
from gpuaudit.plan.bill import dollars
from gpuaudit.plan.release import Release
from gpuaudit.rule import Evidence, Finding, Severity

HIGH_SHARE = 0.05  # design 2: more than 5 % of the bill, confirmed, is high
REFUTED = "refuted if"  # name of the piece of evidence that says what would show the finding to be wrong
FREES = ("release_gpus", "release_node")


def proposed_nodes(snapshot: Snapshot, findings: Sequence[Judged]) -> dict[str, list[Node]]:
    """Return the nodes that unignored findings propose to let go, by finding id."""
    return {
        judged.id: [
            snapshot.node_by_key[judged.finding.subject.cluster, name]
            for name in judged.finding.releases
            if (judged.finding.subject.cluster, name) in snapshot.node_by_key
        ]
        for judged in findings
        if judged.ignored is None and judged.finding.act is not None and judged.finding.act.kind == "release_node"
    }


def raised(findings: Sequence[Judged], release: Release, bill_cents: int | None) -> list[Judged]:
    """Raise to high what is confirmed and more than 5 % of the bill; sort by severity, money and id."""
    limit = HIGH_SHARE * bill_cents if bill_cents else None
    result = [
        replace(judged, severity=Severity.HIGH)
        if limit is not None
        and judged.finding.confidence == "confirmed"
        and release.attributed.get(judged.id, 0) > limit
        else judged
        for judged in findings
    ]
    return sorted(result, key=lambda j: (j.severity.rank, -release.attributed.get(j.id, 0), j.id))


def findings_part(findings: Sequence[Judged], release: Release) -> list[schema.FindingPart]:
    """Return the section, in the order given."""
    return [_part(judged, release) for judged in findings]


def regained_gpus(snapshot: Snapshot, findings: Sequence[Judged], release: Release) -> float:
    """GPUs that unignored, not merely suspected findings free on nodes that stay; each device counts once.

    Work whose devices are not known counts once as well, however many rules speak of it.
    """
    leaving = {cost.node.key for cost in release.nodes}
    devices: dict[tuple[str, str], float] = {}
    unseen: dict[tuple[str, str], float] = {}
    named: set[tuple[str, str]] = set()
    for judged in (one for one in findings if _frees(one)):
        finding, cluster = judged.finding, judged.finding.subject.cluster
        gpus, work = finding.subject.gpus or 0.0, (cluster, judged.workload or judged.id)
        names = finding.subject.devices
        named |= {work} if names else set()
        for name in names:
            if _node_of(snapshot, finding, name) not in leaving:
                devices.setdefault((cluster, name), gpus / len(names))
        if not names and _node_of(snapshot, finding, judged.id) not in leaving:
            unseen[work] = max(gpus, unseen.get(work, 0.0))
    return sum(devices.values()) + sum(gpus for work, gpus in unseen.items() if work not in named)


def _frees(judged: Judged) -> bool:
    finding = judged.finding
    if judged.ignored or finding.confidence == "investigate" or finding.act is None:
        return False
    return finding.act.kind == "release_gpus" and bool(finding.subject.gpus)


def _node_of(snapshot: Snapshot, finding: Finding, device: str) -> tuple[str, str]:
    card = snapshot.card_by_uuid.get(device.partition("/")[0])
    name = card[0].name if card else device.rpartition("/")[0] or finding.subject.node or ""
    return (finding.subject.cluster, name)


def _part(judged: Judged, release: Release) -> schema.FindingPart:
    finding = judged.finding
    return schema.FindingPart(
        id=judged.id,
        rule=judged.rule,
        area=judged.area,
        severity=judged.severity.value,
        confidence=finding.confidence,
        subject=_subject(finding),
        message=finding.message,
        evidence=_evidence(finding),
        act=None
        if finding.act is None
        else schema.ActPart(
            kind=finding.act.kind,
            target=finding.act.target,
            from_=finding.act.from_,
            to=finding.act.to,
            unblocks=finding.act.unblocks,
        ),
        savings=_savings(judged, release),
        fix=schema.FixPart(
            generate=finding.fix.generate if finding.fix else None, note=finding.fix.note if finding.fix else ""
        ),
        ignored=None
        if judged.ignored is None
        else schema.Ignored(by=judged.ignored.by, reason=judged.ignored.reason, expires=judged.ignored.expires),
    )


def _evidence(finding: Finding) -> list[schema.EvidencePart]:
    items = list(finding.evidence)
    if finding.refutation:
        items.append(Evidence(name=REFUTED, value=finding.refutation, observed=False))
    return [
        schema.EvidencePart(
            name=item.name,
            value=item.value,
            unit=item.unit,
            statistic=item.statistic,
            window_seconds=item.window_seconds,
            source=item.source,
            query=item.query,
            observed=item.observed,
        )
        for item in items
    ]


def _subject(finding: Finding) -> schema.SubjectPart:
    subject = finding.subject
    return schema.SubjectPart(
        cluster=subject.cluster,
        kind=subject.kind,
        namespace=subject.namespace,
        name=subject.name,
        node=subject.node,
        devices=list(subject.devices),
        gpus=subject.gpus,
    )


def _savings(judged: Judged, release: Release) -> schema.Savings:
    """Cash as the plan attributes it; what frees GPUs on nodes that stay is capacity, $0."""
    entries: Mapping[str, object] = release.entries
    standalone = release.standalone.get(judged.id)
    if judged.ignored is None and judged.id in entries:
        ledger: schema.LedgerName = release.entries[judged.id].ledger
    elif judged.finding.act is not None and judged.finding.act.kind in FREES and judged.finding.subject.gpus:
        ledger = "capacity"
    else:
        ledger = "none"
    return schema.Savings(
        ledger=ledger,
        monthly=schema.Amounts(
            attributed=dollars(release.attributed.get(judged.id, 0)),
            standalone=None if standalone is None else dollars(standalone),
        ),
    )
