"""Actions: what a person can do, grouped from findings by (act, pool, owner), on four shelves (users.md 5.3)."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from gpuaudit import schema
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.outcome import Judged
from gpuaudit.plan.bill import dollars
from gpuaudit.rule import Severity

GroupKey = tuple[schema.Shelf, str, str, str, str]
SHELVES: tuple[schema.Shelf, ...] = ("protect", "this_week", "plan", "find_out")
HURT = {Severity.HIGH, Severity.MEDIUM}
RISK = {
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
EFFORT: Mapping[str, schema.Effort] = {"release_node": "S", "release_gpus": "S", "configure": "S", "purchase": "M"}


def actions(
    snapshot: Snapshot,
    findings: Sequence[Judged],
    *,
    attributed: Mapping[str, int],
    owner_of: Callable[[str], str],
    hurts: Callable[[Judged], bool],
) -> list[schema.ActionPart]:
    """Group unignored findings with an act; `hurts` tells whether users or jobs are hurt now."""
    groups: dict[GroupKey, list[Judged]] = defaultdict(list)
    for judged in findings:
        if judged.ignored is None and judged.finding.act is not None:
            groups[_key(snapshot, judged, attributed, owner_of=owner_of, hurts=hurts)].append(judged)
    made = [(_action(key, group, attributed), _gpus(group)) for key, group in groups.items()]
    made.sort(key=lambda pair: (SHELVES.index(pair[0].shelf), -pair[0].booked_monthly, -pair[1], pair[0].id))
    return [action for action, _ in made]


def _key(
    snapshot: Snapshot,
    judged: Judged,
    attributed: Mapping[str, int],
    *,
    owner_of: Callable[[str], str],
    hurts: Callable[[Judged], bool],
) -> GroupKey:
    assert judged.finding.act is not None
    owner = owner_of(judged.workload) if judged.workload else ""
    shelf = _shelf(judged, attributed, hurts=hurts)
    return (shelf, judged.rule, judged.finding.act.kind, pool_of(snapshot, judged), owner)


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


def _action(key: GroupKey, group: Sequence[Judged], attributed: Mapping[str, int]) -> schema.ActionPart:
    shelf, rule, act, pool, owner = key
    digest = hashlib.sha256(chr(0).join(key).encode()).hexdigest()
    return schema.ActionPart(
        id=f"action-{digest[:8]}",
        shelf=shelf,
        act=act,
        pool=pool,
        owner=owner,
        text=_text(rule, group),
        findings=[judged.id for judged in group],
        booked_monthly=dollars(sum(attributed.get(judged.id, 0) for judged in group)),
        risk=RISK.get(act, "restart"),
        effort=EFFORT.get(act, "M"),
    )


def _text(rule: str, group: Sequence[Judged]) -> str:
    if len(group) == 1:
        return group[0].finding.message
    gpus = [judged.finding.subject.gpus for judged in group]
    held = f", {sum(g for g in gpus if g is not None):g} GPUs" if all(g is not None for g in gpus) else ""
    named = ", ".join(judged.finding.subject.name for judged in group[:3])
    more = f" and {len(group) - 3} more" if len(group) > 3 else ""
    return f"{len(group)} findings of {rule}{held}: {named}{more}"


def _gpus(group: Sequence[Judged]) -> float:
    """GPUs that the group speaks of; unknown ones do not count towards its rank."""
    return sum(judged.finding.subject.gpus or 0.0 for judged in group)
