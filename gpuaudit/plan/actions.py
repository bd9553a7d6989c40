"""Actions: what a person can do, grouped from findings by subject, act, pool and owner, on four shelves."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpuaudit import schema
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.outcome import Judged
from gpuaudit.plan.bill import dollars
from gpuaudit.rule import Act, ActKind, Risk

GroupKey = tuple[schema.Shelf, str, str, str, str]
SHELVES: tuple[schema.Shelf, ...] = ("protect", "this_week", "plan", "find_out")
RISKS: tuple[Risk, ...] = ("none", "restart", "drain", "reboot")
RISK: Mapping[ActKind, Risk] = {
    "release_node": "none",
    "release_gpus": "restart",
    "move": "restart",
    "resize": "restart",
    "replicas": "restart",
    "schedule": "restart",
    "tier": "restart",
    "purchase": "none",
    "configure": "none",
}
SMALL: frozenset[str] = frozenset({"release_node", "release_gpus", "configure"})


@dataclass(frozen=True)
class _Row:
    """All that is said of one subject: it stands once on the screen, under its highest shelf."""

    shelf: schema.Shelf
    lead: Judged
    more: tuple[Judged, ...]

    @property
    def all(self) -> tuple[Judged, ...]:
        return (self.lead, *self.more)


def actions(
    snapshot: Snapshot,
    findings: Sequence[Judged],
    *,
    attributed: Mapping[str, int],
    owner_of: Callable[[str], str],
    hurts: Callable[[Judged], bool],
) -> list[schema.ActionPart]:
    """Group unignored findings with an act; `hurts` tells whether users or jobs are hurt now.

    What is said of one subject becomes one row, led by its gravest finding; rows of one shelf, rule, act, pool and
    owner become one action. Every finding is in exactly one action.
    """
    groups: dict[GroupKey, list[_Row]] = defaultdict(list)
    for row in _rows(findings, attributed, hurts=hurts):
        assert row.lead.finding.act is not None
        owner = owner_of(row.lead.workload) if row.lead.workload else ""
        groups[row.shelf, row.lead.rule, row.lead.finding.act.kind, pool_of(snapshot, row.lead), owner].append(row)
    made = [(_action(key, group, attributed), group) for key, group in groups.items()]
    made.sort(key=lambda pair: (SHELVES.index(pair[0].shelf), -pair[0].booked_monthly, *_rank(pair[1]), pair[0].id))
    return [action for action, _ in made]


def _rows(
    findings: Sequence[Judged], attributed: Mapping[str, int], *, hurts: Callable[[Judged], bool]
) -> Iterator[_Row]:
    by_subject: dict[tuple[str, ...], list[Judged]] = defaultdict(list)
    for judged in findings:
        if judged.ignored is None and judged.finding.act is not None:
            by_subject[_subject(judged)].append(judged)
    for group in by_subject.values():
        shelves = {judged.id: _shelf(judged, attributed, hurts=hurts) for judged in group}
        order = sorted(
            group,
            key=lambda j: (SHELVES.index(shelves[j.id]), -attributed.get(j.id, 0), j.severity.rank, j.rule, j.id),
        )
        yield _Row(shelves[order[0].id], order[0], tuple(order[1:]))


def _subject(judged: Judged) -> tuple[str, ...]:
    subject = judged.finding.subject
    return (judged.workload,) if judged.workload else (subject.cluster, subject.kind, subject.name)


def _shelf(judged: Judged, attributed: Mapping[str, int], *, hurts: Callable[[Judged], bool]) -> schema.Shelf:
    if hurts(judged):
        return "protect"
    if attributed.get(judged.id, 0) > 0 and judged.finding.confidence == "confirmed":
        return "this_week"
    if judged.finding.confidence == "investigate":
        return "find_out"
    return "plan"


def pool_of(snapshot: Snapshot, judged: Judged) -> str:
    """Return the pool of the finding's node, or of the node its workload runs on; several are joined by +."""
    subject = judged.finding.subject
    names = {subject.node, *judged.finding.releases, *(device.rpartition("/")[0] for device in subject.devices)}
    if subject.kind == "Node":
        names.add(subject.name)
    names |= {pod.node for pod in snapshot.pods_by_workload.get(judged.workload or "", ())}
    nodes = [snapshot.node_by_key.get((subject.cluster, name)) for name in names if name]
    nodes += [snapshot.card_by_uuid[device][0] for device in subject.devices if device in snapshot.card_by_uuid]
    return "+".join(sorted({node.pool or "(no pool)" for node in nodes if node is not None}))


def _action(key: GroupKey, rows: Sequence[_Row], attributed: Mapping[str, int]) -> schema.ActionPart:
    shelf, _, act, pool, owner = key
    digest = hashlib.sha256(chr(0).join(key).encode()).hexdigest()
    findings = [judged.id for row in rows for judged in row.all]
    risk = max((_risk(row.lead.finding.act) for row in rows if row.lead.finding.act), key=RISKS.index)
    return schema.ActionPart(
        id=f"action-{digest[:8]}",
        shelf=shelf,
        act=act,
        pool=pool,
        owner=owner,
        text=_text(rows),
        findings=findings,
        booked_monthly=dollars(sum(attributed.get(name, 0) for name in findings)),
        risk=risk,
        effort="S" if act in SMALL and risk in ("none", "restart") else "M",
    )


def _risk(act: Act) -> Risk:
    return act.risk or RISK[act.kind]


def _text(rows: Sequence[_Row]) -> str:
    if len(rows) == 1:
        also = ", ".join(dict.fromkeys(judged.rule for judged in rows[0].more if judged.rule != rows[0].lead.rule))
        return rows[0].lead.finding.message + (f" (also {also})" if also else "")
    gpus = [row.lead.finding.subject.gpus for row in rows]
    held = f", {sum(g for g in gpus if g is not None):g} GPUs" if all(g is not None for g in gpus) else ""
    named = ", ".join(row.lead.finding.subject.name for row in rows[:3])
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return f"{len(rows)} findings of {rows[0].lead.rule}{held}: {named}{more}"


def _rank(rows: Sequence[_Row]) -> tuple[int, float]:
    """Gravest first, then by the GPUs spoken of; unknown ones do not count."""
    gpus = sum(row.lead.finding.subject.gpus or 0.0 for row in rows)
    return (min(row.lead.severity.rank for row in rows), -gpus)
