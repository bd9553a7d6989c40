"""The whole report."""

from datetime import datetime
from typing import Any

from gpuaudit.schema.closing import Answer, Decision, MondayStep, StackRow
from gpuaudit.schema.coverage import ClusterPart, Coverage, SourcePart, UtilizationPart, WindowPart
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
        unread = any("pods" in row.missing for row in self.coverage.not_evaluated)
        return unread and bool(self.partly_read) and not any(cluster.read_namespaces for cluster in self.clusters)

    @property
    def partly_read(self) -> list[SourcePart]:
        """The clusters that were read in part by accident: a tenant's view is one by its nature."""
        tenants = {cluster.name for cluster in self.clusters if cluster.read_namespaces}
        return [
            source
            for source in self.coverage.sources
            if source.status == "partial"
            if (source.name == "kubernetes" and not tenants) or source.name.startswith("kubernetes of ")
            if source.name.removeprefix("kubernetes of ") not in tenants
        ]
