"""History → need, shared by the rules and the plan: tenures, their judgement, the reserve, and what is stranded."""

from gpuaudit.demand.hours import IDLE_BELOW
from gpuaudit.demand.judgement import (
    UNDERUSED_MEAN,
    UNDERUSED_P95,
    Bucket,
    bucket,
    idle,
    looks_idle,
    looks_underused,
    power_denies,
    underused,
)
from gpuaudit.demand.tenures import DRAM_CEILING, Tenure, tenures

__all__ = [
    "DRAM_CEILING",
    "IDLE_BELOW",
    "UNDERUSED_MEAN",
    "UNDERUSED_P95",
    "Bucket",
    "Tenure",
    "bucket",
    "idle",
    "looks_idle",
    "looks_underused",
    "power_denies",
    "tenures",
    "underused",
]
