"""Monday morning: five steps, each done, not done, or not known, with the next thing to do."""

from collections.abc import Callable, Collection, Sequence

from gpuaudit import schema
from gpuaudit.closing.words import LINK_FACTS, counted, joined, open_findings, percent, row, tallied
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network.fabric import fabric_of
from gpuaudit.demand.serving.gateways import direct_calls, gateways, language_servers
from gpuaudit.knowledge import facts

SEEN_ENOUGH = 0.80  # of the window's GPU-hours, as --min-coverage has it
NETWORK = 3  # its place among the steps
NO_SERVER = "no model server was seen: nothing to do, or let gpuaudit read all namespaces"

Step = tuple[bool | None, str]  # done, next


def monday(snapshot: Snapshot, report: schema.Report, judged: Collection[str]) -> list[schema.MondayStep]:
    """Return the five steps."""
    steps: Sequence[tuple[str, Callable[[Snapshot, schema.Report], Step]]] = (
        ("Measure how busy the GPUs are", _measure),
        ("Instrument the inference pipeline", _instrument),
        ("Put the models' weights on tiers", _tier),
        ("Evaluate the network", _network),
        ("Put an interface between applications and models", _interface),
    )
    told = [(step, judge(snapshot, report)) for step, judge in steps]
    if told[NETWORK][1][0] and "network" not in judged:
        told[NETWORK] = (
            told[NETWORK][0],
            (None, "what links the nodes is known, but no rule of the network was judged"),
        )
    return [schema.MondayStep(step=step, done=done, next=text) for step, (done, text) in told]


def _measure(_snapshot: Snapshot, report: schema.Report) -> Step:
    if report.cluster.gpus is None:
        return None, facts.fact("nodes").how
    if not report.cluster.gpus:
        return None, "no GPUs were found"
    seen = report.coverage.observed_gpu_hours_ratio
    if report.utilization.metric is None or not seen:
        return False, facts.fact("utilization").how
    if seen < SEEN_ENOUGH:
        return False, f"only {percent(seen)} of the GPU-hours were seen: gpuaudit doctor names the blind nodes"
    if report.utilization.metric == "gpu_util":
        return False, f"GPU utilization says only that some kernel ran: {facts.fact('sm_active').how}"
    return True, f"{percent(seen)} of the GPU-hours are seen: keep it so"


def _instrument(snapshot: Snapshot, report: schema.Report) -> Step:
    if not language_servers(snapshot):
        return None, NO_SERVER
    if "engine_metrics" not in snapshot.facts:
        stored = bool(snapshot.metrics)
        return (False if stored else None), facts.fact("engine_metrics").how
    traces = row(report, "OpenTelemetry").status
    if traces == "absent":
        return False, "engines are measured; trace requests through the pipeline with OpenTelemetry"
    if traces == "unknown":
        return None, "engines are measured; whether requests are traced is not known"
    return True, "engines are measured and OpenTelemetry runs: look at the questions that have no answer"


def _tier(snapshot: Snapshot, report: schema.Report) -> Step:
    if not language_servers(snapshot):
        return None, NO_SERVER
    slow = open_findings(report, "cold_start")
    if slow:
        return False, f"mend {tallied(slow)}"
    moved = [one for one in report.tiers if one.today != one.proposed]
    if moved:
        return False, joined(f"{one.model}: from {one.today} to {one.proposed}" for one in moved)
    if report.tiers:
        return True, "every model waits where its requests want it"
    return None, f"what tier fits each model is not known: {facts.fact('arrivals').how}"


def _network(snapshot: Snapshot, report: schema.Report) -> Step:
    pools = fabric_of(snapshot)
    if not pools:
        return None, "no GPU nodes were read"
    wrong = open_findings(report, "network")
    if wrong:
        return False, f"mend {tallied(wrong)}"
    unknown = [pool.pool or "nodes without a pool" for pool in pools if pool.kind in ("unknown", "mixed", "rdma")]
    if unknown:
        return None, f"what links {joined(unknown)} is not known: {facts.fact('node_network').how}"
    if not snapshot.facts & LINK_FACTS:
        return None, f"links and their errors were not read: {facts.fact('node_network').how}"
    return True, f"what links {counted(len(pools), 'pool')} is known, and nothing was found to be wrong with it"


def _interface(snapshot: Snapshot, _report: schema.Report) -> Step:
    servers = language_servers(snapshot)
    running = [one for one in gateways(snapshot) if one.ready]
    past = sorted(f"{one.client.namespace}/{one.client.name}" for one in direct_calls(snapshot))
    if running and past:
        return False, f"{running[0].name} runs; move {joined(past)} to it"
    if running:
        return True, f"{running[0].name} runs: keep new applications behind it"
    if past:
        return False, f"{joined(past)} call models directly: put a gateway (LiteLLM, an inference gateway) between"
    if not servers:
        return None, NO_SERVER
    if not snapshot.facts >= {"systems", "workloads", "services"}:
        return None, f"whether a gateway runs is not known: {facts.fact('services').how}"
    installed = [one.evidence for one in gateways(snapshot)]
    traces = f" ({installed[0]}, not running)" if installed else ""
    models = counted(len(servers), "model server")
    return False, f"no gateway in front of {models}{traces}: put LiteLLM or an inference gateway between"
