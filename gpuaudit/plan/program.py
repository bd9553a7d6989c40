"""Integer programmes of the planner: small, exact in integers, and never silent about what was not proven.

min costs·x with every row Σ coefficient·x[column] ≥ its right side, x ≥ 0 and integer. Costs and coefficients are
integers, so that whatever the solver finds in floating point is checked again exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

NODE_LIMIT = 20_000
SECONDS_LIMIT = 60.0  # aborts a search that hangs; a search that ends in nodes always gives the same answer
WINDOW = 4  # how far below the relaxation a count may still be rounded
EXACT = 2**40  # above this, floating point does not tell neighbouring integers apart well enough to prove anything


@dataclass(frozen=True, kw_only=True)
class Program:
    """Costs by column, rows as {column: coefficient}, and the least value of each row."""

    costs: tuple[int, ...]
    rows: tuple[dict[int, int], ...]
    least: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Relaxation:
    """Optimum without integrality: its value, the columns, and the dual price of each row."""

    value: float
    columns: tuple[float, ...]
    duals: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Solution:
    """A feasible integer point; `proven` when the search excluded every cheaper one."""

    columns: tuple[int, ...]
    cost: int
    proven: bool


def relax(program: Program) -> Relaxation:
    """Solve without integrality."""
    solver, _ = _run(program, integer=False)
    found = solver.getSolution()
    return Relaxation(
        value=float(solver.getObjectiveValue()), columns=tuple(found.col_value), duals=tuple(found.row_dual)
    )


def search(program: Program, *, node_limit: int = NODE_LIMIT) -> Solution | None:
    """Solve with integrality; None when no feasible point was found within the limit."""
    solver, proven = _run(program, integer=True, node_limit=node_limit)
    columns = tuple(max(0, round(value)) for value in solver.getSolution().col_value)
    if len(columns) != len(program.costs) or not satisfied(program, columns):
        return None
    small = max((abs(value) for value in program.least), default=0) < EXACT
    return Solution(columns=columns, cost=cost(program, columns), proven=proven and small)


def search_near(program: Program, relaxation: Relaxation, *, node_limit: int = NODE_LIMIT) -> Solution | None:
    """Solve with integrality among the points that are no more than WINDOW below the relaxation.

    The numbers in this search stay small whatever the demand, so it is fast and sound at a thousand million
    instances; it proves nothing by itself, and is optimal when its cost meets a lower bound.
    """
    floor = tuple(max(0, int(value) - WINDOW) for value in relaxation.columns)
    rest = tuple(least - _value(row, floor) for row, least in zip(program.rows, program.least, strict=True))
    near = search(replace(program, least=rest), node_limit=node_limit)
    if near is None:
        return None
    columns = tuple(a + b for a, b in zip(floor, near.columns, strict=True))
    whole = not any(floor) and near.proven
    return Solution(columns=columns, cost=cost(program, columns), proven=whole) if satisfied(program, columns) else None


def satisfied(program: Program, columns: Sequence[int]) -> bool:
    """Say whether every row holds, in exact integers."""
    return all(_value(row, columns) >= least for row, least in zip(program.rows, program.least, strict=True))


def cost(program: Program, columns: Sequence[int]) -> int:
    """Return the exact cost of these columns."""
    return sum(price * count for price, count in zip(program.costs, columns, strict=True))


def _value(row: dict[int, int], columns: Sequence[int]) -> int:
    return sum(coefficient * columns[column] for column, coefficient in row.items())


def _run(program: Program, *, integer: bool, node_limit: int = NODE_LIMIT) -> tuple[Any, bool]:
    """Return the solver after its run and whether it calls its answer optimal."""
    import highspy

    solver = _quiet_solver()()
    solver.setOptionValue("output_flag", False)
    options: dict[str, Any] = {
        "threads": 1,
        "parallel": "off",
        "random_seed": 0,
        "presolve": "off",  # these programmes are small, and with large numbers presolve can lead a search astray
        "mip_rel_gap": 0.0,
        "mip_abs_gap": 0.0,
        "mip_max_nodes": node_limit,
        "time_limit": SECONDS_LIMIT,
    }
    for name, value in options.items():
        solver.setOptionValue(name, value)
    solver.passModel(_model(program, integer=integer))
    solver.run()
    return solver, solver.getModelStatus() == highspy.HighsModelStatus.kOptimal


@cache
def _quiet_solver() -> Any:
    """Return the solver's class, without the banner that its constructor writes to stdout once it has callbacks."""
    import highspy

    solver: Any = highspy.Highs

    class Quiet(solver):  # type: ignore[misc]
        def enableCallbacks(self) -> None:  # noqa: N802
            self.setOptionValue("output_flag", False)
            super().enableCallbacks()

    return Quiet


def _model(program: Program, *, integer: bool) -> Any:
    import highspy
    import numpy

    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(program.costs), len(program.rows)
    lp.col_cost_ = numpy.array(program.costs, dtype=float)
    lp.col_lower_ = numpy.zeros(lp.num_col_)
    lp.col_upper_ = numpy.full(lp.num_col_, highspy.kHighsInf)
    lp.row_lower_ = numpy.array(program.least, dtype=float)
    lp.row_upper_ = numpy.full(lp.num_row_, highspy.kHighsInf)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = numpy.cumsum([0, *(len(row) for row in program.rows)])
    lp.a_matrix_.index_ = numpy.array([column for row in program.rows for column in row], dtype=numpy.int32)
    lp.a_matrix_.value_ = numpy.array([value for row in program.rows for value in row.values()], dtype=float)
    if integer:
        lp.integrality_ = [highspy.HighsVarType.kInteger] * lp.num_col_
    return lp
