"""DRA claims: which devices they hold for which pods, and how much of a card that is. Admin access holds nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gpuaudit.cluster.platform import Claim
from gpuaudit.collect.kubernetes_types.nodes import (
    AllocatedDevice,
    ClaimSpec,
    DeviceRequest,
    ExactRequest,
    ResourceClaim,
)
from gpuaudit.collect.objects.devices import MIB, NamedDevice, device_key
from gpuaudit.collect.objects.quantities import quantity
from gpuaudit.knowledge.objects import objects


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Devices of one class that a claim asks for or holds; `gpus` physical, None = unknown."""

    device_class: str
    count: float
    gpus: float | None
    profile: str | None = None
    memory_mib: float | None = None
    uuids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClaimFacts:
    """What a claim means to a pod that uses it; `sharers` pods divide it."""

    pieces: tuple[Piece, ...] = ()
    sharers: int = 1
    allocated: bool = False  # a pod that waits asks for nothing more then


def claim_record(claim: ResourceClaim, devices: Mapping[str, NamedDevice], *, cluster: str) -> Claim:
    """Return the record of a claim, GPU or not."""
    allocation = claim.status.allocation
    results = (allocation.devices.results if allocation else None) or []
    keys = [device_key(item.driver, item.pool, item.device) for item in results]
    return Claim(
        cluster=cluster,
        namespace=claim.metadata.namespace,
        name=claim.metadata.name,
        device_classes=tuple(sorted({name for name, _ in _asked(claim.spec)})),
        devices=tuple(keys),
        uuids=tuple(uuid for key in keys if (named := devices.get(key)) and (uuid := named.uuid)),
        admin=bool(results or _requests(claim.spec)) and all(_admin(item) for item in results or _requests(claim.spec)),
        reserved_for=tuple(user.name for user in claim.status.reserved_for or () if user.resource in ("pods", "")),
        allocated=allocation is not None,
    )


def claim_facts(
    claim: ResourceClaim,
    devices: Mapping[str, NamedDevice],
    shares: Mapping[str, float],
    *,
    users: int = 1,
    bound: int = 1,
) -> ClaimFacts:
    """Return what a claim holds for the pods it is reserved for; until it is allocated, what it asks for `users` pods.

    Reserved for a group of pods, those of its users share it that are `bound` to a node.

    `shares` gives the physical share of MIG devices by device key.
    """
    reserved = claim.status.reserved_for or ()
    groups = any(one.resource not in ("", "pods") for one in reserved)  # of pods: which ones they are, pods tell
    sharers = max(1, bound if groups else len(reserved))
    if claim.status.allocation is None:
        sharers = max(1, users)
        asked = [replace(piece, count=piece.count / sharers) for piece in asked_pieces(claim.spec)]
        return ClaimFacts(pieces=tuple(asked), sharers=sharers)
    classes = _classes(claim.spec)
    pieces = [
        _held(item, classes, devices, shares)
        for item in claim.status.allocation.devices.results or ()
        if item.driver in objects().dra.drivers and not item.admin_access
    ]
    return ClaimFacts(pieces=tuple(pieces), sharers=sharers, allocated=True)


def asked_pieces(spec: ClaimSpec) -> tuple[Piece, ...]:
    """Return the GPUs that a claim or template asks for; of alternatives the first, in cards only if all are alike."""
    pieces = []
    for request in _requests(spec):
        name = _class(request)
        if not is_gpu_class(name) or _admin(request):
            continue
        exact = request.exactly or next(iter(request.first_available or ()), request)
        cards = {_cards(one) for one in request.first_available or (exact,)}
        pieces.append(
            Piece(device_class=name, count=_count(exact) or 0.0, gpus=cards.pop() if len(cards) == 1 else None)
        )
    return tuple(pieces)


def _count(exact: ExactRequest) -> float | None:
    """Return how many devices a request asks for, None for all that there are and for what no server takes."""
    if exact.allocation_mode == "All":
        return None
    if exact.count is None:
        return 1.0
    return float(exact.count) if 0 < exact.count <= objects().cards.max_asked else None


def _cards(exact: ExactRequest) -> float | None:
    """Return how many cards a request asks for, None where its class does not tell."""
    return _count(exact) if exact.device_class_name in objects().dra.whole_classes else None


def _classes(spec: ClaimSpec) -> dict[str, str]:
    """Return the class behind each request as results name it: of alternatives `request/alternative`."""
    found: dict[str, str] = {}
    for request in _requests(spec):
        if request.first_available:
            found |= {f"{request.name}/{one.name}": one.device_class_name for one in request.first_available}
        else:
            found[request.name] = _class(request)
    return {request: name for request, name in found.items() if name}


def _held(
    item: AllocatedDevice, classes: Mapping[str, str], devices: Mapping[str, NamedDevice], shares: Mapping[str, float]
) -> Piece:
    key = device_key(item.driver, item.pool, item.device)
    named = devices.get(key)
    name = classes.get(item.request, item.driver)
    whole = named.kind == "gpu" if named else name in objects().dra.whole_classes
    memory = quantity((item.consumed_capacity or {}).get("memory", ""))
    gpus = 1.0 if whole else shares.get(key)
    if whole and memory is not None and named and named.memory_mib:
        gpus = min(1.0, memory / MIB / named.memory_mib)
    return Piece(
        device_class=name,
        count=1.0,
        gpus=gpus,
        profile=named.profile if named else None,
        memory_mib=None if memory is None else memory / MIB,
        uuids=(named.uuid,) if named and named.uuid else (),
    )


def _requests(spec: ClaimSpec) -> list[DeviceRequest]:
    return spec.devices.requests or []


def _asked(spec: ClaimSpec) -> list[tuple[str, DeviceRequest]]:
    return [(name, request) for request in _requests(spec) if (name := _class(request))]


def _class(request: DeviceRequest) -> str:
    exact = request.exactly or next(iter(request.first_available or ()), request)
    return exact.device_class_name


def _admin(item: AllocatedDevice | DeviceRequest) -> bool:
    exact = getattr(item, "exactly", None)
    return bool(item.admin_access or (exact and exact.admin_access))


def is_gpu_class(name: str) -> bool:
    """Whether devices of a class are GPUs, or parts of them."""
    rules = objects().dra
    return name in (*rules.whole_classes, *rules.mig_classes) or (
        name.endswith(rules.maker_suffix) and name not in rules.other_classes
    )
