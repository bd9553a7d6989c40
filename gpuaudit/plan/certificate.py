"""Weights that prove a lower bound: no legal layout weighs more than its GPU costs.

So whatever the GPUs are cut to, the demand costs at least its own weight.

The solver's dual prices are floating point and may be a hair too high; here they become fractions that keep the
promise exactly, so that anyone can add them up by hand.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor

_DENOMINATORS = (24, 120, 840, 5040, 10**5, 10**7)  # simple weights first: they are the ones to check by hand
SLACK = Fraction(1, 10**6)  # taken off before rounding up, as the published formula does


def repaired(
    duals: Mapping[str, float], demand: Mapping[str, int], limits: Sequence[tuple[Mapping[str, int], Fraction]]
) -> dict[str, Fraction]:
    """Return weights near these duals that hold every limit exactly, with the highest weight of the demand found.

    A limit is (how often each name counts, the most that they may weigh together).
    """
    best: dict[str, Fraction] = dict.fromkeys(duals, Fraction(0))
    for denominator in _DENOMINATORS:
        near = {name: Fraction(max(0.0, dual)).limit_denominator(denominator) for name, dual in duals.items()}
        scale = max((value / most for counts, most in limits if (value := weight(near, counts)) > most), default=1)
        kept = {name: value / scale for name, value in near.items()}
        if weight(kept, demand) > weight(best, demand):
            best = kept
    return best


def weight(weights: Mapping[str, Fraction], counts: Mapping[str, int]) -> Fraction:
    """Return what these counts weigh together."""
    return sum((value * counts.get(name, 0) for name, value in weights.items()), Fraction(0))


def rounded_up(value: Fraction, step: Fraction) -> Fraction:
    """Return the least multiple of `step` that is not below the value, less a slack for printed decimals."""
    return -floor(-(value / step - SLACK)) * step
