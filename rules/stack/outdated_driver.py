"""Rule outdated-driver."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import planned_maintenance
from gpuaudit.demand.subjects import count, listed, node_groups, place
from gpuaudit.knowledge import drivers
from gpuaudit.knowledge.drivers import Branch, KnownBad
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, Subject, rule

Broken = Mapping[KnownBad, Sequence[tuple[Node, int]]]  # what is known to be broken → nodes and the XID they reported


@rule(Severity.LOW, needs={"nodes", "driver_versions"})
def outdated_driver(snapshot: Snapshot) -> Iterator[Finding]:
    """GPU nodes run a driver branch that has reached its end of life.

    NVIDIA mends security holes and faults of a branch until its end: production branches for a year, long term ones
    for three. After it every fault stays, and new CUDA releases need newer drivers. That a newer driver exists is no
    reason, and a branch that the table does not know is not judged. A release that is known to be broken is named only
    where a GPU of the node reported the XID that goes with it. Left out: nodes whose driver is being upgraded, declared
    spares and labs, and virtual GPUs, whose drivers have a calendar of their own.

    Move to a long term branch node by node: cordon, wait until the jobs have ended, upgrade, validate, uncordon (the
    GPU Operator's upgrade policy does so; on EKS, GKE and AKS a newer node image brings the driver).
    """
    today = snapshot.taken_at.date()
    for _, nodes in sorted(_by_branch(snapshot).items()):
        branch, broken = drivers.branch_of(nodes[0].driver_version), _broken(nodes)
        if (branch and branch.ended(today)) or broken:
            yield _finding(nodes, branch if branch and branch.ended(today) else None, broken, today)


def _by_branch(snapshot: Snapshot) -> Mapping[tuple[str, int], list[Node]]:
    found: dict[tuple[str, int], list[Node]] = defaultdict(list)
    for node in snapshot.gpu_nodes:
        version = drivers.version_of(node.driver_version)
        if version and node.role is None and not planned_maintenance(node) and not drivers.is_virtual(node.labels):
            found[node.cluster, version[0]].append(node)
    return found


def _broken(nodes: Sequence[Node]) -> Broken:
    found: dict[KnownBad, list[tuple[Node, int]]] = defaultdict(list)
    for node in nodes:
        reported = {fault.casefold() for card in node.cards for fault in card.faults}
        for bad in drivers.known_bad(node.driver_version):
            found[bad] += [(node, xid) for xid in bad.xids if f"xid {xid}" in reported]
    return {bad: hits for bad, hits in found.items() if hits}


def _finding(nodes: Sequence[Node], branch: Branch | None, broken: Broken, today: date) -> Finding:
    cluster, number = nodes[0].cluster, (drivers.version_of(nodes[0].driver_version) or (0,))[0]
    names = count(len(nodes), "GPU node")
    said = [f"{names} of {cluster} run drivers of R{number}, which {_ended(branch)}"] if branch else []
    said += [_known(bad, [node for node, _ in hits]) for bad, hits in broken.items()]
    better = [f"R{one.number} (until {one.end})" for one in drivers.supported(today)[:3]]
    return Finding(
        subject=Subject(cluster=cluster, kind="Driver", name=f"R{number}"),
        message="; ".join(said),
        evidence=tuple(_evidence(nodes, branch, broken)),
        confidence="confirmed" if branch else "investigate",
        severity=Severity.MEDIUM if broken else None,
        act=Act(
            kind="configure", risk="drain", target=f"driver R{number}", from_=f"R{number}", to=listed(better) or None
        ),
        fix=Fix(note="an upgrade empties the node and restarts its GPUs: one node at a time, jobs first"),
        refutation="a support contract that extends the branch, or a node image whose maker mends it on"
        if branch
        else "an XID from before the driver was installed (the last one stays), or with a cause in the hardware",
    )


def _ended(branch: Branch) -> str:
    return f"ended on {branch.end}" if branch.end else f"had ended by {branch.ended_by}"


def _known(bad: KnownBad, nodes: Sequence[Node]) -> str:
    where = listed(sorted({node.name for node in nodes}))
    return f"{where} reported an XID that goes with a fault mended in {bad.fixed_in} ({bad.what})"


def _evidence(nodes: Sequence[Node], branch: Branch | None, broken: Broken) -> Iterator[Evidence]:
    for group in node_groups(nodes)[:12]:
        versions = listed(sorted({node.driver_version or "" for node in group}))
        yield Evidence(
            name=f"driver in {place(group)}",
            value=versions,
            unit=f"on {count(len(group), 'node')}",
            statistic="now",
            source="node labels",
        )
    if branch:
        day = branch.end or branch.ended_by
        source = f"drivers.toml of {drivers.compiled()}: {branch.source}"
        yield Evidence(name=f"end of R{branch.number} ({branch.kind})", value=str(day), source=source, observed=False)
    for bad, hits in broken.items():
        for node, xid in hits[:5]:
            name = f"{node.name}, driver {node.driver_version}"
            yield Evidence(name=name, value=f"xid {xid}", statistic="now", source="metrics")
        source = f"drivers.toml of {drivers.compiled()}: {bad.source}, reliability {bad.reliability}"
        yield Evidence(name=f"mended in {bad.fixed_in}", value=bad.what, source=source, observed=False)
