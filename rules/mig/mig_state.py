"""Rule mig-state."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot, device_id
from gpuaudit.demand.mig.nodes import installed, told
from gpuaudit.demand.mig.trouble import Trouble, configured, troubles
from gpuaudit.demand.mig.waiting import MigWait, mig_waits
from gpuaudit.demand.subjects import amount, count, duration, listed
from gpuaudit.demand.usage.units import weakest, workload_subject
from gpuaudit.knowledge import mig
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, Subject, rule

WAYS_OUT = {
    "failed": "drain the nodes one by one, then set the label nvidia.com/mig.config again, or take it back",
    "stuck": "read the log of mig-manager there; a GPU that is in use, or a reboot, holds it up",
    "unusable": "set one profile on all GPUs, or the strategy mixed for these nodes alone",
    "layout": "set the label again so that the configuration is applied anew, and look for unhealthy devices",
    "mode": "reset the GPUs or reboot the node when it is empty",
}


@rule(Severity.MEDIUM, needs={"nodes", "pods"})
def mig_state(
    snapshot: Snapshot,
    *,
    stuck_minutes: float = 60.0,
    settled_minutes: float = 30.0,
    waiting_minutes: float = 30.0,
    geometry_hours: float = 6.0,
) -> Iterator[Finding]:
    """MIG devices are not what the nodes were told to have, or not what work waits for.

    A configuration that failed, hangs, or does not match the strategy leaves GPUs whole or hands out nothing, and
    nobody is told but a label of the node. Work that asks for a profile which no node offers waits for ever. States
    that pass by themselves are left alone until they last.

    Drain a node before its GPUs are cut anew; offer the profiles that the work asks for, or let it ask for others.
    """
    stuck, settled = timedelta(minutes=stuck_minutes), timedelta(minutes=settled_minutes)
    found = [one for node in snapshot.gpu_nodes for one in troubles(snapshot, node, stuck=stuck, settled=settled)]
    for group in _groups(found):
        yield _finding(snapshot, group)
    for wait in mig_waits(snapshot):
        age = None if wait.since is None else (snapshot.taken_at - wait.since) / timedelta(hours=1)
        if wait.installed == 0 and (age is None or age * 60 >= waiting_minutes):
            yield _unoffered(snapshot, wait, age)
        elif wait.installed and wait.room and age is not None and age >= geometry_hours:
            yield _misfit(snapshot, wait, age)


def _groups(found: Sequence[Trouble]) -> list[list[Trouble]]:
    """Group by cluster, pool and configuration: what happened to all of them is one thing to mend."""
    groups: dict[tuple[str, ...], list[Trouble]] = {}
    for one in sorted(found, key=lambda one: (one.node.key, one.kind)):
        node = one.node
        groups.setdefault((node.cluster, _where(node), node.mig_config or "", node.role or ""), []).append(one)
    return [group for _, group in sorted(groups.items())]


def _where(node: Node) -> str:
    return node.pool or node.instance_type or node.name


def _finding(snapshot: Snapshot, group: Sequence[Trouble]) -> Finding:
    nodes = list({one.node.key: one.node for one in group}.values())
    single = nodes[0] if len(nodes) == 1 else None
    details = sorted({one.detail for one in group})
    cards = float(sum(node.gpus for node in nodes))
    waiting = _waited_for(snapshot, nodes)
    place = single.name if single else f"{count(len(nodes), 'node')} of {_where(nodes[0])}"
    return Finding(
        subject=Subject(
            cluster=nodes[0].cluster,
            kind="Node",
            name=single.name if single else f"{_where(nodes[0])}/{nodes[0].mig_config or 'MIG'}",
            node=single.name if single else None,
            devices=tuple(device_id(node, card) for node in nodes for card in node.cards),
            gpus=cards,
        ),
        message=f"MIG on {place} ({listed([node.name for node in nodes])}): {listed(details)}"
        if single is None
        else f"MIG on {place}: {listed(details)}",
        evidence=tuple(_evidence(snapshot, group, nodes)),
        confidence=weakest(one.sure for one in group) or "investigate",
        severity=Severity.HIGH if waiting else None,
        act=Act(
            kind="configure",
            risk="reboot" if any(one.kind == "mode" for one in group) else "drain",
            target=_where(nodes[0]),
            from_=nodes[0].mig_config_state,
            to=nodes[0].mig_config,
            unblocks=waiting or None,
        ),
        fix=Fix(generate="mig", note="; ".join(sorted({WAYS_OUT[one.kind] for one in group}))),
        refutation="a reconfiguration that is under way, or a layout that was set by hand on purpose",
    )


def _waited_for(snapshot: Snapshot, nodes: Sequence[Node]) -> str:
    """Return the devices of these nodes' configurations that work waits for now, in words."""
    wanted = {name for node in nodes for name in configured(snapshot, node) or ()}
    asked: dict[str, float] = {}
    for work in snapshot.waiting:
        profile = mig.parse_resource(work.resource)
        if profile in wanted and profile and work.cluster == nodes[0].cluster:
            asked[profile] = asked.get(profile, 0.0) + work.count
    return told(asked)


def _evidence(snapshot: Snapshot, group: Sequence[Trouble], nodes: Sequence[Node]) -> Iterator[Evidence]:
    for one in group:
        yield Evidence(name=f"{one.kind}: {one.node.name}", value=one.detail, statistic="now", source="kubernetes")
        if one.since is not None:
            hours = round((snapshot.taken_at - one.since) / timedelta(hours=1), 1)
            name = f"at least so long on {one.node.name}"
            yield Evidence(name=name, value=hours, unit="hours", statistic="now", source="kubernetes")
    for node in nodes:
        wanted = configured(snapshot, node)
        asked = "not known" if wanted is None else told(wanted) or "no MIG devices"
        yield Evidence(name=f"{node.mig_config or 'label'} asks for on {node.name}", value=asked, source="kubernetes")
        has = told(installed(node)) or "no MIG devices"
        yield Evidence(name=f"installed on {node.name}", value=has, statistic="now", source="kubernetes")
        if node.mig_strategy:
            yield Evidence(name=f"strategy of {node.name}", value=node.mig_strategy, source="kubernetes")


def _unoffered(snapshot: Snapshot, wait: MigWait, age: float | None) -> Finding:
    subject = workload_subject(snapshot, wait.workload)
    since = f" for {duration(age)}" if age is not None else ""
    return Finding(
        subject=subject,
        workload=wait.workload,
        message=f"{subject.namespace}/{subject.name} waits{since} for {wait.count:g} x {wait.resource}, "
        f"which no node offers{_instead(wait)}",
        evidence=tuple(_wait_evidence(wait, age)),
        confidence="confirmed" if age is not None else "investigate",
        severity=Severity.HIGH if age is not None else None,
        act=_act(wait),
        fix=Fix(generate="mig", note="let it ask for a profile that is offered, or cut GPUs that have the profile"),
        refutation="an autoscaler that brings a node with this profile",
    )


def _misfit(snapshot: Snapshot, wait: MigWait, age: float) -> Finding:
    subject = workload_subject(snapshot, wait.workload)
    confidence: Confidence = "investigate"
    return Finding(
        subject=subject,
        workload=wait.workload,
        message=f"{subject.namespace}/{subject.name} waits {duration(age)} for {wait.count:g} x {wait.resource}: all "
        f"{wait.installed} are held while {told(wait.free)} stand free{_instead(wait)}",
        evidence=tuple(_wait_evidence(wait, age)),
        confidence=confidence,
        act=_act(wait),
        fix=Fix(generate="mig", note="another layout of the GPUs whose devices are free would hold it"),
        refutation="free devices that lie on different GPUs, or are kept for a roll-out",
    )


def _instead(wait: MigWait) -> str:
    if wait.instead:
        return f"; free and large enough are {told(wait.instead)}"
    return f"; GPUs of {listed(wait.uncut)} could be cut so" if wait.uncut else "; no GPU of the cluster has it"


def _act(wait: MigWait) -> Act:
    other = min(wait.instead, default=None)
    target = f"{mig.resource_name(other)}" if other else None
    waited = amount(wait.count).replace("GPUs", "devices").replace("GPU", "device")
    return Act(kind="configure", target=wait.workload, from_=wait.resource, to=target, unblocks=waited)


def _wait_evidence(wait: MigWait, age: float | None) -> Iterator[Evidence]:
    yield Evidence(
        name=f"asked for: {wait.resource}", value=wait.count, unit="devices", statistic="now", source="kubernetes"
    )
    yield Evidence(
        name=f"{wait.profile} on all nodes", value=wait.installed, unit="devices", statistic="now", source="kubernetes"
    )
    if age is not None:
        yield Evidence(name="waited", value=round(age, 1), unit="hours", statistic="max", source="kubernetes")
    if wait.instead:
        yield Evidence(name="free and as large", value=told(wait.instead), statistic="now", source="kubernetes")
    if wait.free:
        yield Evidence(name="free on GPUs that have it", value=told(wait.free), statistic="now", source="kubernetes")
    if wait.uncut:
        yield Evidence(name="pools whose GPUs have the profile", value=", ".join(wait.uncut), source="mig profiles")
