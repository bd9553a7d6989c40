"""The report as a whole: conservation, buckets, the books agree with one another."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit import schema
from gpuaudit.audit import audit
from gpuaudit.cluster.nodes import Cluster, Node
from gpuaudit.cluster.platform import Namespace, Source
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.usage import NOBODY, UNKNOWN_OWNER
from gpuaudit.cluster.workloads import Waiting, Workload
from gpuaudit.config import Config, Exempt, Ignore, Ownership
from gpuaudit.plan.pricebook import InstancePrice, OwnedPrice, PriceBook, PriceFile
from gpuaudit.rule import Act, Finding, Severity, Subject, rule
from tests.build import DAYS, NOW, WINDOW, UsageTable, node, pod, usage

TOTAL = DAYS * 24 * 8  # GPU-hours of one node
BOOK = PriceBook(
    PriceFile(
        instance=(InstancePrice(instance_type="p5.48xlarge", usd_per_hour=Decimal("10.01"), date=date(2026, 1, 1)),),
        owned=(OwnedPrice(usd_per_gpu_hour=Decimal("0.77"), node="rack*", date=date(2026, 1, 1)),),
    )
)


def snapshot(*nodes: Node, **facts: object) -> Snapshot:
    known: dict[str, object] = {
        "taken_at": NOW,
        "window": WINDOW,
        "clusters": (Cluster(name="c"),),
        "nodes": nodes,
        "sources": (Source(name="s", status="ok", provides=("nodes", "pods", "utilization")),),
    }
    return Snapshot(**(known | facts))  # type: ignore[arg-type]


@rule(Severity.MEDIUM, needs={"nodes"})
def let_go(snapshot: Snapshot, *, names: str = "e") -> object:
    """Every node named so.

    For the test.

    Let it go.
    """
    for found in snapshot.nodes:
        if found.name.startswith(names):
            yield Finding(
                subject=Subject(cluster=found.cluster, kind="Node", name=found.name, gpus=float(found.gpus)),
                message=f"{found.name} is empty",
                confidence="confirmed",
                act=Act(kind="release_node", target=found.pool or ""),
                releases=(found.name,),
            )


@rule(Severity.HIGH, needs={"arrivals"})
def blind(snapshot: Snapshot) -> object:
    """Needs what nobody gave.

    For the test.

    Give it.
    """
    yield from ()


RULES = {"let-go": replace(let_go, area="utilization"), "blind": replace(blind, area="serving")}


def report(shot: Snapshot, config: Config | None = None, book: PriceBook = BOOK) -> schema.Report:
    return audit(shot, RULES, config or Config(), book)


def test_the_buckets_are_disjoint_and_sum_to_the_window() -> None:
    table = UsageTable()
    table.add("n1", "c/Deployment/n/busy", util=0.8)
    table.add("n2", "c/Deployment/n/idle", util=0.0, hours=120)
    table.add("n2", NOBODY, util=0.0, start=120, hours=60)
    table.add("n3", "c/Deployment/n/slow", util=0.1)
    parts = report(snapshot(node("n1"), node("n2"), node("n3"), usage=table.usage())).utilization
    assert parts.buckets == schema.Buckets(
        busy=TOTAL, idle=120 * 8.0, underused=TOTAL, unallocated=60 * 8.0, unknown=60 * 8.0
    )
    assert parts.metric == "sm_active"
    assert parts.mean == pytest.approx((0.8 * 240 + 0.1 * 240) / 600, abs=1e-4)


def test_held_and_unobserved_is_unknown_and_nothing_else_is_known() -> None:
    shot = snapshot(node("n1"), pods=(pod("held", "n1", 3),))
    result = report(shot)
    assert result.utilization.buckets == schema.Buckets(
        unallocated=None, idle=None, underused=None, busy=None, unknown=TOTAL
    )
    assert result.utilization.mean is None
    assert result.coverage.observed_gpu_hours_ratio == 0
    held = {row.name: row.gpu_hours for row in result.utilization.by_namespace}
    assert held == {"n": 3 * DAYS * 24.0, "(unobserved)": 5 * DAYS * 24.0}


def test_an_idle_device_of_unknown_owner_may_be_free_so_it_is_unknown() -> None:
    buckets = report(snapshot(node("n1"), usage=usage(("n1", UNKNOWN_OWNER, 0.0)))).utilization.buckets
    assert (buckets.unknown, buckets.idle, buckets.unallocated) == (TOTAL, 0, None)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.floats(0, 1), st.integers(1, 60), st.integers(0, 60), st.integers(1, 8)),
        max_size=6,
    ),
    st.integers(0, 300),
)
def test_every_cent_and_every_gpu_hour_belongs_to_somebody(
    spells: list[tuple[str, float, int, int, int]], age_hours: int
) -> None:
    table = UsageTable()
    for number, (owner, util, hours, start, cards) in enumerate(spells):
        table.add(f"n{number}", f"c/Deployment/{owner}/x", util=util, start=start, hours=hours, cards=cards)
        table.add(f"n{number}", NOBODY, util=0.0, start=start + hours, hours=30, cards=cards)
    nodes = [node(f"n{i}", role="spare" if i == 1 else None) for i in range(len(spells))]
    nodes += [node("rack1", provider=None, instance_type=None), node("young", created=NOW - timedelta(hours=age_hours))]
    result = report(snapshot(*nodes, usage=table.usage(), pods=(pod("p", "young", 2),)))
    for rows in (result.utilization.by_pool, result.utilization.by_namespace, result.utilization.by_owner):
        assert sum(round((row.usd_monthly or 0) * 100) for row in rows) == round((result.bill.monthly or 0) * 100)
        total = sum(row.gpu_hours or 0 for row in rows)
        assert total == pytest.approx(sum(filter(None, vars_of(result.utilization.buckets))), abs=0.01)


def vars_of(buckets: schema.Buckets) -> list[float | None]:
    return [buckets.unallocated, buckets.idle, buckets.underused, buckets.busy, buckets.unknown]


def test_headline_plan_findings_and_actions_are_one_number() -> None:
    shot = snapshot(
        node("e1"), node("e2"), node("e3"), node("full"), usage=usage(*((f"e{i}", NOBODY, 0.0) for i in (1, 2, 3))),
        pods=(pod("w", "full"),),
    )  # fmt: skip
    result = report(shot)
    booked = result.plan.savings_monthly.booked
    assert booked == 2 * 7307.3
    assert booked == round((result.plan.before.monthly or 0) - (result.plan.after.monthly or 0), 2)
    assert booked == round(sum(finding.savings.monthly.attributed for finding in result.findings), 2)
    assert booked == round(sum(action.booked_monthly for action in result.actions), 2)
    assert [finding.severity for finding in result.findings] == ["high", "high", "medium"]
    assert result.plan.status == "bounded"
    assert (result.plan.savings_monthly.p50, result.plan.savings_monthly.p95, result.plan.backtest) == (None,) * 3
    assert {action.shelf for action in result.actions} == {"this_week", "plan"}


@pytest.mark.parametrize(
    ("config", "facts", "by"),
    [
        (Config(ignore=(Ignore(name="e1", reason="r", expires=date(2027, 1, 1)),)), {}, "config [[ignore]]"),
        (
            Config(exempt=(Exempt(pool="a", reason="r", owner="o", expires=date(2027, 1, 1)),)),
            {},
            "config [[exempt]], o",
        ),
        (Config(), {"role": "dr"}, "role dr"),
        (Config(ignore=(Ignore(name="e1", reason="r", expires=date(2026, 1, 1)),)), {}, None),
    ],
    ids=["ignored", "exempt", "role", "expired"],
)
def test_who_opted_out_is_not_accused_but_stays_in_the_bill(
    config: Config, facts: dict[str, object], by: str | None
) -> None:
    result = report(snapshot(node("e1", **facts), usage=usage(("e1", NOBODY, 0.0))), config)
    (finding,) = result.findings
    assert (finding.ignored.by if finding.ignored else None) == by
    assert result.bill.monthly == 7307.3
    if by:
        assert result.plan.savings_monthly.booked == 0
        assert result.actions == []


def test_a_rule_that_lacks_facts_is_not_evaluated_and_says_how() -> None:
    (missing,) = report(snapshot(node("n1"))).coverage.not_evaluated
    assert (missing.rule, missing.missing) == ("blind", ["arrivals"])
    assert missing.how


def test_owners_come_from_labels_then_namespaces() -> None:
    shot = snapshot(
        node("n1"),
        node("n2"),
        usage=usage(("n1", "c/Deployment/n/a", 0.5), ("n2", "c/Deployment/m/b", 0.5)),
        workloads=(Workload(id="c/Deployment/n/a", cluster="c", kind="Deployment", namespace="n", name="a"),),
        namespaces=(Namespace(cluster="c", name="n", labels={"team": "search"}),),
    )
    rows = report(shot).utilization.by_owner
    assert {row.name for row in rows} == {"search", "m"}
    mapped = report(shot, Config(ownership=Ownership(map={"sea*": "Search GmbH"}))).utilization.by_owner
    assert "Search GmbH" in {row.name for row in mapped}


def test_waiting_work_is_counted_with_its_hours() -> None:
    waiting = tuple(
        Waiting(cluster="c", namespace="n", workload=f"w{gpus}", resource="nvidia.com/gpu", count=gpus, gpus=gpus,
                since=NOW - timedelta(hours=hours))
        for gpus, hours in ((8.0, 2), (2.0, 10))
    )  # fmt: skip
    demand = report(snapshot(node("n1"), waiting=waiting)).utilization.demand
    assert demand == schema.Demand(pending_gpus=10, gpu_hours_waited=36, p95_wait_seconds=36000, pending_unsized_pods=0)


def test_waiting_work_of_unknown_size_is_not_no_work() -> None:
    work = Waiting(cluster="c", namespace="n", workload="w", resource="gpu-class", count=1, gpus=None)
    demand = report(snapshot(node("n1"), waiting=(work,))).utilization.demand
    assert demand == schema.Demand(
        pending_gpus=None, gpu_hours_waited=None, p95_wait_seconds=None, pending_unsized_pods=1
    )
    unknown_since = Waiting(cluster="c", namespace="n", workload="v", resource="nvidia.com/gpu", count=4, gpus=4.0)
    demand = report(snapshot(node("n1"), waiting=(work, unknown_since))).utilization.demand
    assert demand == schema.Demand(pending_gpus=4, gpu_hours_waited=None, p95_wait_seconds=None, pending_unsized_pods=1)


def test_no_pods_read_means_unknown_demand() -> None:
    shot = snapshot(node("n1"), sources=(Source(name="s", status="ok", provides=("nodes",)),))
    assert report(shot).utilization.demand.pending_gpus is None


def test_an_empty_snapshot_has_a_report() -> None:
    result = report(Snapshot(taken_at=NOW, window=WINDOW))
    assert result.cluster.gpus is None
    assert result.bill.monthly is None
    assert result.utilization.buckets.unknown is None


def test_the_same_snapshot_gives_the_same_report() -> None:
    shot = snapshot(node("e1"), node("n1"), usage=usage(("e1", NOBODY, 0.0), ("n1", "c/Deployment/n/a", 0.5)))
    assert report(shot) == report(shot)
