"""Which nodes the price file's commitments mark for the rules."""

from datetime import date
from decimal import Decimal

import msgspec
import pytest

from gpuaudit.cluster.nodes import Cluster, Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.plan.commitments import with_commitments
from gpuaudit.plan.pricebook import Commitment, PriceBook, PriceFile
from tests.build import NOW, WINDOW, node

END = date(2027, 6, 30)


def marked(*nodes: Node, **row: object) -> dict[str, str | None]:
    snapshot = Snapshot(taken_at=NOW, window=WINDOW, clusters=(Cluster(name="c"),), nodes=nodes)
    told = with_commitments(snapshot, PriceBook(PriceFile(commitment=(Commitment(end=END, **row),))))  # type: ignore[arg-type]
    assert [one.purchase for one in told.nodes] == [one.purchase for one in nodes]
    return {one.name: one.commitment for one in told.nodes}


def test_a_commitment_on_all_nodes_marks_them() -> None:
    assert marked(node("a"), node("b"), kind="reserved", nodes=2) == {"a": "reserved", "b": "reserved"}


def test_more_nodes_than_are_committed_say_of_none_that_it_is_the_one() -> None:
    assert marked(node("a"), node("b"), kind="reserved", nodes=1) == {"a": None, "b": None}


@pytest.mark.parametrize("row", [{"nodes": 2, "instance_type": "p4*"}, {"nodes": 2, "pool": "other"}])
def test_other_nodes_are_not_meant(row: dict[str, object]) -> None:
    assert marked(node("a"), kind="lease", **row) == {"a": None}


def test_a_floating_commitment_is_of_no_node() -> None:
    assert marked(node("a"), kind="savings_plan", usd_per_hour=Decimal(40)) == {"a": None}


def test_spot_is_never_covered_and_nothing_covered_changes_nothing() -> None:
    spot = msgspec.structs.replace(node("a"), purchase="spot")
    assert marked(spot, kind="reserved", nodes=4) == {"a": None}
    snapshot = Snapshot(taken_at=NOW, window=WINDOW, clusters=(Cluster(name="c"),), nodes=(node("a"),))
    assert with_commitments(snapshot, PriceBook()) is snapshot
