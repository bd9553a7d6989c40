"""Who is served where: the demand dealt out to the instances of a solution, and what nobody needs taken off."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gpuaudit.plan.pack_columns import Columns, Named

Cut = tuple[tuple[str, int], ...]  # instances by profile, as a key
Cuts = Counter[tuple[int, Cut, str | None]]  # GPUs by (offer, how they are cut, stock name)


@dataclass(frozen=True, kw_only=True)
class Share:
    """So many instances of this profile of the `offer`-th GPU model serve this request."""

    request: str
    offer: int
    profile: str
    count: int


def shares(columns: Columns, solution: Sequence[int], wanted: Named) -> tuple[Share, ...]:
    """Deal the demand out to the instances of a feasible solution, exactly."""
    room = _supply(columns, solution)
    left = dict(wanted)
    dealt: list[Share] = []
    for (offer, profile, request), column in columns.flows.items():
        dealt.append(_deal(left, room, (request, offer, profile), solution[column]))
    for (offer, profile), requests in columns.served.items():
        if len(requests) == 1:
            dealt.append(_deal(left, room, (requests[0], offer, profile), left[requests[0]]))
    if any(left.values()):
        raise AssertionError(f"a solution that serves too little: {left}")
    return tuple(share for share in dealt if share.count)


def cuts(columns: Columns, solution: Sequence[int], dealt: Sequence[Share]) -> Cuts:
    """Return how the GPUs are cut: stock layouts whole, the others without the instances that serve nobody."""
    piles: Cuts = Counter()
    for pattern, count in zip(columns.patterns, solution, strict=False):
        if count:
            piles[pattern.offer, tuple(sorted(pattern.counts.items())), pattern.stock] += count
    spare = _supply(columns, solution)
    for share in dealt:
        spare[share.offer, share.profile] -= share.count
    for (offer, profile), count in sorted(spare.items()):
        piles = _without(piles, (offer, profile), count)
    return piles


def _supply(columns: Columns, solution: Sequence[int]) -> Counter[tuple[int, str]]:
    supply: Counter[tuple[int, str]] = Counter()
    for pattern, count in zip(columns.patterns, solution, strict=False):
        for profile, each in pattern.counts.items():
            supply[pattern.offer, profile] += each * count
    return supply


def _deal(left: dict[str, int], room: Counter[tuple[int, str]], key: tuple[str, int, str], most: int) -> Share:
    request, offer, profile = key
    count = min(most, left[request], room[offer, profile])
    left[request] -= count
    room[offer, profile] -= count
    return Share(request=request, offer=offer, profile=profile, count=count)


def _without(piles: Cuts, key: tuple[int, str], spare: int) -> Cuts:
    """Take up to `spare` instances of a profile off the GPUs of one offer that are not in a stock layout."""
    offer, profile = key
    kept: Cuts = Counter()
    for (owner, cut, stock), count in sorted(piles.items(), key=str):
        each = dict(cut).get(profile, 0)
        if owner != offer or stock is not None or not each or not spare:
            kept[owner, cut, stock] += count
            continue
        bare = min(count, spare // each)
        spare -= bare * each
        kept[owner, _less(cut, profile, each), None] += bare
        if bare < count and spare:
            kept[owner, _less(cut, profile, spare), None] += 1
            bare, spare = bare + 1, 0
        kept[owner, cut, None] += count - bare
    return +kept


def _less(cut: Cut, profile: str, count: int) -> Cut:
    return tuple((name, held - count * (name == profile)) for name, held in cut if held - count * (name == profile))
