"""The closing table: five decisions, what is done today, what would be right, and what it is worth.

The worth is attributed, so that the rows add up to the booked plan x 12; a decision that saves no booked cash says in
words what it enables.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal

from gpuaudit import schema
from gpuaudit.closing.words import LINK_FACTS, METRICS, counted, joined, open_findings, percent, row, tallied
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network.fabric import PoolFabric, fabric_of
from gpuaudit.demand.serving.gateways import language_servers
from gpuaudit.knowledge import facts

Name = Literal["gpu_sizing", "model_loading", "networking", "observability", "scheduling"]

DECISION_OF: Mapping[str, Name] = {  # area of a finding → the decision that it belongs to; others are sizing
    "cold_start": "model_loading",
    "network": "networking",
    "observability": "observability",
    "scheduling": "scheduling",
}
MONTHS = 12
NOT_JUDGED = "not judged: no rule of this area was run, or none had its facts"
QUEUES = ("Kueue", "Volcano", "KAI", "Run:ai")
FABRICS = {
    "infiniband": "InfiniBand",
    "roce": "RoCE",
    "efa": "EFA",
    "tcpx": "GPUDirect-TCPX",
    "omnipath": "Omni-Path",
    "rdma": "RDMA",
    "ethernet": "plain Ethernet",
    "mixed": "several networks",
}


def decisions(snapshot: Snapshot, report: schema.Report, judged: Collection[str]) -> list[schema.Decision]:
    """Return the five rows."""
    worth = annual_cents(report)
    told: Mapping[Name, tuple[str, str, str]] = {
        "gpu_sizing": _sizing(snapshot, report),
        "model_loading": _loading(snapshot, report),
        "networking": _networking(snapshot, report, judged),
        "observability": _observability(snapshot, report),
        "scheduling": _scheduling(snapshot, report, judged),
    }
    return [
        schema.Decision(
            decision=name,
            today=today,
            right=right,
            annual_delta_usd=None if (cents := worth[name]) is None else cents / 100,
            enables=enables,
        )
        for name, (today, right, enables) in told.items()
    ]


def annual_cents(report: schema.Report) -> Mapping[Name, int | None]:
    """Return what each decision saves a year in cents; None = nothing booked. They add up to the booked plan x 12."""
    booked = report.plan.savings_monthly.booked
    found: dict[Name, int | None] = dict.fromkeys(("gpu_sizing", *DECISION_OF.values()))
    if booked is None:
        return found
    found["gpu_sizing"] = round(booked * 100) * MONTHS
    for finding in report.findings:
        name = DECISION_OF.get(finding.area)
        cents = round(finding.savings.monthly.attributed * 100) * MONTHS
        if name is not None and cents and finding.ignored is None:
            found[name] = (found[name] or 0) + cents
            found["gpu_sizing"] = (found["gpu_sizing"] or 0) - cents
    return found


def _unread(what: str, fact: str) -> tuple[str, str, str]:
    """Return the row of a decision of which nothing can be said: what was not read is not none."""
    return f"{what} were not read", f"not known: {facts.fact(fact).how}", "not known"


def _sizing(snapshot: Snapshot, report: schema.Report) -> tuple[str, str, str]:
    gpus, nodes = report.cluster.gpus, report.cluster.gpu_nodes
    if gpus is None or nodes is None or (not gpus and "nodes" not in snapshot.facts):
        return _unread("the GPU nodes", "nodes")
    used, plan = report.utilization, report.plan
    when = "while held" if report.coverage.observed_gpu_hours_ratio else "at the moment of reading"
    known = f"{percent(used.mean)} busy {when}" if used.mean is not None else "how busy they are was not measured"
    today = f"{counted(gpus, 'GPU')} on {counted(nodes, 'node')}, {known}"
    hours = [used.buckets.idle, used.buckets.unallocated]
    every = [*hours, used.buckets.underused, used.buckets.busy, used.buckets.unknown]
    total = sum(value or 0.0 for value in every)
    if total and None not in hours:
        today += f"; {percent(sum(value or 0.0 for value in hours) / total)} of GPU-hours idle or free"
    right = _spare(plan)
    sized = open_findings(report, "mig", "utilization", "autoscaling")
    right += f"; {tallied(sized)}" if sized else ""
    later = sum(part.usd_monthly for part in plan.at_renewal)
    enables = [f"{counted(plan.capacity_gpus, 'GPU')} regained"] if plan.capacity_gpus else []
    enables += [f"${later:,.0f} a month at renewal"] if later else []
    return today, right, joined(enables) or "room for what waits"


def _spare(plan: schema.PlanPart) -> str:
    """Return how many nodes are to spare; without all nodes and pods none was judged, which is not none."""
    if plan.before.nodes is None or plan.after.nodes is None or plan.capacity_gpus is None:
        return "how many nodes are to spare is not known: not all nodes and pods were read"
    fewer = round(plan.before.nodes - plan.after.nodes, 4)
    return f"{counted(fewer, 'node')} fewer" if fewer else "no node that is sure to be spare"


def _loading(snapshot: Snapshot, report: schema.Report) -> tuple[str, str, str]:
    servers = language_servers(snapshot)
    if not servers and "workloads" not in snapshot.facts:
        return _unread("the workloads", "workloads")
    if not servers:
        return "no model server was seen", "nothing to decide", "nothing here"
    kept = [one for one in servers if any(pod.claims for pod in snapshot.pods_by_workload.get(one.id, ()))]
    rest = len(servers) - len(kept)
    today = f"{counted(len(servers), 'model server')}: {len(kept)} with a volume claim"
    today += f", {rest} of which it is not seen where their weights wait" if rest else ""
    slow = open_findings(report, "cold_start")
    if report.tiers:
        right = joined(f"{one.model}: {one.proposed} ({one.mechanism})" for one in report.tiers)
    else:
        right = f"mend {tallied(slow)}" if slow else "a tier for each model by its requests, once arrivals are known"
    return today, right, "models that answer within seconds after a scale-up, without keeping all of them loaded"


def _networking(snapshot: Snapshot, report: schema.Report, judged: Collection[str]) -> tuple[str, str, str]:
    pools = sorted(fabric_of(snapshot), key=lambda pool: (-pool.nodes, pool.cluster, pool.pool))
    if not pools and "nodes" not in snapshot.facts:
        return _unread("the GPU nodes", "nodes")
    if not pools:
        return "no GPU nodes", "nothing to decide", "nothing here"
    wrong = open_findings(report, "network")
    unknown = [pool for pool in pools if pool.kind == "unknown"]
    if wrong:
        right = f"mend {tallied(wrong)}"
    elif "network" not in judged:
        right = NOT_JUDGED
    elif unknown:
        right = f"find out about {joined(pool.pool or 'nodes without a pool' for pool in unknown)}: gpuaudit node tells"
    elif not snapshot.facts & LINK_FACTS:
        right = "nothing found from outside; links and their errors were not read"
    else:
        right = "nothing that was found to be wrong"
    enables = "models and jobs that need more than one node, and loads that do not wait for the link"
    return joined((_linked(pool) for pool in pools), 4), right, enables


def _linked(pool: PoolFabric) -> str:
    name = pool.pool or "nodes without a pool"
    speed = f" {pool.gbps_per_node:,.4g} Gbit/s" if pool.gbps_per_node else ""
    return f"{name}: {FABRICS.get(pool.kind, 'not known')}{speed}"


def _observability(snapshot: Snapshot, report: schema.Report) -> tuple[str, str, str]:
    known = [one for one in report.answers if one.answer is not None]
    open_ones = [one.question for one in report.answers if one.answer is None]
    metric = report.utilization.metric
    parts = [f"GPUs by {METRICS[metric]}" if metric else "GPUs not measured"]
    parts.append("engines measured" if "engine_metrics" in snapshot.facts else "engines not measured")
    absent = [name for name in ("Grafana", "OpenTelemetry", "cost attribution") if row(report, name).status == "absent"]
    parts += [f"no {name}" for name in absent]
    today = f"{len(known)} of {len(report.answers)} questions can be answered: {joined(parts)}"
    missing = open_findings(report, "observability")
    right = f"mend {tallied(missing)}" if missing else "collect what the open questions need; answers say what each is"
    return today, right, joined(open_ones, 7) or "every question is answered"


def _scheduling(snapshot: Snapshot, report: schema.Report, judged: Collection[str]) -> tuple[str, str, str]:
    held = [pod for pod in snapshot.pods if pod.holdings and not pod.ended]
    by = Counter(pod.scheduler or "a scheduler not named" for pod in held)
    none = "no GPU pods" if "pods" in snapshot.facts else "the pods were not read"
    who = joined(f"{counted(count, 'GPU pod')} by {name}" for name, count in sorted(by.items(), key=_most))
    queues = [name for name in QUEUES if row(report, name).status == "present"]
    demand = report.utilization.demand
    known = "what waits is not known" if demand.pending_gpus is None else f"{demand.pending_gpus:,.4g} GPUs waited for"
    unsized = f"{counted(demand.pending_unsized_pods or 0, 'pod')} of unknown size waits"
    waits = unsized if demand.pending_gpus is None and demand.pending_unsized_pods else known
    today = joined([who or none, *(f"{name} runs" for name in queues), waits], 8)
    wrong = open_findings(report, "scheduling")
    sound = "nothing that was found to be wrong" if "scheduling" in judged else NOT_JUDGED
    right = f"mend {tallied(wrong)}" if wrong else sound
    hours = demand.gpu_hours_waited
    return today, right, f"{hours:,.0f} GPU-hours waited so far" if hours else "work that starts when a GPU is free"


def _most(pair: tuple[str, int]) -> tuple[int, str]:
    return (-pair[1], pair[0])
