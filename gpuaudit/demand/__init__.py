"""History → need, shared by the rules and the plan: tenures, their judgement, the reserve, and what is stranded."""

from gpuaudit.demand.compute_need import ComputeNeed, compute_needs
from gpuaudit.demand.free import EmptyNode, HeldByHour, empty_nodes, free_gpus, held_by_hour, lost_gpus, whole_cards
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
from gpuaudit.demand.memory_need import MemoryNeed, NeedKind, memory_needs
from gpuaudit.demand.reserve import Reserve, pool_zone, reserve, usable
from gpuaudit.demand.stranding import Stranding, planned_maintenance, stranding, strandings
from gpuaudit.demand.tenures import DRAM_CEILING, Tenure, tenures

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
