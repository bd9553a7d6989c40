"""Rule slow-link."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network.crossing import Crossing, by_owner, crossings
from gpuaudit.demand.network.network_words import crossing_evidence, fabric_words, over
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


@rule(Severity.MEDIUM, needs={"nodes", "pods"})
def slow_link(snapshot: Snapshot, *, below_gbps: float = 100.0, full_above: float = 0.5) -> Iterator[Finding]:
    """A job computes on several nodes that are linked by less than 100 Gbit/s.

    Every step of training, and every token of a model split over nodes, waits for what the slowest link carries: four
    GPUs on a fast fabric finish before eight on 10-gigabit Ethernet. The speed is all of a node's fabric, from its
    ports or its instance type; where it is not known, nothing is said. Only gangs with a sign of collectives are
    judged: a link more than half full over the whole window is confirmed, a model split beyond a pod likely, the rest
    asks for a look.

    Run it on nodes with a faster fabric, or on fewer nodes with more GPUs each; or make it say less (gradient
    accumulation, pipeline instead of tensor parallelism).
    """
    for owner, gangs in by_owner(crossings(snapshot)):
        found = [gang for gang in gangs if (speed := _slowest(gang)) is not None and speed < below_gbps]
        if found:
            yield _finding(snapshot, owner, found, below_gbps, full_above)


def _slowest(gang: Crossing) -> float | None:
    """Return the slowest node's Gbit/s; None when one is not known."""
    speeds = [one.gbps for one in gang.fabrics]
    return None if any(speed is None for speed in speeds) else min(speed for speed in speeds if speed is not None)


def _finding(
    snapshot: Snapshot, owner: str, gangs: Sequence[Crossing], below_gbps: float, full_above: float
) -> Finding:
    slowest = min(speed for gang in gangs if (speed := _slowest(gang)) is not None)
    subject = workload_subject(snapshot, owner)
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} computes on {over(gangs)} that are linked by {slowest:g} Gbit/s",
        evidence=(
            *crossing_evidence(gangs),
            Evidence(name="slowest link of a node", value=slowest, unit="Gbit/s", statistic="now", source="kubernetes"),
            Evidence(name="fabric of its nodes", value=fabric_words(gangs[0]), statistic="now", source="kubernetes"),
            Evidence(name="threshold", value=below_gbps, unit="Gbit/s", observed=False, source="option below_gbps"),
        ),
        confidence=_sure(gangs, slowest, full_above),
        act=Act(kind="move", target=owner, unblocks="GPUs that wait for the network"),
        fix=Fix(note="nodes with a faster fabric, or fewer nodes with more GPUs each"),
        refutation="ranks that work each for itself, or a profile in which no step waits for the network",
    )


def _sure(gangs: Sequence[Crossing], slowest: float, full_above: float) -> Confidence:
    if all(gang.gbps is not None and gang.gbps >= full_above * slowest for gang in gangs):
        return "confirmed"
    return "likely" if all(gang.proven for gang in gangs) else "investigate"
