"""MIG answers as plain data for JSON, each checked by code that did not make it before it is returned."""

from typing import Any

from gpuaudit.knowledge.mig import MigGpu, resource
from gpuaudit.plan import layout_check, layouts
from gpuaudit.plan.pack_cases import Case
from gpuaudit.plan.packing import Pile


def profiles_data(key: str, gpu: MigGpu) -> dict[str, Any]:
    """Return what `mig profiles` prints: the profiles of a GPU, its stock layouts and how many layouts there are."""
    plain = layouts.plain_profiles(gpu)
    return {
        "gpu": key,
        "memory_slots": gpu.memory_slots,
        "compute_slices": gpu.compute_slices,
        "profiles": [
            {
                "profile": row.name,
                "resource": resource(row),
                "gi_profile_id": row.gi_profile_id,
                "compute_slices": row.g,
                "memory_mib": row.memory_mib,
                "sm": row.sm,
                "max_instances": row.max_instances,
                "starts": list(row.starts),
                "size": row.size,
                "inferred": list(row.inferred),
            }
            for row in gpu.profiles
        ],
        "layouts": {
            "without_variants": layouts.census(gpu, plain)._asdict(),
            "all_profiles": layouts.census(gpu)._asdict(),
        },
        "stock_layouts": {
            name: {row.name: count for row, count in zip(gpu.profiles, counts, strict=True) if count}
            for counts, name in sorted(layouts.stock_names(gpu.key).items(), key=lambda item: item[1])
        },
    }


def packing_data(case: Case) -> dict[str, Any]:
    """Return what `mig pack GPU` prints. AssertionError when the independent check finds fault with it."""
    (offer,) = case.offers
    packing = case.packing
    data: dict[str, Any] = {
        "gpu": offer.name,
        "gpus": sum(pile.count for pile in packing.piles),
        "lower_bound": int(packing.lower_bound),
        "status": packing.status,
        "certificate": {row.name: float(packing.weights.get(row.name, 0)) for row in offer.gpu.profiles},
        "layouts": [_pile_data(pile) for pile in packing.piles],
    }
    claim = layout_check.Claim(
        gpus=data["gpus"],
        lower_bound=data["lower_bound"],
        status=data["status"],
        weights=data["certificate"],
        layouts=[_placed(layout) for layout in data["layouts"]],
    )
    _refuse(layout_check.packing_problems(offer.gpu, case.demand, claim))
    return data


def mix_data(case: Case) -> dict[str, Any]:
    """Return what `mig pack --gpu GPU=USD` prints. AssertionError when the independent check finds fault with it."""
    packing = case.packing
    count = {offer.name: sum(pile.count for pile in packing.piles if pile.offer == offer.name) for offer in case.offers}
    data: dict[str, Any] = {
        "gpus": sum(count.values()),
        "usd_per_hour": float(packing.cost),
        "lower_bound_usd_per_hour": float(packing.lower_bound),
        "status": packing.status,
        "certificate": {name: float(packing.weights.get(name, 0)) for name in case.demand},
        "models": [
            {"gpu": offer.name, "usd_per_gpu_hour": float(offer.price), "gpus": count[offer.name]}
            for offer in case.offers
        ],
        "layouts": [{"gpu": pile.offer, **_pile_data(pile)} for pile in packing.piles],
        "shares": [
            {"request": s.request, "gpu": case.offers[s.offer].name, "profile": s.profile, "count": s.count}
            for s in packing.shares
        ],
    }
    claim = layout_check.MixClaim(
        prices={model["gpu"]: model["usd_per_gpu_hour"] for model in data["models"]},
        cost=data["usd_per_hour"],
        lower_bound=data["lower_bound_usd_per_hour"],
        weights=data["certificate"],
        layouts={
            offer.name: [_placed(one) for one in data["layouts"] if one["gpu"] == offer.name] for offer in case.offers
        },
        shares=[(one["request"], one["gpu"], one["profile"], one["count"]) for one in data["shares"]],
    )
    _refuse(layout_check.mix_problems({offer.name: offer.gpu for offer in case.offers}, case.demand, claim))
    return data


def _pile_data(pile: Pile) -> dict[str, Any]:
    return {"count": pile.count, "instances": [{"profile": one.profile, "start": one.start} for one in pile.layout]}


def _placed(layout: dict[str, Any]) -> tuple[int, list[tuple[str, int]]]:
    return layout["count"], [(one["profile"], one["start"]) for one in layout["instances"]]


def _refuse(problems: list[str]) -> None:
    if problems:
        raise AssertionError(f"a packing that fails its check is never printed: {'; '.join(problems[:5])}")
