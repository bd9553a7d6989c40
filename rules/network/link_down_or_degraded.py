"""Rule link-down-or-degraded."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network.crossing import crossings
from gpuaudit.demand.network.siblings import OddPort, odd_ports
from gpuaudit.demand.subjects import listed, node_subject, place
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule


@rule(Severity.MEDIUM, needs={"port_facts"})
def link_down_or_degraded(snapshot: Snapshot) -> Iterator[Finding]:
    """A port of a node is down, or slower than the same port of the other nodes.

    A gang runs at the pace of its slowest rail: one port at 200 instead of 400 Gbit/s, or down, slows every job that
    has a rank on that node, and no pod ever fails of it. Ports are compared with their siblings in the pool (same
    instance type, same port name, three nodes or more), never with a datasheet: what is down, switched off or slow on
    half of the nodes is design. The host or node_exporter tells, as of now.

    Reseat or replace the cable or transceiver, look at the port's switch side, and keep jobs off the node until then.
    """
    gangs = {node.key for gang in crossings(snapshot) for node in gang.nodes}
    odd = sorted(odd_ports(snapshot), key=lambda one: (one.node.key, one.port.name))
    for _, ports in groupby(odd, key=lambda one: one.node.key):
        found = list(ports)
        yield _finding(found[0].node, found, found[0].node.key in gangs)


def _finding(node: Node, ports: Sequence[OddPort], gang: bool) -> Finding:
    fabric = [one for one in ports if one.port.kind != "ethernet" and not one.disabled]
    severity = Severity.HIGH if fabric and gang else Severity.MEDIUM if fabric else Severity.LOW
    said = listed([_words(one) for one in ports])
    hurt = ", while a job over several nodes runs there" if fabric and gang else ""
    return Finding(
        subject=node_subject([node]),
        severity=severity,
        message=f"on {node.name} in {place([node])} {said}{hurt}",
        evidence=tuple(_evidence(ports)),
        confidence="investigate" if all(one.disabled for one in ports) else "likely",
        act=Act(kind="configure", risk="drain", target=node.name),
        fix=Fix(note="check cable, transceiver and the switch's port; keep gangs off the node until it is mended"),
        refutation="a port that is out of use on this node on purpose",
    )


def _words(one: OddPort) -> str:
    if one.down:
        return f"{one.port.name} is {'switched off' if one.disabled else 'down'} and up on {one.others} siblings"
    return f"{one.port.name} runs at {one.port.speed_gbps:g} Gbit/s and at {one.usual_gbps:g} on {one.others} siblings"


def _evidence(ports: Sequence[OddPort]) -> Iterator[Evidence]:
    for one in ports:
        source = "node facts" if one.node.probe_taken_at else "node_exporter"
        state = None if one.port.up is None else "up" if one.port.up else "down"
        yield Evidence(name=f"state of {one.port.name}", value=state, statistic="now", source=source)
        yield Evidence(
            name=f"speed of {one.port.name}", value=one.port.speed_gbps, unit="Gbit/s", statistic="now", source=source
        )
        yield Evidence(
            name=f"speed of {one.port.name} on siblings",
            value=one.usual_gbps,
            unit="Gbit/s",
            statistic="most",
            source=source,
        )
        if one.port.max_speed_gbps:
            value = one.port.max_speed_gbps
            yield Evidence(name=f"best speed of {one.port.name}", value=value, unit="Gbit/s", source=source)
