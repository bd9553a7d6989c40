"""Rule oversubscribed-replicas."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.mig.sharing import (
    Cohort,
    all_cohorts,
    named,
    reserved_share,
    serves,
    sharing_nodes,
    sharing_pods,
    sharing_tenures,
)
from gpuaudit.demand.subjects import count, node_groups, node_subject, place
from gpuaudit.demand.usage.units import owner_of, weakest
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


@dataclass(frozen=True)
class Excess:
    """What does not fit on the cards of a node, in words, with what shows it."""

    node: Node
    said: str
    sure: Confidence
    evidence: tuple[Evidence, ...]
    replicas: int | None = None  # of a card that would fit


@rule(Severity.MEDIUM, needs={"nodes", "pods", "utilization", "memory_used", "pod_attribution", "history"})
def oversubscribed_replicas(
    snapshot: Snapshot,
    *,
    observed_hours: float = 24.0,
    full_memory: float = 0.97,
    saturated_mean: float = 0.90,
    usable_memory: float = 0.95,
) -> Iterator[Finding]:
    """A GPU is shared among more replicas than its memory or its time allows.

    Replicas of time-slicing are promises, not parts: each pod may take the whole memory, and the one that comes last
    fails. Serving engines that reserve nine tenths of a card at the start never fit twice. Where users wait for
    answers, a card that is busy all the time answers late. Batch work that keeps a card busy is what sharing is for.

    Lower the replicas in the device plugin's configuration to what fits, set the engines' share of memory to match
    (vLLM: --gpu-memory-utilization), or give them MIG devices.
    """
    found: dict[tuple[str, str], list[Excess]] = {}
    for node in sharing_nodes(snapshot):
        groups = all_cohorts(snapshot).get(node.key, ())
        excesses = [
            *_reserved(snapshot, node, groups, usable_memory),
            *_full(groups, observed_hours, full_memory),
            *_promised(snapshot, node, observed_hours, usable_memory),
            *_saturated(snapshot, groups, observed_hours, saturated_mean),
        ]
        if excesses:
            found[node.key] = excesses
    for group in node_groups(snapshot.node_by_key[key] for key in found):
        yield _finding(group, [one for node in group for one in found[node.key]])


def _reserved(snapshot: Snapshot, node: Node, groups: Sequence[Cohort], usable: float) -> Iterator[Excess]:
    """Engines that together reserve more memory than there is: on a card, or on all cards of the node."""
    if node.sharing is None or node.sharing.strategy != "time-slicing":
        return
    on_node = [share for pod in sharing_pods(snapshot, node) if (share := reserved_share(snapshot, owner_of(pod)))]
    on_card = [
        [share for owner in group.owners if (share := reserved_share(snapshot, owner))]
        for group in groups
        if group.card
    ]
    worst = max([*(sum(shares) for shares in on_card), sum(on_node) / node.gpus])
    if worst <= 1.0:
        return
    owners = sorted({owner_of(pod) for pod in sharing_pods(snapshot, node) if reserved_share(snapshot, owner_of(pod))})
    evidence = [
        Evidence(
            name=f"share of a card that {named(owner)} reserves",
            value=reserved_share(snapshot, owner),
            unit="ratio",
            source="arguments, else the engine's default",
        )
        for owner in owners
    ]
    said = f"serving engines reserve {worst:.1f} times the memory of a card of {node.name}"
    yield Excess(node, said, "likely", tuple(evidence), replicas=int(usable / max(on_node)))


def _full(groups: Sequence[Cohort], hours: float, full: float) -> Iterator[Excess]:
    for group in groups:
        share = group.memory_share
        if len(group.pods) > 1 and group.hours >= hours and share is not None and share >= full:
            said = f"the memory of a card of {group.node.name} was {share:.0%} full with {len(group.pods)} pods on it"
            evidence = Evidence(
                name=f"memory used of {group.card}",
                value=round(share, 4),
                unit="ratio",
                statistic="max",
                source=group.tenures[0].source,
            )
            yield Excess(group.node, said, "likely", (evidence,))


def _promised(snapshot: Snapshot, node: Node, hours: float, usable: float) -> Iterator[Excess]:
    """Replicas that are offered and would not fit, were they taken by pods like those that are there now."""
    replicas = node.sharing.replicas if node.sharing else None
    pods, seen = sharing_pods(snapshot, node), sharing_tenures(snapshot, node)
    card = min((card.memory_mib for card in node.cards if card.memory_mib), default=None)
    used = {tenure.card: tenure.memory_max_mib for tenure in seen}
    known = {owner_of(pod) for pod in pods} == {tenure.owner for tenure in seen} and None not in used.values()
    if not replicas or not card or not pods or not known or min(tenure.observed_hours for tenure in seen) < hours:
        return
    if any(reserved_share(snapshot, owner_of(pod)) for pod in pods):
        return  # what an engine reserves is no need
    each = sum(value or 0.0 for value in used.values()) / len(pods)
    fitting = int(usable * card / each) if each > 0 else replicas
    if fitting >= replicas:
        return
    said = f"{replicas} replicas are offered of each card of {node.name}, pods like those there fit {fitting} times"
    yield Excess(
        node,
        said,
        "investigate",
        (
            Evidence(name=f"memory a pod on {node.name}", value=round(each), unit="MiB", statistic="max"),
            Evidence(name=f"memory of a card of {node.name}", value=card, unit="MiB", source="node"),
            Evidence(name=f"replicas of {node.name}", value=replicas, statistic="now", source="kubernetes"),
        ),
        replicas=fitting,
    )


def _saturated(snapshot: Snapshot, groups: Sequence[Cohort], hours: float, limit: float) -> Iterator[Excess]:
    """Cards that are busy nearly all the time while users wait for one of those who share them."""
    for group in groups:
        serving = [owner for owner in group.owners if serves(snapshot, owner)]
        mean = group.busy_mean
        if serving and len(group.pods) > 1 and group.hours >= hours and mean is not None and mean >= limit:
            said = f"a card of {group.node.name} was busy {mean:.0%} of the time while {named(serving[0])} serves on it"
            metric = group.tenures[0].metric
            evidence = Evidence(
                name=f"{metric} of {group.card}",
                value=round(mean, 4),
                unit="ratio",
                statistic="mean",
                source=group.tenures[0].source,
            )
            yield Excess(group.node, said, "likely", (evidence,))


def _finding(nodes: Sequence[Node], found: Sequence[Excess]) -> Finding:
    order: tuple[Confidence, ...] = ("confirmed", "likely", "investigate")
    ranked = sorted(found, key=lambda one: (order.index(one.sure), one.node.name, one.said))
    more = f" and {len(ranked) - 1} more" if len(ranked) > 1 else ""
    fits = [one.replicas for one in found if one.replicas is not None]
    replicas = {node.sharing.replicas for node in nodes if node.sharing}
    return Finding(
        subject=node_subject(nodes, gpus=float(sum(node.gpus for node in nodes))),
        message=f"Too many share a GPU in {place(nodes)}: {ranked[0].said}{more}",
        evidence=tuple(
            item
            for one in ranked
            for item in (Evidence(name=f"on {one.node.name}", value=one.said, source="metrics"), *one.evidence)
        ),
        confidence=weakest([ranked[0].sure]) or "investigate",
        act=Act(
            kind="configure",
            risk="restart",
            target=nodes[0].pool or nodes[0].name,
            from_=count(next(iter(replicas)) or 0, "replica") if len(replicas) == 1 else None,
            to=count(max(1, min(fits)), "replica") if fits else None,
        ),
        fix=Fix(generate="sharing", note="fewer replicas, a smaller share of memory for each engine, or MIG devices"),
        refutation="programs that keep to a limit of memory that neither flags nor metrics show",
    )
