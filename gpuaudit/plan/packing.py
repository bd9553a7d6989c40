"""The fewest GPUs, or the cheapest mix of GPU models, that hold a demand of MIG instances, with the proof.

A pattern integer programme: one column for each undominated pattern of each GPU model, one row for each profile asked
for. Its size does not depend on the demand. The answer is proven by weights (`certificate`), not by the solver's word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import Literal

from gpuaudit.knowledge.mig import MigGpu
from gpuaudit.plan import certificate
from gpuaudit.plan.layouts import Counts, Layout, patterns, placed, stock_names
from gpuaudit.plan.pack_columns import Columns, Named, Pattern, demand_program, tidy_program
from gpuaudit.plan.pack_shares import Cut, Share, cuts, shares
from gpuaudit.plan.program import Program, Solution, relax, search, search_near
from gpuaudit.plan.serving import Serving

TIDY_NODES = 200
ONE = Fraction(1)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A GPU model that may be used, what one costs, and which of its profiles serves each request."""

    name: str
    gpu: MigGpu
    price: Fraction = ONE
    serving: Serving


@dataclass(frozen=True, kw_only=True)
class Pile:
    """GPUs of one model that are cut alike."""

    offer: str
    count: int
    layout: Layout
    stock: str | None  # the layout's name in mig-parted's stock configuration


@dataclass(frozen=True, kw_only=True)
class Packing:
    """What to use. `bounded`: a valid plan and a valid bound that do not meet, so something cheaper may exist."""

    piles: tuple[Pile, ...]
    shares: tuple[Share, ...]
    cost: Fraction
    lower_bound: Fraction
    status: Literal["optimal", "bounded"]
    weights: Mapping[str, Fraction]  # by request


def pack(offers: Sequence[Offer], demand: Named, *, trust_search: bool = False) -> Packing:
    """Return the cheapest packing of `demand` (instances by request) on these offers.

    It is `optimal` when its cost meets the bound that the weights prove; with `trust_search` also when the solver
    says that it has excluded everything cheaper.
    """
    wanted = {name: count for name, count in demand.items() if count}
    if not wanted:
        zero = Fraction(0)
        return Packing(piles=(), shares=(), cost=zero, lower_bound=zero, status="optimal", weights={})
    scale = lcm(*(offer.price.denominator for offer in offers))
    prices = [int(offer.price * scale) for offer in offers]
    columns = _columns(offers, wanted)
    found, weights, bound = _solved(columns, prices, wanted)
    piles, dealt = _tidied(offers, (columns, found), prices, wanted)
    price_of = {offer.name: offer.price for offer in offers}
    cost = sum((price_of[pile.offer] * pile.count for pile in piles), Fraction(0))
    proven = cost == bound / scale or (trust_search and found.proven)
    return Packing(
        piles=piles,
        shares=dealt,
        cost=cost,
        lower_bound=bound / scale,
        status="optimal" if proven else "bounded",
        weights={name: value / scale for name, value in weights.items()},
    )


def _solved(
    columns: Columns, prices: Sequence[int], wanted: Named
) -> tuple[Solution, Mapping[str, Fraction], Fraction]:
    """Return a solution, the weights, and the bound that they prove, in units of the prices."""
    program = demand_program(columns, prices, wanted)
    relaxation = relax(program)
    duals = dict(zip(wanted, relaxation.duals, strict=False))  # the rows of the demand come first
    limits = [(held, Fraction(prices[one.offer])) for one in columns.patterns for held in columns.fillings(one)]
    weights = certificate.repaired(duals, wanted, limits)
    bound = certificate.rounded_up(certificate.weight(weights, wanted), Fraction(gcd(*prices)))
    return _cheapest(program, search_near(program, relaxation), bound), weights, bound


def _cheapest(program: Program, near: Solution | None, bound: Fraction) -> Solution:
    if near is not None and near.cost <= bound:
        return near
    found = [one for one in (search(program), near) if one is not None]
    if not found:
        raise AssertionError("no packing found although every request has a profile that serves it")
    return min(found, key=lambda one: (one.cost, not one.proven))


def _columns(offers: Sequence[Offer], wanted: Named, *, stock: bool = False) -> Columns:
    """Return the undominated patterns of every offer; with `stock`, its stock layouts too, by name."""
    found: list[Pattern] = []
    for index, offer in enumerate(offers):
        names = stock_names(offer.gpu.key) if stock else {}
        for counts in dict.fromkeys([*patterns(offer.gpu.key), *names]):
            found.append(Pattern(offer=index, counts=_by_profile(offer.gpu, counts), stock=names.get(counts)))
    servings = tuple({name: one for name, one in offer.serving.items() if name in wanted} for offer in offers)
    return Columns(servings=servings, patterns=tuple(found))


def _tidied(
    offers: Sequence[Offer], found: tuple[Columns, Solution], prices: Sequence[int], wanted: Named
) -> tuple[tuple[Pile, ...], tuple[Share, ...]]:
    """Return a packing of the same cost with GPUs in stock layouts where that is free."""
    columns, solution = found
    wider = _columns(offers, wanted, stock=True)
    tidy = tidy_program(wider, prices, wanted, solution.cost)
    better = search_near(tidy, relax(tidy), node_limit=TIDY_NODES)
    if better is not None:
        columns, solution = wider, better
    dealt = shares(columns, solution.columns, wanted)
    piles = [
        _pile(offers[offer], cut, count)
        for (offer, cut, _), count in cuts(columns, solution.columns, dealt).items()
        if cut  # a GPU left with nothing to hold is not needed
    ]
    order = {offer.name: index for index, offer in enumerate(offers)}
    return tuple(sorted(piles, key=lambda pile: (order[pile.offer], -pile.count, pile.layout))), dealt


def _pile(offer: Offer, cut: Cut, count: int) -> Pile:
    counts = tuple(dict(cut).get(row.name, 0) for row in offer.gpu.profiles)
    layout = placed(offer.gpu.key, counts)
    return Pile(offer=offer.name, count=count, layout=layout, stock=stock_names(offer.gpu.key).get(counts))


def _by_profile(gpu: MigGpu, counts: Counts) -> Named:
    return {row.name: count for row, count in zip(gpu.profiles, counts, strict=True) if count}
