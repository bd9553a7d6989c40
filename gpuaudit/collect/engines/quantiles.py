"""Quantiles of histograms, as Prometheus' histogram_quantile tells them."""

from collections.abc import Mapping


def quantile(q: float, buckets: Mapping[float, float]) -> float | None:
    """Return the quantile of counts by upper bound; None without a count or without the bucket of all.

    Values are taken as even within a bucket, the first one beginning at 0. Above the last finite bound it is that
    bound: at least so much.
    """
    bounds = sorted(buckets)
    if len(bounds) < 2 or bounds[-1] != float("inf"):
        return None
    counts = _rising([buckets[bound] for bound in bounds])
    if counts[-1] <= 0:
        return None
    wanted = q * counts[-1]
    place = next(i for i, count in enumerate(counts) if count >= wanted)
    if place == len(bounds) - 1:
        return bounds[-2]
    low, below = (bounds[place - 1], counts[place - 1]) if place else (min(0.0, bounds[0]), 0.0)
    inside = counts[place] - below
    return low + (bounds[place] - low) * ((wanted - below) / inside if inside > 0 else 1.0)


def _rising(counts: list[float]) -> list[float]:
    """Return counts that never fall: scrapes of buckets are not of one moment."""
    highest, found = 0.0, []
    for count in counts:
        highest = max(highest, count)
        found.append(highest)
    return found
