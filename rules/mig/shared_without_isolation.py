"""Rule shared-without-isolation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.mig.nodes import grid_of
from gpuaudit.demand.mig.sharing import Cohort, all_cohorts, interactive, named, serves, tenant_of
from gpuaudit.demand.subjects import listed, node_groups, node_subject, place
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


@dataclass(frozen=True)
class Risk:
    """Workloads on one card that can hurt each other: whose they are, and the harm that was measured ("" = none)."""

    cohort: Cohort
    tenants: tuple[str, ...]
    harm: str


@rule(Severity.LOW, needs={"nodes", "pods"})
def shared_without_isolation(
    snapshot: Snapshot, *, saturated_p95: float = 0.95, full_memory: float = 0.95, observed_hours: float = 24.0
) -> Iterator[Finding]:
    """Workloads of different owners share a GPU that keeps nothing apart between them.

    Time-slicing gives every process the whole memory of the card in turn: one that takes too much makes the others
    fail, a fault of one ends all, and whoever answers users waits for its turn. MPS limits the memory, not the faults.
    Replicas of one workload, and the work of one owner, may well share; notebooks are meant to, as long as they fit.
    What harm the card shows, its memory full or its time used up, stands in the evidence.

    Give work of different owners MIG devices where the GPU has them, or cards of their own; keep what answers users
    apart from batch work.
    """
    risks = [
        risk
        for found in all_cohorts(snapshot).values()
        for cohort in found
        if (risk := _risk(snapshot, cohort, saturated_p95, full_memory, observed_hours))
    ]
    by_node: dict[tuple[str, str], list[Risk]] = {}
    for risk in risks:
        by_node.setdefault(risk.cohort.node.key, []).append(risk)
    for group in node_groups(snapshot.node_by_key[key] for key in by_node):
        yield _finding(snapshot, group, [risk for node in group for risk in by_node[node.key]])


def _risk(snapshot: Snapshot, cohort: Cohort, saturated: float, full: float, hours: float) -> Risk | None:
    """Return the risk of a cohort: several owners, or users' answers next to other work where harm was measured."""
    tenants = tuple(sorted({tenant_of(snapshot, owner) for owner in cohort.owners}))
    harm = _harm(cohort, saturated, full) if cohort.hours >= hours else ""
    serving = [owner for owner in cohort.owners if serves(snapshot, owner)]
    mixed = bool(serving) and len(serving) < len(cohort.owners)
    if len(tenants) > 1 and (harm or not interactive(snapshot, cohort.owners)):
        return Risk(cohort, tenants, harm)
    return Risk(cohort, tenants, harm) if mixed and harm else None


def _harm(cohort: Cohort, saturated: float, full: float) -> str:
    if cohort.memory_share is not None and cohort.memory_share >= full:
        return f"its memory was {cohort.memory_share:.0%} full"
    if cohort.busy_p95 is not None and cohort.busy_p95 >= saturated:
        return f"it was {cohort.busy_p95:.0%} busy at its 95th percentile"
    return ""


def _finding(snapshot: Snapshot, nodes: Sequence[Node], risks: Sequence[Risk]) -> Finding:
    harmed = [risk for risk in risks if risk.harm]
    tenants = sorted({name for risk in risks for name in risk.tenants})
    owners = sorted({owner for risk in risks for owner in risk.cohort.owners})
    served = any(serves(snapshot, owner) for risk in harmed for owner in risk.cohort.owners)
    strategy = " and ".join(sorted({node.sharing.strategy for node in nodes if node.sharing}))
    cards = [risk.cohort.card for risk in risks if risk.cohort.card]
    confidence: Confidence = "likely" if harmed else "investigate"
    several = f"{len(tenants)} owners ({listed(tenants)})"
    whose = several if len(tenants) > 1 else f"Serving and other work of {tenants[0]}"
    return Finding(
        subject=node_subject(nodes, devices=cards, gpus=float(len(set(cards))) if cards else None),
        message=f"{whose} share GPUs of {place(nodes)} by {strategy} without isolation"
        + (f": {harmed[0].harm}" if harmed else ", no harm measured so far"),
        evidence=tuple(_evidence(snapshot, risks, owners)),
        confidence=confidence,
        severity=Severity.MEDIUM if served else None,
        act=Act(
            kind="configure", risk="drain", target=nodes[0].pool or nodes[0].name, from_=strategy, to=_instead(nodes)
        ),
        fix=Fix(generate="sharing", note=f"{_instead(nodes)} for work of different owners"),
        refutation="owners who agreed to share, and limits on memory that their programs keep",
    )


def _instead(nodes: Sequence[Node]) -> str:
    return "MIG devices" if all(grid_of(node) for node in nodes) else "cards of their own"


def _evidence(snapshot: Snapshot, risks: Sequence[Risk], owners: Sequence[str]) -> Iterator[Evidence]:
    for risk in risks:
        node, card = risk.cohort.node, risk.cohort.card
        where = card or f"cards of {node.name}, which ones is not known"
        names = ", ".join(named(owner) for owner in risk.cohort.owners)
        yield Evidence(name=f"share {where}", value=names, statistic="now", source="kubernetes")
        if risk.cohort.busy_p95 is not None:
            busy = round(risk.cohort.busy_p95, 4)
            yield Evidence(name=f"activity of {where}", value=busy, unit="ratio", statistic="p95", source="metrics")
        if risk.cohort.memory_share is not None:
            full = round(risk.cohort.memory_share, 4)
            yield Evidence(name=f"memory used of {where}", value=full, unit="ratio", statistic="max", source="metrics")
    for owner in owners:
        yield Evidence(name=f"owner of {named(owner)}", value=tenant_of(snapshot, owner), source="labels")
        if serves(snapshot, owner):
            yield Evidence(name=f"users wait for {named(owner)}", value=True, source="serving engine")
