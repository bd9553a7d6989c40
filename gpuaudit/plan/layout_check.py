"""Checks layouts and packings again before they are printed, from the placements alone and by brute force.

It shares no code with what made them: it knows the facts about the GPU and the numbers that were printed, nothing else.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import ceil, gcd, inf, lcm

from gpuaudit.knowledge.mig import MigGpu, MigProfile, geometry

Placed = Sequence[tuple[str, int]]  # (profile, first memory slot)
TOLERANCE = 1e-9  # a layout's weights may exceed 1 by that much: printed decimals
ROUNDING = 1e-6  # taken off before a bound is rounded up


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a packing on one GPU model says of itself, as printed."""

    gpus: int
    lower_bound: int
    status: str
    weights: Mapping[str, float]
    layouts: Sequence[tuple[int, Placed]]  # (GPUs, instances)


@dataclass(frozen=True, kw_only=True)
class MixClaim:
    """What a packing on several GPU models says of itself, as printed. Dollars an hour; layouts by model."""

    prices: Mapping[str, float]
    cost: float
    lower_bound: float
    weights: Mapping[str, float]
    layouts: Mapping[str, Sequence[tuple[int, Placed]]]
    shares: Sequence[tuple[str, str, str, int]]  # request, model, profile, instances


def layout_problems(gpu: MigGpu, instances: Placed) -> list[str]:
    """Return why these instances cannot stand on one GPU together; empty when they can."""
    rows = {row.name: row for row in gpu.profiles}
    unknown = [f"no profile {name} on {gpu.key}" for name, _ in instances if name not in rows]
    if unknown:
        return unknown
    found = [f"{name} cannot start at {start}" for name, start in instances if start not in rows[name].starts]
    slots = Counter(slot for name, start in instances for slot in range(start, start + rows[name].size))
    found += [f"slot {slot} is held {times} times" for slot, times in slots.items() if times > 1]
    found += [f"slot {slot} does not exist" for slot in slots if not 0 <= slot < gpu.memory_slots]
    return found + _limit_problems(gpu, [rows[name] for name, _ in instances])


def order_problems(gpu: MigGpu, instances: Placed) -> list[str]:
    """Return why a layout is not in an order of creation: a smaller instance before a larger one."""
    size = {row.name: row.size for row in gpu.profiles}
    sizes = [size[name] for name, _ in instances]
    return [] if sizes == sorted(sizes, reverse=True) else [f"not the largest first: {list(instances)}"]


def packing_problems(gpu: MigGpu, demand: Mapping[str, int], claim: Claim) -> list[str]:
    """Return what is wrong with a packing: layouts, coverage, the count of GPUs, the weights or the bound."""
    found = _layouts_problems(gpu, claim.layouts)
    held = _held(claim.layouts)
    found += [f"{held[name]} of {count} {name}" for name, count in demand.items() if held[name] < count]
    if claim.gpus != sum(count for count, _ in claim.layouts):
        found.append("the layouts do not add up to the GPUs")
    found += [f"negative weight of {name}" for name, weight in claim.weights.items() if weight < 0]
    worst = heaviest(gpu, claim.weights)
    if worst > 1 + TOLERANCE:
        found.append(f"a layout weighs {worst}")
    proven = ceil(sum(claim.weights.get(name, 0.0) * count for name, count in demand.items()) - ROUNDING)
    if claim.lower_bound != proven:
        found.append(f"the weights prove {proven}, not {claim.lower_bound}")
    if claim.gpus < claim.lower_bound or (claim.status == "optimal") != (claim.gpus == claim.lower_bound):
        found.append(f"{claim.gpus} GPUs against a bound of {claim.lower_bound} are called {claim.status}")
    return found


def mix_problems(gpus: Mapping[str, MigGpu], demand: Mapping[str, int], claim: MixClaim) -> list[str]:
    """Return what is wrong with a packing on several models, priced."""
    found = [text for name, layouts in claim.layouts.items() for text in _layouts_problems(gpus[name], layouts)]
    served: Counter[str] = Counter()
    used: Counter[tuple[str, str]] = Counter()
    for request, model, profile, count in claim.shares:
        served[request] += count
        used[model, profile] += count
        if not _stands_in(gpus, model, profile, request):
            found.append(f"{profile} of {model} cannot stand in for {request}")
    found += [f"{served[name]} of {count} {name}" for name, count in demand.items() if served[name] != count]
    held = {name: _held(layouts) for name, layouts in claim.layouts.items()}
    found += [f"{model} has too few {name}" for (model, name), count in used.items() if held[model][name] < count]
    cost = sum(claim.prices[name] * count for name, layouts in claim.layouts.items() for count, _ in layouts)
    if abs(cost - claim.cost) > ROUNDING * max(1.0, cost):
        found.append(f"the layouts cost {cost}, not {claim.cost}")
    found += _mix_bound_problems(gpus, demand, claim)
    return found


def heaviest(gpu: MigGpu, weights: Mapping[str, float]) -> float:
    """Return the weight of the heaviest legal layout, found by looking at every one."""
    worths = [weights.get(name, 0.0) for name in _names(gpu.key)]
    return max(sum(worths[index] for index in layout) for layout in _every_layout(gpu.key))


def layout_count(gpu: MigGpu) -> int:
    """Return how many non-empty legal layouts the weights were tried on."""
    return len(_every_layout(gpu.key)) - 1


def _mix_bound_problems(gpus: Mapping[str, MigGpu], demand: Mapping[str, int], claim: MixClaim) -> Iterator[str]:
    for model, gpu in gpus.items():
        worth = {
            row.name: max(
                (w for name, w in claim.weights.items() if _stands_in(gpus, model, row.name, name)), default=0
            )
            for row in gpu.profiles
        }
        worst = heaviest(gpu, worth)
        if worst > claim.prices[model] * (1 + TOLERANCE):
            yield f"a layout of {model} weighs {worst}"
    proven = sum(claim.weights.get(name, 0.0) * count for name, count in demand.items())
    step = _step(list(claim.prices.values()))
    if abs(claim.lower_bound - ceil(proven / step - ROUNDING) * step) > ROUNDING * max(1.0, proven):
        yield f"the weights prove {proven}, not {claim.lower_bound}"
    if claim.cost < claim.lower_bound * (1 - TOLERANCE):
        yield f"a cost of {claim.cost} below the bound of {claim.lower_bound}"


def _step(prices: Sequence[float]) -> float:
    """Return the largest amount that every price, as printed, is a multiple of."""
    exact = [Fraction(str(price)) for price in prices]
    shared = lcm(*(price.denominator for price in exact))
    return gcd(*(int(price * shared) for price in exact)) / shared


def _layouts_problems(gpu: MigGpu, layouts: Iterable[tuple[int, Placed]]) -> list[str]:
    found: list[str] = []
    for count, instances in layouts:
        found += [] if count > 0 else ["a layout of no GPU"]
        found += layout_problems(gpu, instances) or order_problems(gpu, instances)
    return found


def _held(layouts: Iterable[tuple[int, Placed]]) -> Counter[str]:
    held: Counter[str] = Counter()
    for count, instances in layouts:
        for name, _ in instances:
            held[name] += count
    return held


def _limit_problems(gpu: MigGpu, rows: Sequence[MigProfile]) -> list[str]:
    """Check what room does not settle: slices, the most of a profile, media extensions and engines."""
    found = [f"more than {row.max_instances} {row.name}" for row in rows if rows.count(row) > row.max_instances]
    if sum(row.g for row in rows) > gpu.compute_slices:
        found.append("more compute slices than the GPU has")
    if sum("+me" in row.name for row in rows) > 1:
        found.append("more than one media extension")
    for engine, budget in gpu.engine_budget.items():
        if sum(getattr(row, engine) or 0 for row in rows) > budget:
            found.append(f"more than {budget} {engine}")
    return found


@cache
def _names(mig_key: str) -> tuple[str, ...]:
    return tuple(row.name for row in geometry(mig_key).profiles)


@cache
def _every_layout(mig_key: str) -> tuple[tuple[int, ...], ...]:
    """Return every legal layout as indexes of its profiles: each placement of each profile is taken or left."""
    gpu = geometry(mig_key)
    places = [(index, start, row) for index, row in enumerate(gpu.profiles) for start in row.starts]
    found: list[tuple[int, ...]] = []
    pending: list[tuple[int, int, tuple[int, ...]]] = [(0, 0, ())]
    while pending:
        position, taken, layout = pending.pop()
        if position == len(places):
            found.append(layout)
            continue
        pending.append((position + 1, taken, layout))
        index, start, row = places[position]
        slots = ((1 << row.size) - 1) << start
        wider = (*layout, index)
        if not taken & slots and not _limit_problems(gpu, [gpu.profiles[one] for one in wider]):
            pending.append((position + 1, taken | slots, wider))
    return tuple(found)


def _stands_in(gpus: Mapping[str, MigGpu], model: str, profile: str, request: str) -> bool:
    """Say whether an instance may serve a request: the same name, or no less of anything and the same variant."""
    have = next(row for row in gpus[model].profiles if row.name == profile)
    if profile == request:
        return True
    wants = [row for gpu in gpus.values() for row in gpu.profiles if row.name == request]
    return any(
        have.name.split("gb")[1] == want.name.split("gb")[1]
        and (have.sm or 0) >= (want.sm or inf)
        and (have.memory_mib or 0) >= (want.memory_mib or inf)
        for want in wants
    )
