"""The columns and rows of the packing programme: how many GPUs of each model are cut to each pattern."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from gpuaudit.plan.program import Program
from gpuaudit.plan.serving import Serving

Named = Mapping[str, int]  # instances by profile name
UNNAMED = 64  # what a layout without a name costs when layouts are compared; an instance that was asked for costs 1
UNASKED = 8  # what an instance of a profile costs that nobody asked for


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """One way to cut a GPU of the `offer`-th model."""

    offer: int
    counts: Named
    stock: str | None = None  # its name in mig-parted's stock configuration


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Patterns, and flows where one profile serves several requests: how many of each it serves.

    Pattern columns come first, then flow columns.
    """

    servings: tuple[Serving, ...]  # by offer, for the requests with a demand alone
    patterns: tuple[Pattern, ...]

    @cached_property
    def served(self) -> Mapping[tuple[int, str], tuple[str, ...]]:
        """Requests by (offer, profile)."""
        groups: dict[tuple[int, str], list[str]] = {}
        for offer, serving in enumerate(self.servings):
            for request, profile in serving.items():
                groups.setdefault((offer, profile), []).append(request)
        return {key: tuple(requests) for key, requests in groups.items()}

    @cached_property
    def flows(self) -> Mapping[tuple[int, str, str], int]:
        """Column of each (offer, profile, request) where the profile has several requests to serve."""
        keys = [(*key, request) for key, requests in self.served.items() if len(requests) > 1 for request in requests]
        return {key: len(self.patterns) + index for index, key in enumerate(keys)}

    def fillings(self, pattern: Pattern) -> Iterator[Named]:
        """Yield what one GPU of this pattern can serve, each profile giving all its instances to one request."""
        groups = [
            [(request, count) for request in requests]
            for profile, count in pattern.counts.items()
            if (requests := self.served.get((pattern.offer, profile)))
        ]
        for chosen in product(*groups):
            held: dict[str, int] = {}
            for request, count in chosen:
                held[request] = held.get(request, 0) + count
            yield held


def demand_program(columns: Columns, prices: Sequence[int], wanted: Named) -> Program:
    """Return the programme: the cheapest patterns that serve the demand. Its first rows are the requests, in order."""
    rows = [_request_row(columns, request) for request in wanted]
    links = [_link_row(columns, key) for key, requests in columns.served.items() if len(requests) > 1]
    costs = [prices[pattern.offer] for pattern in columns.patterns]
    return Program(
        costs=(*costs, *(0 for _ in columns.flows)),
        rows=(*rows, *links),
        least=(*wanted.values(), *(0 for _ in links)),
    )


def tidy_program(columns: Columns, prices: Sequence[int], wanted: Named, budget: int) -> Program:
    """Return the programme: within that budget, layouts that have a name, and few instances that nobody asked for."""
    plain = demand_program(columns, prices, wanted)
    spent = {index: -prices[pattern.offer] for index, pattern in enumerate(columns.patterns)}
    costs = [_untidiness(columns, pattern) for pattern in columns.patterns]
    return Program(
        costs=(*costs, *(0 for _ in columns.flows)), rows=(*plain.rows, spent), least=(*plain.least, -budget)
    )


def _untidiness(columns: Columns, pattern: Pattern) -> int:
    held = pattern.counts.items()
    instances = sum(count * (1 if (pattern.offer, name) in columns.served else UNASKED) for name, count in held)
    return instances + (0 if pattern.stock else UNNAMED)


def _request_row(columns: Columns, request: str) -> dict[int, int]:
    row = {column: 1 for (_, _, name), column in columns.flows.items() if name == request}
    for index, pattern in enumerate(columns.patterns):
        profile = columns.servings[pattern.offer].get(request, "")
        if profile in pattern.counts and len(columns.served[pattern.offer, profile]) == 1:
            row[index] = pattern.counts[profile]
    return row


def _link_row(columns: Columns, key: tuple[int, str]) -> dict[int, int]:
    """Return the row that lets a shared profile serve no more than there are instances of it."""
    offer, profile = key
    row = {
        index: pattern.counts[profile]
        for index, pattern in enumerate(columns.patterns)
        if pattern.offer == offer and profile in pattern.counts
    }
    return row | {columns.flows[offer, profile, request]: -1 for request in columns.served[key]}
