"""Packing questions as people put them: GPU names, `PROFILE=N` and `GPU=USD`, read and answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from gpuaudit.errors import UserError
from gpuaudit.knowledge import gpus, mig
from gpuaudit.knowledge.mig import MigGpu
from gpuaudit.plan.packing import Offer, Packing, pack
from gpuaudit.plan.serving import asked, serving

MOST = 10**9  # instances of one profile: up to here printed weights add up to the right bound
DEAREST = 10**6  # dollars a GPU-hour
CENTS = 4  # decimals of a price


@dataclass(frozen=True, kw_only=True)
class Case:
    """A question and its answer. `demand` by profile name, repeats added up; offers in the order they were given."""

    offers: tuple[Offer, ...]
    demand: Mapping[str, int]
    packing: Packing


def gpu_with_mig(text: str) -> tuple[str, MigGpu]:
    """Return the key and the grid of the GPU model that a key or name means. UserError when it has none."""
    model = gpus.resolve(text)
    grid = mig.for_model(model)
    if grid is None:
        why = "has MIG, but its placements are not known" if model.mig_capable else "has no MIG"
        able = [other.key for other in gpus.all_models() if mig.for_model(other) is not None]
        raise UserError(f"{model.key} {why}", hint=f"these can be cut: {', '.join(able)}")
    return model.key, grid


def read_gpu(words: Sequence[str]) -> str:
    """Return the GPU that the first word names. UserError when there is none."""
    if not words or "=" in words[0]:
        raise UserError("no GPU model named", hint="name it first: gpuaudit mig pack a100-80gb-sxm 1g.10gb=13")
    return words[0]


def read_demand(texts: Sequence[str]) -> list[tuple[str, int]]:
    """Read `PROFILE=N` words. UserError for anything else."""
    if not texts:
        raise UserError("no instances asked for", hint="say how many of which profile: 1g.10gb=13 3g.40gb=2")
    return [_demand(text) for text in texts]


def read_price(text: str) -> tuple[str, Fraction]:
    """Read one `GPU=USD`: dollars a GPU-hour. UserError for anything else."""
    name, equals, amount = text.rpartition("=")
    try:
        price = Decimal(amount.strip().removeprefix("$"))
    except InvalidOperation:
        price = Decimal("NaN")
    if not equals or not name.strip() or not price.is_finite() or not 0 < price <= DEAREST:
        raise UserError(f"{text!r} is not GPU=USD", hint="write a GPU and its price per hour: a100-80gb-sxm=3.43")
    if price != round(price, CENTS):
        raise UserError(f"{amount} has more than {CENTS} decimals", hint="round the price per GPU-hour")
    return name, Fraction(price)


def fewest(gpu: str, demand: Sequence[tuple[str, int]]) -> Case:
    """Return the fewest GPUs of one model that hold the demand; each profile is served by itself alone."""
    key, grid = gpu_with_mig(gpu)
    wanted = _bounded(asked([grid], demand))
    offer = Offer(name=key, gpu=grid, serving={name: name for name in wanted})
    return Case(offers=(offer,), demand=wanted, packing=pack([offer], wanted))


def cheapest(prices: Sequence[tuple[str, Fraction]], demand: Sequence[tuple[str, int]]) -> Case:
    """Return the cheapest mix of GPU models that serves the demand (`serving` says what may stand in for what)."""
    named = [(*gpu_with_mig(text), price) for text, price in prices]
    keys = [key for key, _, _ in named]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise UserError(f"--gpu {twice} is given twice", hint="give each GPU model one price")
    grids = [grid for _, grid, _ in named]
    wanted = _bounded(asked(grids, demand))
    offers = tuple(
        Offer(name=key, gpu=grid, price=price, serving=serving(grid, grids, list(wanted))) for key, grid, price in named
    )
    return Case(offers=offers, demand=wanted, packing=pack(offers, wanted, trust_search=True))


def alone(case: Case) -> dict[str, Fraction | None]:
    """Return what the same demand costs on each model by itself; None where it cannot be served there."""
    return {
        offer.name: pack([offer], case.demand, trust_search=True).cost
        if all(name in offer.serving for name, count in case.demand.items() if count)
        else None
        for offer in case.offers
    }


def _demand(text: str) -> tuple[str, int]:
    name, equals, count = text.rpartition("=")
    if not equals or not name.strip() or not (count.isascii() and count.isdigit()) or len(count) > len(str(MOST)) * 2:
        raise UserError(f"{text!r} is not PROFILE=N", hint="write a profile and a whole number: 1g.10gb=13")
    return name, int(count)


def _bounded(demand: dict[str, int]) -> dict[str, int]:
    for name, count in demand.items():
        if count > MOST:
            raise UserError(f"{count:,} instances of {name} are too many", hint=f"up to {MOST:,} of a profile are")
    return demand
