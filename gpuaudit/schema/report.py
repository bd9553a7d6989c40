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

    @property
    def pods_missing(self) -> bool:
        """Whether some pods of a cluster were not read, by accident: no rule that needs them was judged."""
        part = any(one.status == "partial" and one.name.split(" ")[0] == "kubernetes" for one in self.coverage.sources)
        unread = any("pods" in row.missing for row in self.coverage.not_evaluated)
        return part and unread and not any(cluster.read_namespaces for cluster in self.clusters)
