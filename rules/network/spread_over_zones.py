"""Rule spread-over-zones."""

from collections import Counter
from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network.crossing import Crossing, by_owner, crossings
from gpuaudit.demand.network.network_words import crossing_evidence, sureness
from gpuaudit.demand.subjects import count, listed
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule


@rule(Severity.MEDIUM, needs={"nodes", "pods"})
def spread_over_zones(snapshot: Snapshot) -> Iterator[Finding]:
    """A gang that talks at every step is spread over several zones.

    Between zones there is no fabric: EFA and InfiniBand end at the zone, what is left is TCP over a longer way, and
    most providers charge for each byte of it. Replicas that serve each for itself are spread on purpose and are no
    gang. Zones count where a provider says them; on premises the label may be a rack, and nothing is said.

    Keep a gang within one zone: a required pod affinity on topology.kubernetes.io/zone (exclusive topology of JobSet
    and LeaderWorkerSet, topology-aware scheduling of Kueue), or a node pool per zone.
    """
    for owner, gangs in by_owner(crossings(snapshot)):
        found = [gang for gang in gangs if len(_zones(gang)) > 1]
        if found:
            yield _finding(snapshot, owner, found)


def _zones(gang: Crossing) -> Counter[str]:
    """Return nodes by zone; nothing when one is not known or no provider says it."""
    if any(node.zone is None or node.provider is None for node in gang.nodes):
        return Counter()
    return Counter(node.zone for node in gang.nodes if node.zone)


def _finding(snapshot: Snapshot, owner: str, gangs: Sequence[Crossing]) -> Finding:
    subject = workload_subject(snapshot, owner)
    zones = _zones(gangs[0])
    named = [f"{zone} ({count(number, 'node')})" for zone, number in sorted(zones.items())]
    groups = "" if len(gangs) == 1 else f", as {len(gangs) - 1} more of its groups"
    return Finding(
        subject=subject,
        workload=owner,
        message=f"the ranks of {subject.namespace}/{subject.name} are spread over {len(zones)} zones: "
        f"{listed(named)}{groups}",
        evidence=(
            *crossing_evidence(gangs),
            Evidence(name="zones of its nodes", value=len(zones), unit="zones", statistic="now", source="kubernetes"),
        ),
        confidence=sureness(gangs),
        act=Act(kind="schedule", target=owner, to="one zone", unblocks="GPUs that wait for the network"),
        fix=Fix(generate="scheduling", note="require one zone for the gang"),
        refutation="ranks that do not talk at every step, such as independent replicas of one job",
    )
