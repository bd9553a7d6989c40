"""History → need, shared by the rules and the plan: tenures, their judgement, the reserve, and what is stranded."""

from gpuaudit.demand.capacity.free import (
    EmptyNode,
    HeldByHour,
    empty_nodes,
    free_gpus,
    held_by_hour,
    lost_gpus,
    whole_cards,
)
from gpuaudit.demand.capacity.reserve import Reserve, pool_zone, reserve, usable
from gpuaudit.demand.capacity.stranding import Stranding, planned_maintenance, stranding, strandings
from gpuaudit.demand.need.compute_need import ComputeNeed, compute_needs
from gpuaudit.demand.need.memory_need import MemoryNeed, NeedKind, memory_needs
from gpuaudit.demand.usage.hours import IDLE_BELOW
from gpuaudit.demand.usage.judgement import (
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
from gpuaudit.demand.usage.tenures import DRAM_CEILING, Tenure, tenures

__all__ = [
    "DRAM_CEILING",
    "IDLE_BELOW",
    "UNDERUSED_MEAN",
    "UNDERUSED_P95",
    "Bucket",
    "ComputeNeed",
    "EmptyNode",
    "HeldByHour",
    "MemoryNeed",
    "NeedKind",
    "Reserve",
    "Stranding",
    "Tenure",
    "bucket",
    "compute_needs",
    "empty_nodes",
    "free_gpus",
    "held_by_hour",
    "idle",
    "looks_idle",
    "looks_underused",
    "lost_gpus",
    "memory_needs",
    "planned_maintenance",
    "pool_zone",
    "power_denies",
    "reserve",
    "stranding",
    "strandings",
    "tenures",
    "underused",
    "usable",
    "whole_cards",
]
