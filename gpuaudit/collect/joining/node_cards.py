"""What a host tells of its GPUs and its network, put into the records of a node; what it tells wins over tables."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from gpuaudit.cluster.node_facts import GpuFacts, HostFacts, InstanceFacts, PortFacts
from gpuaudit.cluster.nodes import Card, Interface, Link, LinkKind, MigDevice, Node
from gpuaudit.knowledge import gpus, mig

SOURCE = "node facts"
NVLINK = "NVLINK"
_UP = ("ACTIVE", "UP")
_DOWN = ("DOWN", "INIT", "ARMED", "LOWERLAYERDOWN", "NOTPRESENT", "DORMANT", "TESTING")
_KINDS: dict[str, LinkKind] = {
    "infiniband": "infiniband",
    "roce": "roce",
    "efa": "efa",
    "omnipath": "omnipath",
    "ethernet": "ethernet",
}


def with_facts(node: Node, facts: HostFacts, *, fresh: bool) -> Node:
    """Return the node with what its host tells.

    Of facts that are not `fresh` only what does not change is used, and only where nothing is known: what the cards
    are, not how they, their MIG devices or the network fare.
    """
    told = {
        "driver_version": facts.driver,
        "cuda_version": facts.cuda,
        "kernel_version": facts.fabric.kernel,
    }
    kept: dict[str, Any] = {
        name: value for name, value in told.items() if value and (fresh or getattr(node, name) is None)
    }
    if fresh:
        fabric = facts.fabric
        kept |= {"peermem": fabric.peermem, "dma_buf": fabric.dma_buf, "acs_bridges": fabric.acs}
        kept["interfaces"] = _interfaces(node.interfaces, fabric.ports)
    cards = _cards(node.cards, facts.gpus, fresh=fresh)
    source = node.cards_source if len(cards) == len(node.cards) and node.cards_source else SOURCE if cards else None
    return msgspec.structs.replace(
        node,
        **kept,
        cards=cards,
        cards_source=source,
        probe_taken_at=facts.taken_at if fresh else node.probe_taken_at,
    )


def _cards(known: Sequence[Card], told: Sequence[GpuFacts], *, fresh: bool) -> tuple[Card, ...]:
    """Return the cards, each joined to its GPU by UUID, PCI address or index; GPUs that no list has are added."""
    matched: dict[int, GpuFacts] = {}
    extra: list[GpuFacts] = []
    for gpu in sorted(told, key=lambda one: (one.uuid is None, one.index)):
        place = _place(known, gpu, matched)
        if place is None:
            extra.append(gpu)
        else:
            matched[place] = gpu
    cards = [
        _merged(card, matched[card.index], fresh=fresh) if card.index in matched else card
        for card in _lost_moved(known, matched, fresh=fresh)
    ]
    taken = {card.index for card in cards}
    for gpu in extra:
        if gpu.index not in taken:
            taken.add(gpu.index)
            cards.append(_merged(Card(index=gpu.index), gpu, fresh=True))
    return tuple(sorted(cards, key=lambda card: card.index))


def _place(known: Sequence[Card], gpu: GpuFacts, taken: dict[int, GpuFacts]) -> int | None:
    """Return the index of the card that a GPU is."""
    free = [card for card in known if card.index not in taken]
    if gpu.uuid and (named := [card for card in free if card.uuid == gpu.uuid]):
        return named[0].index
    if gpu.pci and (slot := [card for card in free if card.pci == gpu.pci]):
        return slot[0].index
    place = next((card for card in free if card.index == gpu.index), None)
    strange = place is not None and place.uuid and gpu.uuid and place.uuid != gpu.uuid
    if place is not None and not strange:
        return place.index
    blank = [card for card in free if card.uuid is None]
    return blank[0].index if blank and gpu.uuid else None


def _lost_moved(cards: Sequence[Card], matched: dict[int, GpuFacts], *, fresh: bool) -> list[Card]:
    """Return the cards, the lost ones being those that the driver names: Kubernetes only knows how many are lost."""
    named = {index for index, gpu in matched.items() if gpu.lost} if fresh else set()
    unproven = [card.index for card in cards if card.state == "lost" and card.index not in named]
    moved = set(unproven[: len([index for index in named if not _is_lost(cards, index)])])
    return [msgspec.structs.replace(card, state="unknown") if card.index in moved else card for card in cards]


def _is_lost(cards: Sequence[Card], index: int) -> bool:
    return any(card.index == index and card.state == "lost" for card in cards)


def _merged(card: Card, gpu: GpuFacts, *, fresh: bool) -> Card:
    model = gpus.identify(gpu.name, memory_mib=gpu.memory_total_mib) if gpu.name else None
    told: dict[str, Any] = {
        "uuid": gpu.uuid,
        "name": gpu.name,
        "model": model.key if model else None,
        "memory_mib": gpu.memory_total_mib,
        "pci": gpu.pci,
        "serial": gpu.serial,
        "numa": gpu.numa,
        "pcie_max_gen": gpu.pcie.max_generation,
        "pcie_max_width": gpu.pcie.max_width,
    }
    state: dict[str, Any] = {
        "mig_enabled": gpu.mig_current,
        "mig_pending": gpu.mig_pending,
        "power_limit_watts": gpu.power.limit_watts,
        "pcie_gen": gpu.pcie.generation,
        "pcie_width": gpu.pcie.width,
    }
    told |= state if fresh else {}
    kept = {name: value for name, value in told.items() if value is not None and (fresh or getattr(card, name) is None)}
    if fresh:
        kept |= {"state": _state(card, gpu), "links": tuple(_links(gpu)), "mig": _mig(card, gpu)}
        kept |= {"faults": tuple(sorted({*card.faults, *_faults(gpu)}))}
    return msgspec.structs.replace(card, **kept)


def _state(card: Card, gpu: GpuFacts) -> str:
    """Return lost when the driver says so; what Kubernetes has withdrawn stays so, a driver may answer for it yet."""
    if gpu.lost:
        return "lost"
    return "ok" if card.state == "unknown" else card.state


def _mig(card: Card, gpu: GpuFacts) -> tuple[MigDevice, ...]:
    """Return the MIG devices as the driver has them; as they were listed when it does not tell, or not of all.

    Whoever may not see where devices sit may not see all of them: such a list takes none away.
    """
    refused = {"instances", "instances.placements"} & gpu.unknown.keys()
    if gpu.mig_current is None or (refused and len(gpu.instances) < len(card.mig)):
        return card.mig
    known = {device.gpu_instance_id: device for device in card.mig}
    return tuple(_device(item, known.get(item.gpu_instance_id)) for item in gpu.instances)


def _device(item: InstanceFacts, known: MigDevice | None) -> MigDevice:
    profile = item.profile or (known.profile if known else "")
    seen = known if known and known.profile == profile else None
    return MigDevice(
        profile=mig.canonical(profile) or profile,
        uuid=item.uuid or (seen.uuid if seen else None),
        gpu_instance_id=None if item.gpu_instance_id < 0 else item.gpu_instance_id,
        start=item.start if item.start is not None else (seen.start if seen else None),
        size=item.size if item.size is not None else (seen.size if seen else None),
    )


def _links(gpu: GpuFacts) -> Iterator[Link]:
    linked = any(link.active for link in gpu.nvlinks) if gpu.nvlinks else None
    for peer, path in sorted(gpu.peers.items(), key=lambda item: (len(item[0]), item[0])):
        yield Link(peer=peer, path=path, active=linked if path == NVLINK else None)
    for nic, path in sorted(gpu.nics.items()):
        yield Link(peer=nic, path=path)


def _faults(gpu: GpuFacts) -> Iterator[str]:
    """Yield what is broken, not what is merely slow."""
    faults = gpu.faults
    if gpu.lost:
        yield "gpu lost"
    if faults.remap_failure:
        yield "row remap failure"
    if faults.remap_pending:
        yield "row remap pending"
    if faults.retirement_pending:
        yield "page retirement pending"
    if faults.volatile_uncorrected and faults.remap_failure is None:  # where rows are remapped, it was mended
        yield "uncorrected ECC error"
    down = sum(link.active is False for link in gpu.nvlinks)
    if down and down < len(gpu.nvlinks):
        yield f"{down} of {len(gpu.nvlinks)} NVLinks down"


def _interfaces(known: Sequence[Interface], told: Sequence[PortFacts]) -> tuple[Interface, ...]:
    """Return the interfaces; the same one may be known by its RDMA device or by its network name."""
    several = {port.device for port in told if port.port > 1}
    rest = {one.name: one for one in known}
    made = []
    for port in told:
        name = _name(port, several)
        same = [one for one in (rest.pop(name, None), rest.pop(port.interface or "", None)) if one]
        increases = {key: value for one in same for key, value in one.increases.items()}
        made.append(msgspec.structs.replace(_interface(port, name), increases=increases))
    return tuple(sorted([*rest.values(), *made], key=lambda one: one.name))


def _name(port: PortFacts, several: set[str]) -> str:
    return f"{port.device}/{port.port}" if port.device in several else port.device


def _disabled(port: PortFacts) -> bool | None:
    """Whether somebody switched the port off: the physical state of an RDMA port tells; of others it is not known."""
    return None if port.physical_state is None else port.physical_state.casefold() == "disabled"


def _interface(port: PortFacts, name: str) -> Interface:
    state = (port.state or "").upper()
    return Interface(
        name=name,
        kind=_KINDS.get(port.kind, "other"),
        speed_gbps=port.rate_gbps,
        max_speed_gbps=port.max_rate_gbps,
        up=True if state in _UP else False if state in _DOWN else None,
        mtu_bytes=port.mtu_bytes,
        pci=port.pci,
        numa=port.numa,
        firmware=port.firmware,
        pfc_priorities=port.pfc_priorities,
        ecn=None if port.ecn_priorities is None else bool(port.ecn_priorities),
        trust=port.trust,
        virtual_functions=port.virtual_functions,
        virtual=port.physical_function is not None,
        master=port.bond,
        driver=port.driver,
        pcie_gen=port.pcie.generation,
        pcie_width=port.pcie.width,
        pcie_max_gen=port.pcie.max_generation,
        pcie_max_width=port.pcie.max_width,
        disabled=_disabled(port),
        counters={key: float(value) for key, value in port.counters.items()},
    )
