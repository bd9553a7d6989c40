"""List prices of cloud GPU instances, each with its region, day, source and how sure it is."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Literal

from gpuaudit.knowledge.reading import Entry, read_csv

_LOOSE = re.compile(r"[^a-z0-9]+")


class Offer(Entry, frozen=True, kw_only=True):
    """One instance type in one region. Dollars an hour; None = unknown, never free."""

    provider: str
    instance_type: str
    gpu_key: str  # key of gpus.toml
    gpu_count: int  # 0 = a fraction of one GPU
    gpu_memory_mib_each: float | None = None
    vcpu: int | None = None
    ram_gib: float | None = None
    network_gbps: float | None = None
    rdma: str | None = None  # kind as the provider calls it; "none" = it has none; None = unknown
    rdma_devices: int | None = None  # RDMA devices that the instance has, where the source counts them
    on_demand_usd_hour: Decimal | None = None
    spot_usd_hour: Decimal | None = None
    region: str | None = None  # "all" = the same list price everywhere
    price_date: str  # ISO
    price_date_means: Literal["generated", "fetched"]  # the source computed it then / an undated source was read then
    price_source: str
    confidence: str | None = None
    notes: str = ""


@cache
def catalogue() -> tuple[Offer, ...]:
    """Return every offer, one row per instance type."""
    return tuple(read_csv("instances", Offer))


def find(provider: str | None, instance_type: str, region: str | None = None) -> Offer | None:
    """Return the offer of an instance type; of several, that of `region` first. It may be of another region.

    Names are compared exactly, then without case and punctuation. Without a provider the name must be one provider's
    only.
    """
    rows = _exact().get(instance_type) or _loose().get(_bare(instance_type), ())
    rows = tuple(row for row in rows if provider in (None, row.provider))
    if len({row.provider for row in rows}) != 1:
        return None
    return min(rows, key=lambda row: row.region not in (region, "all"))


@cache
def _exact() -> Mapping[str, tuple[Offer, ...]]:
    return _by(lambda offer: offer.instance_type)


@cache
def _loose() -> Mapping[str, tuple[Offer, ...]]:
    return _by(lambda offer: _bare(offer.instance_type))


def _by(name: Callable[[Offer], str]) -> Mapping[str, tuple[Offer, ...]]:
    groups: dict[str, list[Offer]] = {}
    for offer in catalogue():
        groups.setdefault(name(offer), []).append(offer)
    return {key: tuple(rows) for key, rows in groups.items()}


def _bare(name: str) -> str:
    return _LOOSE.sub("", name.casefold())
