"""Rule unused-mig-device."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import planned_maintenance
from gpuaudit.demand.mig.free import FreeDevices, empty_mig_cards, free_mig_devices, free_of, mig_hours
from gpuaudit.demand.mig.nodes import barred, offered, told
from gpuaudit.demand.subjects import amount, listed, node_groups, node_subject, place
from gpuaudit.demand.usage.units import owner_of, periodic
from gpuaudit.knowledge import mig
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule


@rule(Severity.MEDIUM, needs={"nodes", "pods"})
def unused_mig_device(
    snapshot: Snapshot,
    *,
    at_least_gpus: float = 0.5,
    settled_hours: float = 24.0,
    likely_hours: float = 72.0,
    confirmed_hours: float = 168.0,
) -> Iterator[Finding]:
    """MIG devices are held by nobody, beyond what a node's failure and a roll-out need.

    A card that was cut for work which never came is paid for like any other, and whole GPUs are waited for next to it.
    Counted is what stayed free at the busiest hour of the window, by profile, less room for the devices of the fullest
    node and for one roll-out, and less what work waits for already. Where work comes by a schedule, the present alone
    accuses nobody.

    Cut these GPUs to the profiles that work asks for, give whole cards back, or let the pool have fewer nodes.
    """
    for group in node_groups(node for node in snapshot.gpu_nodes if _counts(snapshot, node, settled_hours)):
        rows = [one for one in free_of(snapshot, group) if one.beyond >= 1]
        gpus = sum(one.gpus for one in rows)
        if gpus >= at_least_gpus:
            yield _finding(snapshot, group, rows, confidence=_sure(snapshot, group, likely_hours, confirmed_hours))


def _counts(snapshot: Snapshot, node: Node, settled_hours: float) -> bool:
    """Whether free devices of the node could have been used: offered, in service, settled, and not between two runs."""
    if not node.listed or not offered(node) or node.ready is False or planned_maintenance(node) or barred(node):
        return False
    changed = max((moment for moment in (node.created, node.mig_state_since) if moment is not None), default=None)
    if changed is not None and snapshot.taken_at - changed < timedelta(hours=settled_hours):
        return False
    watched = mig_hours(snapshot).hours([node])
    return watched >= settled_hours or not any(periodic(snapshot, owner_of(pod)) for pod in snapshot.holders(node))


def _sure(snapshot: Snapshot, nodes: Sequence[Node], likely_hours: float, confirmed_hours: float) -> Confidence:
    """How long the metrics watched these nodes' devices; the present alone needs a look."""
    seen = mig_hours(snapshot).hours(nodes)
    return "confirmed" if seen >= confirmed_hours else "likely" if seen >= likely_hours else "investigate"


def _finding(
    snapshot: Snapshot, nodes: Sequence[Node], rows: Sequence[FreeDevices], *, confidence: Confidence
) -> Finding:
    gpus = sum(one.gpus for one in rows)
    names = {one.profile for one in rows}
    holding = [node for node in nodes if names & offered(node).keys()]
    all_devices = sum(count for node in nodes for count in offered(node).values())
    free = told({one.profile: one.beyond for one in rows})
    kept = sum(one.kept for one in rows)
    waiting = _waiting(snapshot, nodes[0].cluster, names)
    reserve = f"beyond {kept:g} kept for a node's failure and a roll-out" if kept else "none of them needed in reserve"
    return Finding(
        subject=node_subject(holding, devices=[d for n in holding for d in free_mig_devices(snapshot, n)], gpus=gpus),
        message=f"{free} of {all_devices} MIG devices in {place(nodes)} are held by nobody ({amount(gpus)}), "
        f"{reserve}: {listed([node.name for node in holding])}",
        evidence=tuple(_evidence(snapshot, holding, rows)),
        confidence=confidence,
        act=Act(
            kind="configure",
            risk="drain",
            target=nodes[0].pool or holding[0].name,
            from_=free,
            unblocks=f"{waiting} that are waited for" if waiting else None,
        ),
        fix=Fix(generate="mig", note="cut the GPUs to what work asks for, or have fewer nodes in the pool"),
        refutation="work that is about to move there, a tenant's quota, or a reserve that the cluster does not show",
    )


def _waiting(snapshot: Snapshot, cluster: str, free: set[str]) -> str:
    """Return other MIG devices that work of the cluster waits for, in words."""
    asked: dict[str, float] = {}
    for work in snapshot.waiting:
        profile = mig.parse_resource(work.resource)
        if profile and profile not in free and work.cluster == cluster:
            asked[profile] = asked.get(profile, 0.0) + work.count
    return told(asked)


def _evidence(snapshot: Snapshot, nodes: Sequence[Node], rows: Sequence[FreeDevices]) -> Iterator[Evidence]:
    for one in rows:
        yield _devices(f"{one.profile} offered", one.offered)
        yield _devices(f"{one.profile} held", one.held)
        if one.peak is not None:
            yield Evidence(
                name=f"{one.profile} held",
                value=float(one.peak),
                unit="devices",
                statistic="max",
                window_seconds=snapshot.window_seconds,
                source="metrics",
            )
        yield _devices(f"{one.profile} kept in reserve", one.kept)
        if one.waited_for:
            yield _devices(f"{one.profile} waited for", one.waited_for)
    empty = [count for node in nodes if (count := empty_mig_cards(snapshot, node)) is not None]
    if empty:
        name = "cut cards without a held device"
        yield Evidence(name=name, value=sum(empty), unit="GPUs", statistic="now", source="metrics")
    yield Evidence(
        name="hours in which all of them were seen",
        value=mig_hours(snapshot).hours(nodes),
        unit="hours",
        source="metrics",
    )


def _devices(name: str, count: float) -> Evidence:
    return Evidence(name=name, value=round(count, 3), unit="devices", statistic="now", source="kubernetes")
