"""Single scrapes that name no pod → the one workload that serves the model they name."""

from collections.abc import Iterable

import msgspec

from gpuaudit.cluster.serving import Served
from gpuaudit.cluster.workloads import Workload
from gpuaudit.knowledge import engines, models


def by_model(rows: Iterable[Served], workloads: Iterable[Workload]) -> tuple[Served, ...]:
    """Return the rows; those of a single moment without a workload get the only one of that engine and model.

    A page that was fetched from a server by hand has no labels but the model's. What two workloads serve stays
    nobody's.
    """
    rows, known = tuple(rows), tuple(workloads)
    taken = {row.key for row in rows}
    return tuple(_joined(row, known, taken) for row in rows)


def _joined(row: Served, known: tuple[Workload, ...], taken: set[tuple[str, str, str, str]]) -> Served:
    engine = engines.engines().get(row.engine)
    if row.workload or row.days is not None or not row.model or engine is None:
        return row
    wanted = models.bare_name(row.model)
    found = [
        one.id
        for one in known
        if one.cluster == row.cluster
        and one.engine in (engine.system, None)
        and one.model
        and models.bare_name(one.model) == wanted
    ]
    if len(found) != 1 or (row.cluster, found[0], row.engine, row.model) in taken:
        return row
    return msgspec.structs.replace(row, workload=found[0])
