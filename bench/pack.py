"""Exact MIG packing of 10 to 100,000 instances, checked and proven, beside first-fit and first-fit-decreasing."""

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from heapq import heappop, heappush

import numpy as np

from gpuaudit.plan import pack_cases
from gpuaudit.plan.layouts import Instance, legal_layouts
from gpuaudit.report.mig_data import packing_data

TITLE = "Exact MIG packing on one A100 80GB model, beside heuristics"
GPU = "a100-80gb-sxm"
SIZES = (10, 100, 1_000, 10_000, 100_000)
ROUNDS = 10  # seeds; times are over these
MIXES: Mapping[str, Mapping[str, float]] = {
    "mostly small": {"1g.10gb": 0.7, "1g.20gb": 0.1, "2g.20gb": 0.1, "3g.40gb": 0.1},
    "even": {
        "1g.10gb": 1 / 6,
        "1g.20gb": 1 / 6,
        "2g.20gb": 1 / 6,
        "3g.40gb": 1 / 6,
        "4g.40gb": 1 / 6,
        "7g.80gb": 1 / 6,
    },
    "mostly large": {"1g.10gb": 0.2, "2g.20gb": 0.3, "3g.40gb": 0.3, "4g.40gb": 0.2},
}

State = frozenset[Instance]


def run() -> list[dict[str, object]]:
    """Return one row a mix and size: GPUs of the first seed, the heuristics' surplus, and the time of an answer."""
    pack_cases.fewest(GPU, [("1g.10gb", 1)])  # the tables of layouts are made once a process
    return [_row(mix, weights, size) for mix, weights in MIXES.items() for size in SIZES]


def _row(mix: str, weights: Mapping[str, float], size: int) -> dict[str, object]:
    seconds, unproven, first = [], 0, (0, 0, 0)
    for seed in range(ROUNDS):
        arrivals = np.random.default_rng(seed).choice(list(weights), size, p=list(weights.values())).tolist()
        start = time.perf_counter()
        data = packing_data(pack_cases.fewest(GPU, list(Counter(arrivals).items())))
        seconds.append(time.perf_counter() - start)
        unproven += data["status"] != "optimal"
        if seed == 0:
            first = (data["gpus"], first_fit(arrivals), first_fit(sorted(arrivals, key=_size, reverse=True)))
    best, fit, decreasing = first
    return {
        "mix": mix,
        "instances": size,
        "GPUs": best,
        "unproven": unproven,
        "first-fit": f"{fit / best - 1:+.1%}",
        "decreasing": f"{decreasing / best - 1:+.1%}",
        "median ms": statistics.median(seconds) * 1000,
        "max ms": max(seconds) * 1000,
    }


def first_fit(arrivals: Iterable[str]) -> int:
    """Return the GPUs used when each instance goes to the first GPU with a place for it, the roomiest place there."""
    open_gpus: dict[State, list[int]] = defaultdict(list)  # numbers of the GPUs in each state, the lowest first
    used = 0
    for profile in arrivals:
        fitting = [(gpus[0], state) for state, gpus in open_gpus.items() if gpus and _after(state, profile)]
        number, state = min(fitting, key=lambda one: one[0], default=(used, frozenset()))
        if number == used:
            used += 1
        else:
            heappop(open_gpus[state])
        after = _after(state, profile)
        assert after is not None
        heappush(open_gpus[after], number)
    return used


def _size(profile: str) -> tuple[int, int]:
    gpu = pack_cases.gpu_with_mig(GPU)[1]
    return next((row.size, row.g) for row in gpu.profiles if row.name == profile)


@cache
def _after(state: State, profile: str) -> State | None:
    """Return the state with one more instance, placed where most layouts remain possible; None when it is full."""
    wider = [whole for whole in _legal() if len(whole) == len(state) + 1 and state < whole]
    fitting = [whole for whole in wider if next(iter(whole - state)).profile == profile]
    return max(fitting, key=lambda whole: (_ways(whole), sorted(whole)), default=None)


@cache
def _ways(state: State) -> int:
    return sum(state <= whole for whole in _legal())


@cache
def _legal() -> tuple[State, ...]:
    return tuple(frozenset(layout) for layout in legal_layouts(pack_cases.gpu_with_mig(GPU)[1]))
