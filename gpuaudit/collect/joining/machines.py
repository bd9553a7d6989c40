"""Join the machines that metrics saw to the nodes that Kubernetes lists: cards get names, other hosts become nodes."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from gpuaudit.cluster.nodes import Card, Interface, MigDevice, Node, Span
from gpuaudit.collect.metrics.parts import MetricsPart
from gpuaudit.collect.metrics.ports import with_kinds

NodeKey = tuple[str, str]  # cluster, name

UNKNOWN_HOST = "unknown-host"  # node of the cards whose series name no host
METRICS = "metrics"


def join_machines(nodes: Iterable[Node], part: MetricsPart, *, listed: Collection[str]) -> tuple[Node, ...]:
    """Return the nodes with the cards and spans that metrics show, and nodes for the hosts that no list has.

    `listed` are the clusters whose node list was read: a host that is not in it is gone since it was last heard.
    """
    known = {node.key: node for node in nodes}
    newest = _last_seen(part)
    joined = dict(known)
    for key, seen in part.cards.items():
        cards = _one_per_index(seen, key[0], newest)
        if key in known:
            joined[key] = _with_cards(known[key], cards)
        else:
            name = key[1] or UNKNOWN_HOST
            joined[(key[0], name)] = _unlisted(key[0], name, cards, part.heard.get(key), gone=key[0] in listed)
    for key, ports in part.ports.items():
        if key in joined:
            found = with_kinds(joined[key], ports)
            joined[key] = msgspec.structs.replace(joined[key], interfaces=_joined(joined[key].interfaces, found))
    for key, spans in part.present.items():
        if key in joined:
            joined[key] = msgspec.structs.replace(joined[key], present=spans)
    return tuple(joined[key] for key in sorted(joined))


def _joined(known: Sequence[Interface], seen: Sequence[Interface]) -> tuple[Interface, ...]:
    """Return the interfaces: metrics add to those that are known what has grown, and bring those that are not."""
    found = {one.name: one for one in known}
    for port in seen:
        old = found.get(port.name)
        found[port.name] = msgspec.structs.replace(old, increases=port.increases) if old else port
    return tuple(found[name] for name in sorted(found))


def _unlisted(cluster: str, name: str, cards: tuple[Card, ...], heard: Span | None, *, gone: bool) -> Node:
    over_time = heard if heard is not None and heard.start < heard.end else None
    return Node(
        cluster=cluster,
        name=name,
        listed=False,
        cards=tuple(_seen(card) for card in cards),
        cards_source=METRICS,
        present=(over_time,) if over_time else (),
        gone=over_time.end if over_time and gone else None,
    )


def _with_cards(node: Node, seen: Sequence[Card]) -> Node:
    """Return the node with its cards named; cards that the node's labels do not tell of are added."""
    named = {card.uuid: card for card in node.cards if card.uuid}
    places = {card.index: card for card in node.cards}
    matched: dict[int, Card] = {}
    extra: list[Card] = []
    for card in seen:
        place = named.get(card.uuid or "") or places.get(card.index)
        if place is None or place.index in matched or (place.uuid and card.uuid and place.uuid != card.uuid):
            extra.append(_seen(card))
        else:
            matched[place.index] = card
    cards = [_merged(card, matched.get(card.index)) for card in _lost_moved(node.cards, matched)]
    taken = {card.index for card in cards}
    cards += [card for card in extra if card.index not in taken]
    source = node.cards_source if len(cards) == len(node.cards) else METRICS
    return msgspec.structs.replace(node, cards=tuple(sorted(cards, key=lambda c: c.index)), cards_source=source)


def _lost_moved(cards: Sequence[Card], matched: Mapping[int, Card]) -> list[Card]:
    """Return the cards, the lost ones being those that metrics do not see: Kubernetes only knows how many are lost."""
    lost = [card for card in cards if card.state == "lost" and card.uuid is None]
    seen = [card for card in lost if card.index in matched]
    unseen = [card for card in cards if card.state != "lost" and card.index not in matched]
    moved = {card.index: "unknown" for card in seen[: len(unseen)]} | {
        card.index: "lost" for card in unseen[: len(seen)]
    }
    return [msgspec.structs.replace(card, state=moved.get(card.index, card.state)) for card in cards]


def _merged(card: Card, seen: Card | None) -> Card:
    if seen is None:
        return card
    told = {
        name: getattr(seen, name)
        for name in ("uuid", "name", "model", "memory_mib", "pci", "mig_enabled")
        if getattr(card, name) is None
    }
    state = "ok" if card.state == "unknown" else card.state
    if seen.mig_enabled and not card.mig_enabled:
        told["mig_enabled"] = True
    faults = tuple(sorted({*card.faults, *seen.faults}))
    return msgspec.structs.replace(card, **told, state=state, faults=faults, mig=_mig(card.mig, seen.mig))


def _mig(listed: tuple[MigDevice, ...], seen: tuple[MigDevice, ...]) -> tuple[MigDevice, ...]:
    """Return the layout that is known best: metrics add ids to the same devices, else Kubernetes' is complete."""
    same = Counter(device.profile for device in listed) == Counter(device.profile for device in seen)
    named = any(device.uuid for device in listed)
    return seen if not listed or (same and not named) else listed


def _seen(card: Card) -> Card:
    return msgspec.structs.replace(card, state="ok" if card.state == "unknown" else card.state)


def _last_seen(part: MetricsPart) -> Mapping[NodeKey, float]:
    """Return when each card (cluster, id) was measured last."""
    measured = part.usage.devices.dropna(subset=["last"])
    found: dict[NodeKey, float] = {}
    for cluster, card, last in zip(measured["cluster"], measured["card"], measured["last"], strict=True):
        found[(cluster, card)] = max(last.timestamp(), found.get((cluster, card), 0.0))
    return found


def _one_per_index(cards: Sequence[Card], cluster: str, newest: Mapping[NodeKey, float]) -> tuple[Card, ...]:
    """Return one card per slot: of a card and its replacement the one that was measured last."""
    kept: dict[int, Card] = {}
    for card in cards:
        other = kept.get(card.index)
        if other is None or newest.get((cluster, card.uuid or ""), 0.0) > newest.get((cluster, other.uuid or ""), 0.0):
            kept[card.index] = card
    return tuple(kept[index] for index in sorted(kept))
