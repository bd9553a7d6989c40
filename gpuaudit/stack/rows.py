"""The report's stack: every system of the fixed list, over all clusters, with what rules found laid over it."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from gpuaudit import schema
from gpuaudit.cluster.nodes import Cluster
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.knowledge.stack import finding_rows
from gpuaudit.knowledge.systems import STACK_ROWS, StackRow
from gpuaudit.outcome import Judged
from gpuaudit.stack import compute, network, observability, orchestration, serving
from gpuaudit.stack.installed import installed
from gpuaudit.stack.view import Status, Verdict, View

MOST_EVIDENCE = 6
STRONGEST: tuple[Status, ...] = ("misconfigured", "present", "provider_managed", "unknown", "absent")
JUDGES: Mapping[str, Callable[[View], Verdict]] = {
    "GPU Operator": compute.gpu_operator,
    "MIG": compute.mig,
    "Karpenter": compute.karpenter,
    "Cluster Autoscaler": compute.cluster_autoscaler,
    "Ray Serve": serving.ray_serve,
    "llm-d": serving.llm_d,
    "RoCE": network.roce,
    "PFC": network.pfc,
    "SR-IOV": network.sriov,
    "Network Operator": network.network_operator,
    "GPUDirect RDMA": network.gpudirect,
    "InfiniBand": network.infiniband,
    "EFA": network.efa,
    "Run:ai": orchestration.run_ai,
    "KAI": orchestration.kai,
    "Prometheus": observability.prometheus,
    "Grafana": observability.grafana,
    "DCGM exporter": observability.dcgm_exporter,
    "OpenTelemetry": observability.opentelemetry,
    "cost attribution": observability.cost_attribution,
    "chargeback": observability.chargeback,
}


def stack_part(snapshot: Snapshot, findings: Sequence[Judged]) -> list[schema.StackRow]:
    """Return every row of the list, in its order."""
    clusters = snapshot.clusters or (Cluster(name="unknown", listed=False),)
    views = [View(snapshot, cluster) for cluster in clusters]
    told = _found(findings)
    return [_row(row, views, told.get(row.system, ())) for row in STACK_ROWS]


def verdict(view: View, row: StackRow) -> Verdict:
    """Return what a row says of one cluster, before findings."""
    judge = JUDGES.get(row.system)
    return judge(view) if judge else installed(view, *row.keys)


def _row(row: StackRow, views: Sequence[View], found: Sequence[tuple[bool, str]]) -> schema.StackRow:
    verdicts = [(view.cluster.name, verdict(view, row)) for view in views]
    status = min((one.status for _, one in verdicts), key=STRONGEST.index)
    evidence = _evidence(verdicts)
    versions = sorted({one.version for _, one in verdicts if one.version and one.status in _LIVE})
    if status != "absent":
        status = "misconfigured" if any(counts for counts, _ in found) else status
        evidence = [*(text for counts, text in found if counts), *evidence]
        evidence[3:3] = [text for counts, text in found if not counts]
    return schema.StackRow(
        layer=row.layer,
        system=row.system,
        status=status,
        version=", ".join(versions) or None,
        evidence=list(dict.fromkeys(evidence))[:MOST_EVIDENCE],
    )


_LIVE: tuple[Status, ...] = ("misconfigured", "present", "provider_managed")


def _evidence(verdicts: Sequence[tuple[str, Verdict]]) -> list[str]:
    """Return what the clusters say, each under its name where they are several; the strongest status first."""
    ordered = sorted(verdicts, key=lambda pair: STRONGEST.index(pair[1].status))
    if len(ordered) == 1:
        return list(ordered[0][1].evidence)
    return [f"{name}: {one.status.replace('_', ' ')}, {'; '.join(one.evidence[:2])}" for name, one in ordered]


def _found(findings: Iterable[Judged]) -> Mapping[str, list[tuple[bool, str]]]:
    """Return by row whether a finding makes it misconfigured, and its sentence."""
    found: dict[str, list[tuple[bool, str]]] = {}
    for judged in findings:
        about = finding_rows().get(judged.rule)
        row = about.row_of(judged.finding.subject.kind) if about else None
        if about and row and judged.ignored is None:
            counts = about.status and judged.finding.confidence != "investigate"
            found.setdefault(row, []).append((counts, f"{judged.rule}: {judged.finding.message}"))
    return found
