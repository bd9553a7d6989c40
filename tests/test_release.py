"""The plain node release: what may go, what must stay, and which ledger the money belongs to."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from gpuaudit.cluster.nodes import Cluster, Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.usage import NOBODY, Usage
from gpuaudit.cluster.workloads import Waiting
from gpuaudit.plan.bill import bill
from gpuaudit.plan.pricebook import Commitment, InstancePrice, PriceBook, PriceFile
from gpuaudit.plan.release import Release, plan_release
from tests.build import DAYS, NOW, WINDOW, UsageTable, node, pod, usage

PRICE = InstancePrice(instance_type="p5.48xlarge", usd_per_hour=Decimal(10), date=date(2026, 1, 1))
MONTH = 730_000  # cents of one node


def free(**share: float) -> Usage:
    """Nodes seen held by nobody for a share of the window; w holds `full`."""
    table = UsageTable()
    for name, part in share.items():
        table.add(name, NOBODY, util=0.0, hours=part * DAYS * 24)
    table.add("full", "c/Deployment/n/w", util=0.9)
    return table.usage()


def release(
    *nodes: Node, propose: str = "e1 e2", file: PriceFile | None = None, scarce: tuple[str, ...] = (), **facts: object
) -> Release:
    known: dict[str, object] = {
        "usage": free(e1=1.0, e2=1.0),
        "pods": (pod("w", "full"),),
    }
    snapshot = Snapshot(
        taken_at=NOW,
        window=WINDOW,
        clusters=(Cluster(name="c"),),
        nodes=nodes or (node("e1"), node("e2"), node("full")),
        **(known | facts),  # type: ignore[arg-type]
    )
    book = PriceBook(file or PriceFile(instance=(PRICE,)))
    named = [snapshot.node_by_key["c", name] for name in propose.split()]
    return plan_release(snapshot, bill(snapshot, book), book, proposed={"f": named}, scarce=scarce)


def test_one_of_two_empty_nodes_stays_as_the_room_for_a_failure() -> None:
    plan = release()
    assert [cost.node.name for cost in plan.cash] == ["e1"]
    assert plan.booked == MONTH
    assert plan.attributed == {"f": MONTH}
    assert "would not fit" in plan.refused["c", "e2"]


def test_a_node_counts_once_even_when_two_findings_propose_it() -> None:
    snapshot = Snapshot(
        taken_at=NOW, window=WINDOW, clusters=(Cluster(name="c"),), nodes=(node("e1"),), usage=free(e1=1.0)
    )
    book = PriceBook(PriceFile(instance=(PRICE,)))
    proposed = {"first": list(snapshot.nodes), "second": list(snapshot.nodes)}
    plan = plan_release(snapshot, bill(snapshot, book), book, proposed=proposed)
    assert plan.attributed == {"first": MONTH}
    assert plan.booked == MONTH


def waits(resource: str, count: float, gpus: float | None) -> Waiting:
    return Waiting(cluster="c", namespace="n", workload="w", resource=resource, count=count, gpus=gpus)


@pytest.mark.parametrize(
    ("facts", "snapshot_facts"),
    [
        ({"role": "dr"}, {}),
        ({"created": NOW - timedelta(days=3)}, {}),
        ({}, {"pods": (pod("w", "e1", 1),)}),
        ({}, {"usage": free(e1=0.5)}),
        ({}, {"usage": usage(("e2", NOBODY, 0.0), ("e1", "?", 0.0))}),
        ({}, {"usage": Usage()}),
        ({}, {"waiting": (waits("nvidia.com/gpu", 1, 1.0),)}),
        ({}, {"waiting": (waits("nvidia.com/gpu", 1, None),)}),
        ({}, {"waiting": (waits("gpu-fraction", 1, 0.5),)}),
        ({}, {"waiting": (waits("gpu.nvidia.com", 0, None),)}),
    ],
    ids=[
        "role",
        "young",
        "held",
        "half seen",
        "owner unknown",
        "no metrics",
        "queue",
        "size unknown",
        "fraction",
        "class",
    ],
)
def test_what_must_stay_stays(facts: dict[str, object], snapshot_facts: dict[str, object]) -> None:
    plan = release(node("e1", **facts), node("e2"), propose="e1", **({"pods": ()} | snapshot_facts))
    assert plan.nodes == ()
    assert plan.booked == 0


@pytest.mark.parametrize(
    ("facts", "scarce", "ledger"),
    [
        ({"purchase": "unknown"}, (), "capacity"),
        ({"purchase": "spot"}, (), "capacity"),
        ({"purchase": "reserved"}, (), "at_renewal"),
        ({"purchase": "owned"}, (), "capacity"),
        ({}, ("p5.48xlarge",), "capacity"),
    ],
)
def test_only_on_demand_money_is_cash(facts: dict[str, object], scarce: tuple[str, ...], ledger: str) -> None:
    plan = release(node("e1", **facts), propose="e1", scarce=scarce, pods=())
    assert plan.booked == 0
    assert plan.attributed == {}
    assert plan.entries["f"].ledger == ledger


def test_nodes_under_a_commitment_go_at_its_end_and_those_beyond_it_are_cash() -> None:
    row = Commitment(kind="reserved", end=date(2027, 3, 31), instance_type="p5.48xlarge", nodes=2)
    plan = release(file=PriceFile(instance=(PRICE,), commitment=(row,)), pods=())
    assert [cost.node.name for cost in plan.cash] == ["e1"]
    assert [day for _, day in plan.at_renewal] == [date(2027, 3, 31)]


def test_a_floating_commitment_goes_on_costing() -> None:
    row = Commitment(kind="savings_plan", end=date(2027, 3, 31), usd_per_hour=Decimal(25))
    plan = release(file=PriceFile(instance=(PRICE,), commitment=(row,)), propose="e1")
    assert plan.booked == 500 * 730  # 30 $/h used, 20 $/h after, 25 $/h paid anyway
