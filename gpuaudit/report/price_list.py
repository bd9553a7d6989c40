"""The price catalogue as a table and as data."""

from typing import Any

import msgspec

from gpuaudit.errors import UserError
from gpuaudit.knowledge import gpus, prices


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


def table(offers: list[dict[str, Any]]) -> str:
    """Return one line an offer; unknown prices are said to be unknown."""
    heads = ("gpu", "provider", "instance type", "GPUs", "$/h", "$/GPU-h", "spot $/h", "region", "date")
    lines = [heads, *(_cells(offer) for offer in offers)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    right = {3, 4, 5, 6}
    text = [
        "  ".join(
            cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(line)
        ).rstrip()
        for line in lines
    ]
    note = "List prices, not yours: gpuaudit prices --template writes a file for yours. Sources: -o json"
    return "\n".join([*text, "", note, ""])


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


def _cells(offer: dict[str, Any]) -> tuple[str, ...]:
    return (
        offer["gpu_key"],
        offer["provider"],
        offer["instance_type"],
        str(offer["gpu_count"] or "<1"),
        _money(offer["on_demand_usd_hour"]),
        _money(offer["usd_per_gpu_hour"]),
        _money(offer["spot_usd_hour"]),
        offer["region"] or "unknown",
        offer["price_date"],
    )


def _money(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.2f}"
