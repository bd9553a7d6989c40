"""The check that nothing wrong is printed: each way in which a layout or a packing can lie is caught."""

from dataclasses import replace
from math import ceil

import pytest

from gpuaudit.knowledge import mig
from gpuaudit.plan.layout_check import (
    Claim,
    MixClaim,
    heaviest,
    layout_count,
    layout_problems,
    mix_problems,
    order_problems,
    packing_problems,
)

A100 = mig.geometry("a100-80gb")
A30 = mig.geometry("a30-24gb")
DEMAND = {"3g.40gb": 2, "1g.10gb": 3}
RIGHT = Claim(
    gpus=2,
    lower_bound=2,
    status="optimal",
    weights={"3g.40gb": 0.5, "1g.10gb": 0.125},
    layouts=[(1, [("3g.40gb", 0), ("3g.40gb", 4)]), (1, [("1g.10gb", 0), ("1g.10gb", 1), ("1g.10gb", 2)])],
)


@pytest.mark.parametrize(
    ("instances", "words"),
    [
        ([("9g.90gb", 0)], "no profile"),
        ([("3g.40gb", 2)], "cannot start at 2"),
        ([("3g.40gb", 0), ("2g.20gb", 2)], "slot 2 is held 2 times"),
        ([("1g.10gb+me", 0), ("1g.10gb+me", 1)], "media extension"),
        ([("1g.20gb", start) for start in (0, 2, 4, 6, 6)], "more than 4 1g.20gb"),
        ([("4g.40gb", 0), ("4g.40gb", 0)], "compute slices"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(instances: list[tuple[str, int]], words: str) -> None:
    assert any(words in problem for problem in layout_problems(A100, instances))


def test_a_layout_that_can_be_passes() -> None:
    assert layout_problems(A100, [("4g.40gb", 0), ("2g.20gb", 4), ("1g.10gb", 6)]) == []
    assert order_problems(A100, [("1g.10gb", 6), ("4g.40gb", 0)]) != []


def test_a_right_claim_passes() -> None:
    assert packing_problems(A100, DEMAND, RIGHT) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"gpus": 3}, "do not add up"),
        ({"weights": {"3g.40gb": 0.5, "1g.10gb": 0.2}}, "a layout weighs"),
        ({"weights": {"3g.40gb": 0.5, "1g.10gb": -0.1}}, "negative"),
        ({"lower_bound": 1}, "prove 2, not 1"),
        ({"status": "bounded"}, "are called bounded"),
        ({"layouts": RIGHT.layouts[:1]}, "0 of 3 1g.10gb"),
        ({"layouts": [(0, RIGHT.layouts[0][1]), *RIGHT.layouts]}, "no GPU"),
        ({"layouts": [(1, [("3g.40gb", 0), ("3g.40gb", 0)]), RIGHT.layouts[1]]}, "held 2 times"),
    ],
    ids=str,
)
def test_a_wrong_claim_is_caught(wrong: dict[str, object], words: str) -> None:
    problems = packing_problems(A100, DEMAND, replace(RIGHT, **wrong))
    assert any(words in problem for problem in problems), problems


def test_the_heaviest_layout_is_found_among_all() -> None:
    assert layout_count(A100) == 2318
    assert heaviest(A100, {"1g.10gb": 1 / 7, "1g.20gb": 1 / 4}) == pytest.approx(6 / 7 + 1 / 4)
    assert heaviest(A100, {}) == 0


MIX = MixClaim(
    prices={"a100": 3.43, "a30": 1.1},
    cost=2.2,
    lower_bound=ceil(100 * 2 * 0.55 - 1e-6) / 100,
    weights={"1g.10gb": 0.42875, "2g.12gb": 0.55},
    layouts={"a100": [], "a30": [(1, [("2g.12gb", 0), ("2g.12gb", 2)]), (1, [("2g.12gb", 0)])]},
    shares=[("2g.12gb", "a30", "2g.12gb", 2), ("1g.10gb", "a30", "2g.12gb", 1)],
)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, ""),
        ({"cost": 1.1}, "the layouts cost"),
        ({"weights": {"2g.12gb": 0.6, "1g.10gb": 0.0}}, "weighs"),
        ({"lower_bound": 1.0}, "prove"),
        ({"shares": MIX.shares[:1]}, "0 of 1 1g.10gb"),
        ({"shares": [*MIX.shares, ("1g.10gb", "a30", "2g.12gb", 9)]}, "too few"),
        ({"shares": [MIX.shares[0], ("1g.10gb", "a30", "1g.6gb", 1)]}, "cannot stand in"),
    ],
    ids=str,
)
def test_a_wrong_mix_is_caught(wrong: dict[str, object], words: str) -> None:
    demand = {"2g.12gb": 2, "1g.10gb": 1}
    claim = replace(MIX, **({"lower_bound": 1.53} | wrong))  # 2 x 0.55 + 0.42875, in whole cents
    problems = mix_problems({"a100": A100, "a30": A30}, demand, claim)
    assert any(words in problem for problem in problems) if words else problems == []
