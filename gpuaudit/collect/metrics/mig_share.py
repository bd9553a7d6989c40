"""How much of a physical GPU a MIG device is: its compute slices over the model's."""

from functools import cache

from gpuaudit.knowledge import gpus, mig


@cache
def share(model_name: str, profile: str) -> float:
    """Return the share of a card, NaN when neither the model nor all models with that profile tell it."""
    name = mig.canonical(profile) if profile else None
    if name is None:
        return float("nan")
    whole = mig.split_compute(name)[1]
    model = gpus.identify(model_name) if model_name else None
    grid = mig.for_model(model) if model else None
    grids = [grid] if grid and mig.profile(grid, whole) else mig.all_geometries()
    shares = {row.g / one.compute_slices for one in grids if (row := mig.profile(one, whole))}
    return shares.pop() if len(shares) == 1 else float("nan")
