"""The bill: time-averaged nodes x price, exact cents, overrides, unpriced named."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaudit.cluster.nodes import Cluster, Node, Span
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.errors import UserError
from gpuaudit.plan.bill import bill, split_cents
from gpuaudit.plan.pricebook import InstancePrice, OwnedPrice, PriceBook, PriceFile, load_prices
from tests.build import NOW, WINDOW, node


def snapshot(*nodes: Node) -> Snapshot:
    return Snapshot(taken_at=NOW, window=WINDOW, clusters=(Cluster(name="c"),), nodes=nodes)


def priced(usd: str, **row: object) -> PriceBook:
    price = InstancePrice(instance_type="p5.48xlarge", usd_per_hour=Decimal(usd), date=date(2026, 1, 1), **row)  # type: ignore[arg-type]
    return PriceBook(PriceFile(instance=(price,)))


def test_a_month_is_730_hours_of_the_average_number_of_nodes() -> None:
    half = node("late", created=NOW - timedelta(days=5))
    book = bill(snapshot(node("always"), half), priced("10.01"))
    assert book.cents == 1_096_095  # 1.5 nodes x 10.01 x 730
    assert [(line.nodes, line.gpus) for line in book.lines] == [(1.5, 12.0)]


def test_nodes_that_came_and_went_count_for_the_time_they_were_there() -> None:
    spans = (
        Span(start=WINDOW.start - timedelta(days=3), end=WINDOW.start + timedelta(days=1)),
        Span(start=NOW - timedelta(days=1), end=NOW + timedelta(days=1)),
    )
    book = bill(
        snapshot(node("elastic", present=spans), node("left", gone=WINDOW.start + timedelta(days=1))), priced("1")
    )
    assert book.cents == round(0.3 * 73000)


def test_list_prices_name_their_region_and_date() -> None:
    lines = bill(snapshot(node("here"), node("there", region="eu-west-1")), PriceBook()).lines
    assert [line.source for line in lines] == [
        "on-demand list price of us-east-1",
        "on-demand list price of us-east-1, not eu-west-1",
    ]
    assert all(line.date for line in lines)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"instance_type": None, "provider": None}, "per GPU-hour"),
        ({"instance_type": "p99.huge"}, "not in the price catalogue"),
        ({"purchase": "spot"}, "no spot price"),
    ],
)
def test_what_has_no_price_is_named_and_not_free(facts: dict[str, object], why: str) -> None:
    book = bill(snapshot(node("x", **facts)), PriceBook())
    assert book.cents is None
    assert [why in cost.why_unpriced for cost in book.unpriced] == [True]
    both = bill(snapshot(node("x", **facts), node("known")), PriceBook())
    assert both.cents is not None
    assert len(both.unpriced) == 1


def test_owned_hardware_is_priced_per_gpu_hour() -> None:
    owned = PriceBook(PriceFile(owned=(OwnedPrice(usd_per_gpu_hour=Decimal("0.5"), date=date(2026, 1, 1)),)))
    assert bill(snapshot(node("rack1", provider=None, instance_type=None)), owned).cents == 8 * 730 * 50


def test_without_a_node_list_there_is_no_bill() -> None:
    tenant = Snapshot(taken_at=NOW, window=WINDOW, clusters=(Cluster(name="c", listed=False),), nodes=(node("seen"),))
    assert bill(tenant, PriceBook()).cents is None


def test_a_cluster_without_gpus_costs_nothing_here() -> None:
    assert bill(snapshot(node("cpu", cards=())), PriceBook()).cents == 0


@given(
    st.integers(0, 10**9),
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.floats(0, 1e6), min_size=1, max_size=9),
)
def test_a_split_adds_up_to_the_cent(total: int, weights: dict[str, float]) -> None:
    parts = split_cents(total, weights)
    if sum(weights.values()) > 0:
        assert sum(parts.values()) == total
        assert all(part >= 0 for part in parts.values())
    else:
        assert parts == {}


@pytest.mark.parametrize(
    "text",
    [
        "[[instance]]\ninstance_type='x'\nusd_per_hour=-1\ndate=2026-01-01",
        "[[instance]]\ninstance_type='x'\nusd_per_hour=nan\ndate=2026-01-01",
        "[[instance]]\ninstance='x'",
        "[[discount]]\nratio=31",
        "[[commitment]]\nkind='reserved'\nend=2027-01-01",
        "not toml at all [",
    ],
)
def test_an_impossible_price_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(UserError) as raised:
        load_prices(path)
    assert raised.value.hint
