"""The price catalogue as a table and as data."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gpuaudit.errors import UserError
from gpuaudit.knowledge import gpus, prices

HEADS = {
    "gpu_key": "gpu",
    "provider": "provider",
    "instance_type": "instance type",
    "gpu_count": "GPUs",
    "on_demand_usd_hour": "$/h",
    "usd_per_gpu_hour": "$/GPU-h",
    "spot_usd_hour": "spot $/h",
    "region": "region",
    "price_date": "date",
}
RIGHT = {"gpu_count", "on_demand_usd_hour", "usd_per_gpu_hour", "spot_usd_hour"}
DROPPED_FIRST = ("region", "spot_usd_hour", "on_demand_usd_hour", "price_date")


def rows(*, gpu: str | None = None, provider: str | None = None) -> list[dict[str, Any]]:
    """Return the offers of a GPU (a key, or a part of one: H100) and a provider, dearest GPU-hour last.

    UserError for a GPU or provider that the catalogue does not have.
    """
    offers = prices.catalogue()
    providers = sorted({offer.provider for offer in offers})
    if provider is not None and provider.lower() not in providers:
        raise UserError(f"no prices of {provider}", hint=f"the catalogue has: {', '.join(providers)}")
    keys = None if gpu is None else _keys(gpu)
    found = [
        offer
        for offer in offers
        if (keys is None or offer.gpu_key in keys) and provider in (None, offer.provider, offer.provider.upper())
    ]
    if provider is not None:
        found = [offer for offer in found if offer.provider == provider.lower()]
    if not found:
        raise UserError(
            f"no prices of {gpu}" + (f" at {provider}" if provider else ""), hint="gpuaudit prices lists all"
        )
    return [
        _row(offer)
        for offer in sorted(found, key=lambda o: (o.gpu_key, _per_gpu(o) or 1e9, o.provider, o.instance_type))
    ]


def table(offers: list[dict[str, Any]], *, width: int) -> str:
    """Return one line an offer; columns that do not fit go, the least needed first. Unknown is said to be unknown."""
    columns = [[head, *(_cell(offer, name) for offer in offers)] for name, head in HEADS.items()]
    shown = dict(zip(HEADS, columns, strict=True))
    for name in DROPPED_FIRST:
        if sum(max(map(len, column)) + 2 for column in shown.values()) - 2 > width:
            del shown[name]
    lines = zip(*(_aligned(column, right=name in RIGHT) for name, column in shown.items()), strict=True)
    hidden = "" if len(shown) == len(HEADS) else "\nHidden for want of width: " + _named(shown)
    note = "\nList prices, not yours: gpuaudit prices --template writes a file for yours."
    sources = ["", "Sources", *sorted({f"  {offer['provider']}: {offer['price_source']}" for offer in offers})]
    return "\n".join([*("  ".join(line).rstrip() for line in lines), note + hidden, *sources, ""])


def _aligned(column: list[str], *, right: bool) -> list[str]:
    width = max(map(len, column))
    return [cell.rjust(width) if right else cell.ljust(width) for cell in column]


def _named(shown: Mapping[str, object]) -> str:
    return ", ".join(head for name, head in HEADS.items() if name not in shown)


def _keys(text: str) -> set[str]:
    wanted = text.lower().strip()
    exact = gpus.by_key(wanted) or gpus.identify(text)
    if exact is not None:
        return {exact.key}
    found = {model.key for model in gpus.all_models() if wanted in model.key.split("-") or model.key.startswith(wanted)}
    return found or {gpus.resolve(text).key}


def _row(offer: prices.Offer) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(offer)
    for name in ("on_demand_usd_hour", "spot_usd_hour"):
        row[name] = None if row[name] is None else float(row[name])
    return row | {"usd_per_gpu_hour": _per_gpu(offer)}


def _per_gpu(offer: prices.Offer) -> float | None:
    if offer.on_demand_usd_hour is None or not offer.gpu_count:
        return None
    return round(float(offer.on_demand_usd_hour) / offer.gpu_count, 4)


def _cell(offer: dict[str, Any], name: str) -> str:
    value = offer[name]
    if name == "gpu_count":
        return str(value or "<1")
    if name in RIGHT:
        return _money(value)
    return str(value or "unknown")


def _money(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.2f}"
