"""Rule unhealthy-gpu."""

from collections.abc import Iterator, Mapping, Sequence

from gpuaudit.cluster.nodes import Card, Node
from gpuaudit.cluster.snapshot import Snapshot, device_id
from gpuaudit.demand import lost_gpus, planned_maintenance, tenures
from gpuaudit.demand.subjects import amount, listed, node_groups, node_subject, place
from gpuaudit.knowledge.faults import FaultClass, fault_action, fault_class
from gpuaudit.rule import Act, Confidence, Evidence, Finding, Fix, Severity, rule

Faulty = Mapping[tuple[str, str], Sequence[Card]]
HARDWARE: frozenset[FaultClass] = frozenset({"replace", "broken"})
NOTES: Mapping[Confidence, str] = {
    "confirmed": "drain it and have the vendor replace the GPU: a reset does not help",
    "likely": "drain it, reset the GPU, run dcgmi diag -r 3; open a case with the vendor if it comes back",
    "investigate": "read the kernel log (Xid); reset the GPU at the next occasion",
}


@rule(Severity.MEDIUM, needs={"nodes", "gpu_errors"})
def unhealthy_gpu(snapshot: Snapshot) -> Iterator[Finding]:
    """A GPU that is still given out has reported a fault of its hardware.

    Work that is placed on it crashes, hangs or computes wrong numbers, and is placed there again, because the
    scheduler sees nothing. What counts are XIDs for which NVIDIA's catalogue asks to reset the GPU or to restart its
    host, and failed row remaps; XIDs that a program causes or that are to be ignored (13, 31, 43, 45 and the like) are
    silent, and those that heal themselves, or that are not known, only ask for a look. DCGM keeps the last XID and not
    its time: it may be from before the last reset. A GPU that the node no longer offers is told by lost-gpu, and
    planned maintenance is left alone.

    Take the node out of service, let its jobs finish, reset the GPU and run a diagnosis before it is given out again;
    a failed row remap is a case for the vendor.
    """
    faulty = {node.key: cards for node in snapshot.gpu_nodes if (cards := _faulty(node))}
    for group in node_groups([node for node in snapshot.gpu_nodes if node.key in faulty]):
        yield _finding(snapshot, group, faulty)


def _faulty(node: Node) -> list[Card]:
    """Return the cards with a fault that is not the program's, and that lost-gpu does not speak of."""
    if planned_maintenance(node):
        return []
    cards = [card for card in node.cards if card.state != "lost" and _classes(card) - {"program"}]
    named = sum(card.state == "lost" for card in node.cards)
    return cards[max(0, lost_gpus(node) - named) :]  # lost ones without a name are most likely these


def _classes(card: Card) -> set[FaultClass]:
    return {fault_class(fault) for fault in card.faults}


def _finding(snapshot: Snapshot, group: Sequence[Node], faulty: Faulty) -> Finding:
    cards = [(node, card) for node in group for card in faulty[node.key]]
    classes = [_classes(card) for _, card in cards]
    confidence: Confidence = "investigate"
    if any(kinds & HARDWARE for kinds in classes):
        confidence = "confirmed" if all("replace" in kinds for kinds in classes) else "likely"
    devices = [device_id(node, card) for node, card in cards]
    held = sorted(
        {tenure.owner for tenure in tenures(snapshot) if tenure.current and tenure.held and tenure.card in devices}
    )
    names = listed([f"{node.name} GPU {card.index} ({', '.join(_told(card))})" for node, card in cards])
    return Finding(
        subject=node_subject(group, devices=devices, gpus=float(len(cards))),
        message=f"{amount(len(cards))} in {place(group)} reported {_words(confidence)} and "
        f"{'is' if len(cards) == 1 else 'are'} still given out: {names}",
        evidence=tuple(_evidence(cards, held)),
        confidence=confidence,
        severity=Severity.LOW if confidence == "investigate" else None,
        act=Act(kind="configure", risk="drain", target=group[0].pool or group[0].name),
        fix=Fix(note=NOTES[confidence]),
        refutation="a reset or replacement since the fault (the last XID stays till then), or a passed diagnosis",
    )


def _words(confidence: Confidence) -> str:
    if confidence == "investigate":
        return "an error that needs a look"
    return "a fault of the hardware" if confidence == "confirmed" else "an error that only a reset or a repair ends"


def _told(card: Card) -> list[str]:
    return [fault for fault in card.faults if fault_class(fault) != "program"]


def _evidence(cards: Sequence[tuple[Node, Card]], held: Sequence[str]) -> Iterator[Evidence]:
    for node, card in cards:
        for fault in _told(card):
            name = f"fault of {device_id(node, card)}"
            yield Evidence(name=name, value=fault, unit=fault_class(fault), statistic="now", source="metrics")
            if action := fault_action(fault):
                yield Evidence(
                    name=f"NVIDIA's action for {fault}", value=action, observed=False, source="XID catalogue"
                )
    for owner in held[:5]:
        yield Evidence(name="held by", value=owner, statistic="now", source="metrics")
