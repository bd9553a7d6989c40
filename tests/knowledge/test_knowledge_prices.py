"""Prices: every offer is of a known GPU, dated and sourced; unknown is None, never zero."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaudit.knowledge import gpus, kubernetes, prices

OFFERS = prices.catalogue()


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: f"{offer.provider}/{offer.instance_type}")
def test_an_offer_agrees_with_the_other_tables(offer: prices.Offer) -> None:
    model = gpus.by_key(offer.gpu_key)
    assert model is not None
    assert date.fromisoformat(offer.price_date) <= date(2026, 11, 24)
    assert offer.price_source
    assert offer.provider in {row.name for row in kubernetes.providers()}
    for usd in (offer.on_demand_usd_hour, offer.spot_usd_hour):
        assert usd is None or usd > 0
    if None not in (offer.on_demand_usd_hour, offer.spot_usd_hour):
        assert offer.spot_usd_hour < offer.on_demand_usd_hour
    assert (offer.on_demand_usd_hour is None) or offer.confidence
    if offer.gpu_count and offer.gpu_memory_mib_each:
        assert offer.gpu_memory_mib_each == pytest.approx(model.memory_mib, rel=0.07)


def test_instance_types_are_unique() -> None:
    assert len({(offer.provider, offer.instance_type) for offer in OFFERS}) == len(OFFERS)


def test_exact_money() -> None:
    offer = prices.find("aws", "p5.48xlarge")
    assert offer is not None
    assert offer.on_demand_usd_hour == Decimal("55.04")
    assert (offer.gpu_key, offer.gpu_count, offer.region) == ("h100-80gb-sxm", 8, "us-east-1")


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.instance_type)
def test_an_offer_is_found_by_its_names(offer: prices.Offer) -> None:
    name = offer.instance_type
    for spelling in (name, name.lower(), name.upper(), name.replace("_", "-")):
        assert prices.find(offer.provider, spelling) is offer
        assert prices.find(None, spelling) is offer


def test_another_region_gets_the_catalogues_own() -> None:
    assert prices.find("aws", "g5.xlarge", "eu-west-1").region == "us-east-1"


@pytest.mark.parametrize(
    ("provider", "name"),
    [("gcp", "p5.48xlarge"), ("aws", "m6i.4xlarge"), (None, ""), ("coreweave", "gd-8xh100ib-i128")],
)
def test_what_is_not_in_the_catalogue_has_no_price(provider: str | None, name: str) -> None:
    assert prices.find(provider, name) is None


@given(st.text(max_size=50), st.text(max_size=80), st.one_of(st.none(), st.text(max_size=20)))
def test_any_question_is_answered(provider, name, region) -> None:
    assert prices.find(provider, name, region) in (None, *OFFERS)


def test_a_price_that_was_not_read_is_unknown() -> None:
    offer = prices.find("gcp", "g2-standard-4")
    assert offer is not None
    assert offer.on_demand_usd_hour is None
    assert prices.find("aws", "p5e.48xlarge").on_demand_usd_hour is None


def test_fractions_of_a_gpu_count_none() -> None:
    offer = prices.find("aws", "g6f.2xlarge")
    assert (offer.gpu_count, offer.gpu_memory_mib_each) == (0, 5722)
