"""What a pod holds of the GPUs of its node, in every way of holding one, and what that is in physical cards."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.workloads import Holding, Pod
from gpuaudit.collect.objects.claims import ClaimFacts, Piece
from gpuaudit.collect.objects.hami import by_hami, hami_holding
from gpuaudit.collect.objects.quantities import quantity
from gpuaudit.collect.objects.units import Offer, common_share, is_gpu_resource, unit_share
from gpuaudit.knowledge import kubernetes
from gpuaudit.knowledge.objects import objects

MIB = 1024.0 * 1024.0


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What other objects say about a pod's devices."""

    claims: Mapping[tuple[str, str], ClaimFacts] = field(default_factory=dict)  # by namespace and name
    templates: Mapping[tuple[str, str], tuple[Piece, ...]] = field(default_factory=dict)
    asks: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)  # pod → templates without a claim yet
    by_claim: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)  # pod → what DRA serves it
    reserved: Mapping[str, str] = field(default_factory=dict)  # group → UUID that its reservation pod holds
    fractional: frozenset[str] = frozenset()  # groups that pods with a known fraction are in
    extended: Mapping[str, str] = field(default_factory=dict)  # extended resource → device class of GPUs
    offers: Mapping[str, tuple[Offer, ...]] = field(default_factory=dict)  # resource → who offers it
    devices: dict[tuple[object, str, float], Holding] = field(default_factory=dict)  # see `_device`


def holdings_of_new(pod: Pod, templates: tuple[str, ...], around: Surroundings) -> tuple[Holding, ...]:
    """Return what a pod asks for that was not made yet, with these templates of resource claims."""
    asks = {(pod.namespace, pod.name): templates} if templates else {}
    return holdings(pod, None, replace(around, asks=asks))


def asks_for_gpu(pod: Pod) -> bool:
    """Whether a pod may hold or ask for a GPU; claims of other devices are told apart later."""
    marks = kubernetes.fractions()
    return bool(
        any(is_gpu_resource(name) for name in pod.requests)
        or pod.resource_claims
        or any(key in pod.annotations for key in (marks.fraction, marks.memory_mib))
    )


def holdings(pod: Pod, node: Node | None, around: Surroundings) -> tuple[Holding, ...]:
    """Return what a pod holds (bound to a node, not ended) or asks for."""
    if group := reservation_group(pod):
        return _reservation(pod, group, around)
    fraction = _fraction(pod, node, around)
    if fraction:
        return (fraction,)
    claimed = _claimed(pod, around) if pod.resource_claims or around.asks else ()
    plain = []
    for name, count in sorted(pod.requests.items()):
        if (
            count
            and (is_gpu_resource(name) or name in around.extended)
            and not (claimed and _is_by_claim(pod, name, node, around))
        ):
            plain.append(
                hami_holding(pod, node, name, count)
                if by_hami(pod, node, name)
                else _device(pod, node, name, count, around)
            )
    return (*plain, *claimed)


def _is_by_claim(pod: Pod, name: str, node: Node | None, around: Surroundings) -> bool:
    """Whether DRA serves a pod what it asks for as an extended resource: then its claim tells of it.

    Where the status does not say of which (before Kubernetes 1.34's final form), those that its node does not offer.
    """
    mapped = around.by_claim.get((pod.namespace, pod.name))
    if mapped is None:
        return False
    return name in mapped if mapped else not (node and any(r.name == name and r.capacity for r in node.resources))


def groups_of(pod: Pod) -> tuple[str, ...]:
    """Return the GPU groups of a fractional or reservation pod: one for each device that it has a part of."""
    marks = kubernetes.fractions()
    if found := kubernetes.first(pod.labels, marks.group_labels):
        return (found,)
    keys = sorted(key for key in pod.labels if key.startswith(marks.group_label_prefixes))
    return tuple(dict.fromkeys(pod.labels[key] or key.rpartition("/")[2] for key in keys))


def reservation_group(pod: Pod) -> str | None:
    """Return the group whose device this pod reserves for others, None for ordinary pods."""
    reserves = pod.namespace in kubernetes.fractions().reservation_namespaces
    return next(iter(groups_of(pod)), None) if reserves else None


def surroundings_of_groups(pods: Iterable[Pod]) -> tuple[dict[str, str], frozenset[str]]:
    """Return which device each group's reservation pod holds, and the groups that pods with a known fraction use."""
    marks = kubernetes.fractions()
    reserved: dict[str, str] = {}
    fractional: set[str] = set()
    for pod in pods:
        reserves = pod.namespace in marks.reservation_namespaces
        if not (reserves or pod.annotations) or pod.ended or not (groups := groups_of(pod)):
            continue
        if reserves:
            reserved[groups[0]] = pod.annotations.get(marks.reservation_index, "")
        elif _asked_part(pod):
            fractional.update(groups)
    return reserved, frozenset(fractional)


def device_class(name: str, around: Surroundings) -> str | None:
    """Return the class of GPUs that DRA serves a resource from; None for one that nodes offer, or that is none."""
    if around.offers.get(name):
        return None
    prefix = objects().dra.implicit_prefix
    implicit = name.startswith(prefix) and is_gpu_resource(name)
    return around.extended.get(name) or (name.removeprefix(prefix) if implicit else None)


def _device(pod: Pod, node: Node | None, name: str, count: float, around: Surroundings) -> Holding:
    """Return what whoever asks for so many devices of a resource holds of a node: pods on it share the record."""
    served = device_class(name, around)
    if served and not (node and any(row.name == name and row.capacity for row in node.resources)):
        gpus = count if served in objects().dra.whole_classes else None
        return Holding(kind="dra", resource=served, count=count, gpus=gpus)
    key = (node.name if node else tuple(sorted(pod.node_selector.items())), name, count)
    found = around.devices.get(key)
    if found is None:
        places = () if pod.node else around.offers.get(name, ())
        unit = common_share(name, places, each=count, several=count > 1, selector=pod.node_selector)
        kind, share, profile = unit_share(node, name) if node else unit
        gpus = None if share is None else count * share
        found = around.devices[key] = Holding(kind=kind, resource=name, count=count, gpus=gpus, profile=profile)
    return found


def _fraction(pod: Pod, node: Node | None, around: Surroundings) -> Holding | None:
    """Return a fraction of KAI or Run:ai: annotations ask, a reservation pod elsewhere holds the device."""
    if not pod.annotations:
        return None
    marks = kubernetes.fractions()
    asked = _asked_part(pod)
    if asked is None:
        return None
    fraction, memory, devices = asked
    card = next((item.memory_mib for item in node.cards if item.memory_mib), None) if node else None
    share = fraction or (min(1.0, memory / card) if memory and card else None)
    groups = groups_of(pod)
    return Holding(
        kind="fraction",
        resource=marks.fraction if fraction else marks.memory_mib,
        count=devices,
        gpus=None if share is None else share * devices,
        memory_mib=memory * devices if memory else None,
        devices=tuple(uuid for group in groups if (uuid := around.reserved.get(group))),
        group=next(iter(groups), None),
    )


def _asked_part(pod: Pod) -> tuple[float | None, float | None, float] | None:
    """Return the fraction of a card, else the MiB, and of how many cards; None for what no scheduler would grant.

    KAI's admission refuses pods that ask for devices as well: one that is there was placed by another scheduler.
    """
    if any(count and is_gpu_resource(name) for name, count in pod.requests.items()):
        return None
    marks = kubernetes.fractions()
    fraction = quantity(pod.annotations.get(marks.fraction, ""))
    memory = _mebibytes(pod.annotations.get(marks.memory_mib, ""))
    if fraction is None or not 0 < fraction <= 1:
        fraction = None
    if memory is None or not 0 < memory <= marks.most_memory_mib:
        memory = None
    devices = quantity(pod.annotations.get(marks.devices, "1"))
    if devices is None or devices != int(devices) or not 1 <= devices <= marks.most_devices:
        return None
    return (fraction, memory, devices) if fraction or memory else None


def _mebibytes(text: str) -> float | None:
    """Return MiB: a plain number is MiB, one with a unit is bytes."""
    amount = quantity(text)
    return amount if amount is None or text.strip().isdecimal() else amount / MIB


def _reservation(pod: Pod, group: str, around: Surroundings) -> tuple[Holding, ...]:
    """Return the holding of a reservation pod: the whole card, unless the pods of its group are seen to hold parts."""
    device = pod.annotations.get(kubernetes.fractions().reservation_index)
    return (
        Holding(
            kind="whole",
            resource=kubernetes.resources().gpu,
            count=pod.requests.get(kubernetes.resources().gpu, 1.0),
            gpus=0.0 if group in around.fractional else 1.0,
            devices=(device,) if device else (),
            group=group,
        ),
    )


def _claimed(pod: Pod, around: Surroundings) -> tuple[Holding, ...]:
    pieces: list[tuple[Piece, int]] = []
    for name in pod.resource_claims:
        facts = around.claims.get((pod.namespace, name))
        if facts and facts.allocated and pod.node is None:  # it is held already, and waits for nothing of it
            pieces += [(replace(piece, count=0.0, gpus=0.0), 1) for piece in facts.pieces]
        elif facts:
            pieces += [(piece, facts.sharers) for piece in facts.pieces]
    for name in around.asks.get((pod.namespace, pod.name), ()):
        pieces += [(piece, 1) for piece in around.templates.get((pod.namespace, name), ())]
    return tuple(
        Holding(
            kind="dra",
            resource=piece.device_class,
            count=piece.count,
            gpus=None if piece.gpus is None else piece.gpus / sharers,
            profile=piece.profile,
            memory_mib=piece.memory_mib,
            devices=piece.uuids,
        )
        for piece, sharers in pieces
    )
