"""Whose part of a shared GPU is how large (time-slicing, MPS): told by its processes, conserved to its total."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gpuaudit.cluster.node_facts import ProcessFacts
from gpuaudit.cluster.usage import UNKNOWN_OWNER
from gpuaudit.knowledge.probe import probe

OwnerOf = Callable[[ProcessFacts], str]
NEGLIGIBLE = 1e-9


class Share(NamedTuple):
    """An owner's part of a device. Over all owners `part` adds up to 1, the others to what the device says (or None).

    `pod` is the pod UID of one of its processes.
    """

    owner: str
    part: float
    utilization: float | None = None
    memory_mib: float | None = None
    pod: str | None = None


def shares(
    processes: Sequence[ProcessFacts] | None,
    owner_of: OwnerOf,
    *,
    utilization: float | None,
    memory_mib: float | None,
) -> tuple[Share, ...]:
    """Divide a device among the owners of its processes, sorted by owner; what no process explains is nobody's known.

    The part of an owner follows its SM utilization, else its memory. What processes say beyond the device's total is
    scaled down to it.
    """
    rows: dict[str, list[ProcessFacts]] = {}
    for process in processes or ():
        rows.setdefault(owner_of(process), []).append(process)
    if not rows or set(rows) == {UNKNOWN_OWNER}:
        return (Share(UNKNOWN_OWNER, 1.0, utilization, memory_mib),)
    if len(rows) == 1:
        ((owner, own),) = rows.items()
        return (Share(owner, 1.0, utilization, memory_mib, _pod(own)),)
    rows.setdefault(UNKNOWN_OWNER, [])
    busy = _divided(_activity(rows, utilization), utilization)
    held = _divided({owner: [one.memory_mib for one in own] for owner, own in rows.items()}, memory_mib)
    parts = _parts(busy, utilization) or _parts(held, memory_mib) or _evenly(rows)
    found = (
        Share(owner, parts[owner], busy[owner] if busy else None, held[owner] if held else None, _pod(rows[owner]))
        for owner in sorted(rows)
    )
    return tuple(one for one in found if one.part > NEGLIGIBLE or one.owner != UNKNOWN_OWNER or one.memory_mib)


def _activity(rows: dict[str, list[ProcessFacts]], total: float | None) -> dict[str, list[float | None]]:
    """Return SM utilization by owner: the driver leaves idle processes out, if it tells of any."""
    every = [one for own in rows.values() for one in own]
    if total and any(_of_mps(one) for one in every):
        return {owner: [None for _ in own] for owner, own in rows.items()}
    answered = not total or any(one.sm_utilization is not None for one in every)
    idle = 0.0 if answered else None
    return {
        owner: [idle if one.sm_utilization is None else one.sm_utilization for one in own]
        for owner, own in rows.items()
    }


def _of_mps(process: ProcessFacts) -> bool:
    """Whether a process shares by MPS: SM time is then told of the server, and of its clients none or some."""
    return process.kind == "mps" or (process.name or "").startswith(probe().mps_server)


def _divided(values: dict[str, list[float | None]], total: float | None) -> dict[str, float] | None:
    """Return each owner's amount, the rest of the total with the unknown owner; None when that cannot be said."""
    if total is None or any(value is None for own in values.values() for value in own):
        return None
    amounts = {owner: sum(max(0.0, value or 0.0) for value in own) for owner, own in values.items()}
    said = sum(amounts.values())
    if said > total:
        amounts = {owner: amount * total / said for owner, amount in amounts.items()}
    amounts[UNKNOWN_OWNER] += max(0.0, total - sum(amounts.values()))
    return amounts


def _parts(amounts: dict[str, float] | None, total: float | None) -> dict[str, float] | None:
    if amounts is None or not total or total <= 0:
        return None
    whole = sum(amounts.values())
    return {owner: amount / whole for owner, amount in amounts.items()}


def _evenly(rows: dict[str, list[ProcessFacts]]) -> dict[str, float]:
    known = [owner for owner, own in rows.items() if own]
    return {owner: 1 / len(known) if owner in known else 0.0 for owner in rows}


def _pod(own: Sequence[ProcessFacts]) -> str | None:
    return min((one.pod_uid for one in own if one.pod_uid), default=None)
