"""The report, `gpuaudit.report/v1` (design 6): every key always present, lists never null, None = unknown.

Money is USD with two decimals outside (`monthly`, `usd_*`); times RFC 3339 UTC; ratios 0-1. Records of sections that a
later audit fills are empty lists or None until then.
"""

from gpuaudit.schema.closing import (
    Answer,
    Decision,
    MondayStep,
    StackRow,
)
from gpuaudit.schema.coverage import (
    Buckets,
    ClusterPart,
    Coverage,
    Demand,
    NotEvaluated,
    SourcePart,
    UsageRow,
    Utilization,
    UtilizationPart,
    WindowPart,
)
from gpuaudit.schema.findings import (
    ActionPart,
    ActPart,
    Amounts,
    Effort,
    EvidencePart,
    FindingPart,
    FixPart,
    Ignored,
    LedgerName,
    Savings,
    Shelf,
    SubjectPart,
)
from gpuaudit.schema.money import (
    AtRenewal,
    Backtest,
    Bill,
    NodeBill,
    PlanPart,
    PoolBill,
    SavingsRange,
    Serving,
    Tier,
    UnpricedNode,
)
from gpuaudit.schema.report import Report

SCHEMA = "gpuaudit.report/v1"

__all__ = [
    "SCHEMA",
    "ActPart",
    "ActionPart",
    "Amounts",
    "Answer",
    "AtRenewal",
    "Backtest",
    "Bill",
    "Buckets",
    "ClusterPart",
    "Coverage",
    "Decision",
    "Demand",
    "Effort",
    "EvidencePart",
    "FindingPart",
    "FixPart",
    "Ignored",
    "LedgerName",
    "MondayStep",
    "NodeBill",
    "NotEvaluated",
    "PlanPart",
    "PoolBill",
    "Report",
    "Savings",
    "SavingsRange",
    "Serving",
    "Shelf",
    "SourcePart",
    "StackRow",
    "SubjectPart",
    "Tier",
    "UnpricedNode",
    "UsageRow",
    "Utilization",
    "UtilizationPart",
    "WindowPart",
]
