"""The whole report."""

from datetime import datetime
from typing import Any

from gpuaudit.schema.closing import Answer, Decision, MondayStep, StackRow
from gpuaudit.schema.coverage import ClusterPart, Coverage, UtilizationPart, WindowPart
from gpuaudit.schema.findings import ActionPart, FindingPart
from gpuaudit.schema.money import Bill, PlanPart, Serving, Tier
from gpuaudit.schema.part import Part


class Report(Part, frozen=True, kw_only=True):
    """The whole report."""

    schema: str
    tool_version: str
    taken_at: datetime
    window: WindowPart
    cluster: ClusterPart
    clusters: list[ClusterPart]
    coverage: Coverage
    utilization: UtilizationPart
    bill: Bill
    serving: list[Serving]
    answers: list[Answer]
    actions: list[ActionPart]
    findings: list[FindingPart]
    plan: PlanPart
    tiers: list[Tier]
    decisions: list[Decision]
    stack: list[StackRow]
    monday: list[MondayStep]
    objects: list[dict[str, Any]]
