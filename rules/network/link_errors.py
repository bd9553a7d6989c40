"""Rule link-errors."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network.crossing import crossings
from gpuaudit.demand.network.siblings import FailingPort, failing_ports
from gpuaudit.demand.subjects import listed, node_subject, place
from gpuaudit.knowledge import fabric
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule


@rule(Severity.MEDIUM, needs={"network_metrics"})
def link_errors(
    snapshot: Snapshot, *, errors_per_hour: float = 10.0, losses_per_hour: float = 100.0, flaps: int = 3
) -> Iterator[Finding]:
    """A port makes errors that its siblings do not.

    A dirty connector or a dying transceiver shows as symbol and receive errors, link recoveries and flaps long before
    the link is down; each costs a retransmission, and a flap stalls or kills the jobs whose collectives cross it. The
    counters' growth within the window counts, not what has piled up since the driver was loaded, and only where it is
    ten times that of the same port on the pool's other nodes: what all ports show is a reboot of a switch, or the
    fabric's own way.

    Clean or replace cable and transceiver, starting with the port that flaps; look at the switch's counters for the
    same link. Keep gangs off the node until the counters stand still.
    """
    ports = fabric.fabric().ports
    hours = snapshot.window_seconds / 3600.0
    found = [
        *failing_ports(snapshot, ports.flaps, least=float(flaps)),
        *failing_ports(snapshot, ports.physical, least=errors_per_hour * hours),
        *failing_ports(snapshot, ports.loss, least=losses_per_hour * hours),
    ]
    gangs = {node.key for gang in crossings(snapshot) for node in gang.nodes}
    for _, group in groupby(sorted(found, key=lambda one: one.node.key), key=lambda one: one.node.key):
        failing = list(group)
        yield _finding(snapshot, failing[0].node, failing, failing[0].node.key in gangs)


def _finding(snapshot: Snapshot, node: Node, failing: Sequence[FailingPort], gang: bool) -> Finding:
    ports = {one.port.name: [_words(same) for same in failing if same.port == one.port] for one in failing}
    said = listed([f"{name} ({', '.join(words)})" for name, words in ports.items()])
    return Finding(
        subject=node_subject([node]),
        severity=Severity.HIGH if gang and any(one.port.kind != "ethernet" for one in failing) else None,
        message=f"ports of {node.name} in {place([node])} make errors that their siblings do not: {said}",
        evidence=tuple(_evidence(snapshot, failing)),
        confidence="confirmed" if snapshot.window_seconds >= 86400 else "likely",
        act=Act(kind="configure", risk="drain", target=node.name),
        fix=Fix(note="clean or replace cable and transceiver; keep gangs off the node until the counters stand still"),
        refutation="work on the cabling of this node within the window",
    )


def _words(one: FailingPort) -> str:
    return ", ".join(f"{name} +{amount:,.0f}" for name, amount in sorted(one.grew.items()))


def _evidence(snapshot: Snapshot, failing: Sequence[FailingPort]) -> Iterator[Evidence]:
    for one in failing:
        for name, amount in sorted(one.grew.items()):
            of = f"{name} of {one.port.name}"
            values = ((of, amount, "increase"), (f"{of} on siblings", one.usual[name], "median increase"))
            for label, value, statistic in values:
                yield Evidence(
                    name=label,
                    value=round(value, 1),
                    unit="errors",
                    statistic=statistic,
                    window_seconds=snapshot.window_seconds,
                    source="node_exporter",
                )
