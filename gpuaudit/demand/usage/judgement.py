"""Idle, underused, busy or unknown: the yardsticks of a tenure. Never from CPU, network or a missing metric."""

from typing import Literal

from gpuaudit.demand.usage.hours import IDLE_BELOW
from gpuaudit.demand.usage.tenures import Tenure

Sureness = Literal["confirmed", "likely", "investigate"]
Bucket = Literal["idle", "underused", "busy", "unknown"]

UNDERUSED_MEAN = 0.20
UNDERUSED_P95 = 0.50
COVERAGE = 0.90  # of the held hours must be observed
INVESTIGATE_HOURS = 24.0
LIKELY_HOURS = 72.0
CONFIRMED_HOURS = 168.0
# Power draw: an idle GPU stays near its own floor. A model kept in memory holds the clocks up, which costs up to about
# 30 % of the limit; a floor above that is no idle floor. A quarter of the way from there to the limit is work.
FLOOR_CEILING = 0.30
POWER_RISE = 0.25
RISE_WITHOUT_LIMIT = 1.5


def idle(
    tenure: Tenure,
    *,
    below: float = IDLE_BELOW,
    investigate_hours: float = INVESTIGATE_HOURS,
    likely_hours: float = LIKELY_HOURS,
    confirmed_hours: float = CONFIRMED_HOURS,
    coverage: float = COVERAGE,
) -> Sureness | None:
    """Say how sure it is that the owner did nothing with the device; None = it worked, or nobody knows.

    The maximum counts, over held hours that were observed for `coverage` of them; power draw may veto. Of a shared
    device, what each pod did is not known: never confirmed.
    """
    if not looks_idle(tenure, below=below) or tenure.observed_ratio < coverage:
        return None
    if tenure.observed_hours < investigate_hours:
        return None
    if tenure.held_hours < likely_hours:
        return "investigate"
    return "likely" if tenure.shared or tenure.held_hours < confirmed_hours else "confirmed"


def looks_idle(tenure: Tenure, *, below: float = IDLE_BELOW) -> bool:
    """Whether the observed maximum stayed below the threshold and power does not deny it, at any age."""
    return tenure.util_max is not None and tenure.util_max < below and not power_denies(tenure)


def power_denies(tenure: Tenure) -> bool:
    """Whether the device drew more power than an idle one does: then it worked, whatever the metric says.

    A MIG device has no power draw of its own, so its card's says nothing.
    """
    drawn = tenure.power_p95_watts if tenure.power_p95_watts is not None else tenure.power_mean_watts
    if tenure.profile or drawn is None:
        return False
    floor, limit = tenure.power_floor_watts, tenure.power_limit_watts
    if limit is None:
        return floor is not None and drawn > RISE_WITHOUT_LIMIT * floor
    floor = min(drawn if floor is None else floor, FLOOR_CEILING * limit)
    return drawn > floor + POWER_RISE * (limit - floor)


def underused(
    tenure: Tenure,
    *,
    mean_below: float = UNDERUSED_MEAN,
    p95_below: float = UNDERUSED_P95,
    hours: float = CONFIRMED_HOURS,
    coverage: float = COVERAGE,
) -> Sureness | None:
    """Say how sure it is that the device was held, worked, and could do far more; None = no, or nobody knows.

    Judged by the larger of the metric and DRAM activity over 0.8. Serving is bound by its KV cache as well: where that
    is not known, it needs a look. Of a shared device, what each pod did is not known: never confirmed.
    """
    if not looks_underused(tenure, mean_below=mean_below, p95_below=p95_below) or looks_idle(tenure):
        return None
    if tenure.held_hours < hours or tenure.observed_ratio < coverage:
        return None
    if tenure.engine is not None:
        return "investigate"
    return "likely" if tenure.shared else "confirmed"


def looks_underused(tenure: Tenure, *, mean_below: float = UNDERUSED_MEAN, p95_below: float = UNDERUSED_P95) -> bool:
    """Whether mean and 95th percentile stayed below the thresholds, at any age.

    A server whose KV cache was ever fuller than that is bound by its memory.
    """
    mean, p95 = tenure.active_mean, tenure.active_p95
    if tenure.kv_max is not None and tenure.kv_max >= p95_below:
        return False
    return mean is not None and p95 is not None and mean < mean_below and p95 < p95_below


def bucket(
    tenure: Tenure,
    *,
    idle_below: float = IDLE_BELOW,
    underused_mean_below: float = UNDERUSED_MEAN,
    underused_p95_below: float = UNDERUSED_P95,
) -> Bucket:
    """Return the bucket of the tenure's hours: the thresholds at any age; without a utilization sample, unknown."""
    if tenure.util_mean is None:
        return "unknown"
    if looks_idle(tenure, below=idle_below):
        return "idle"
    quiet = looks_underused(tenure, mean_below=underused_mean_below, p95_below=underused_p95_below)
    return "underused" if quiet else "busy"
