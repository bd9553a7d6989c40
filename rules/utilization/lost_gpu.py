"""Rule lost-gpu."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot, device_id
from gpuaudit.demand import lost_gpus, planned_maintenance
from gpuaudit.demand.subjects import amount, listed, node_groups, node_subject, place
from gpuaudit.knowledge import kubernetes, pods
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule


@rule(Severity.MEDIUM, needs={"nodes"})
def lost_gpu(snapshot: Snapshot, *, settled_minutes: float = 30.0) -> Iterator[Finding]:
    """A node has GPUs that it no longer offers.

    The device plugin took them out because the driver reported a fault, or they fell off the bus. The node is billed in
    full, nothing alerts, and work that needs all of its GPUs never fits again. Counts of MIG devices, replicas and
    virtual GPUs are no cards and are not compared; nor is a node that offers no GPU at all, or serves virtual machines.

    Drain the node and reset or replace the GPU; look for XID errors first, and open a case with the vendor.
    """
    found = [node for node in snapshot.gpu_nodes if lost_gpus(node) and _settled(snapshot, node, settled_minutes)]
    for group in node_groups(found):
        lost = float(sum(lost_gpus(node) for node in group))
        told = all(any(card.state == "lost" for card in node.cards) for node in group)
        names = listed([f"{node.name} ({_offers(node)})" for node in group])
        yield Finding(
            subject=node_subject(group, devices=_devices(group), gpus=lost),
            message=f"{amount(lost)} in {place(group)} {'is' if lost == 1 else 'are'} there and not offered: {names}",
            evidence=tuple(_evidence(group)),
            confidence="confirmed" if told and any(card.faults for node in group for card in node.cards) else "likely",
            act=Act(kind="configure", risk="drain", target=group[0].pool or group[0].name),
            fix=Fix(note="drain, reset or replace; check the kernel log and DCGM for XID errors"),
            refutation="a device plugin that has only just started, or a policy that hides cards on purpose",
        )


def _settled(snapshot: Snapshot, node: Node, minutes: float) -> bool:
    """Whether the node is in service long enough for its counts to have caught up, and serves containers."""
    if node.ready is False or not node.listed or planned_maintenance(node):
        return False
    facts = pods.pods()
    if node.labels.get(facts.gpu_workload_label, "") not in facts.gpu_workload_containers:
        return False
    since = max((moment for moment in (node.created, node.ready_since) if moment is not None), default=None)
    return since is None or snapshot.taken_at - since >= timedelta(minutes=minutes)


def _offers(node: Node) -> str:
    return f"{node.gpus - lost_gpus(node)} of {node.gpus}"


def _devices(group: Sequence[Node]) -> list[str]:
    return [device_id(node, card) for node in group for card in node.cards if card.state == "lost"]


def _evidence(group: Sequence[Node]) -> Iterator[Evidence]:
    names = (kubernetes.resources().gpu, *kubernetes.resources().whole_gpus)
    for node in group:
        source = node.cards_source or "kubernetes"
        yield Evidence(name=f"cards of {node.name}", value=node.gpus, unit="GPUs", statistic="now", source=source)
        for resource in node.resources:
            if resource.name in names:
                name = f"allocatable {resource.name} of {node.name}"
                value = resource.allocatable
                yield Evidence(name=name, value=value, unit="GPUs", statistic="now", source="kubernetes")
        for card in node.cards:
            for fault in card.faults:
                yield Evidence(name=f"fault of {device_id(node, card)}", value=fault, source="metrics")
