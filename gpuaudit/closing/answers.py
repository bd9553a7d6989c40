"""Questions that a team should be able to answer, with this cluster's values; without one, why there is none."""

from collections.abc import Callable, Sequence

from gpuaudit import schema
from gpuaudit.closing.words import METRICS, counted, joined, percent, row
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.knowledge import facts

MOST_OF_IT = 0.80
SHOWN = 5

Told = tuple[str | None, str]  # answer, because


def answers(snapshot: Snapshot, report: schema.Report) -> list[schema.Answer]:
    """Return the section."""
    asked: Sequence[tuple[str, Callable[[Snapshot, schema.Report], Told]]] = (
        ("What is the p95 time to the first token?", _first_token),
        ("How many requests are queued?", _queued),
        ("Who uses 80 % of the GPU time?", _users),
        ("Is a model degrading on some kinds of input?", _degrading),
        ("How busy are the GPUs that are held?", _busy),
        ("How much GPU work waits, and for how long?", _waiting),
        ("What does a million tokens cost?", _tokens),
    )
    told = [(question, answer(snapshot, report)) for question, answer in asked]
    return [schema.Answer(question=question, answer=text, because=why) for question, (text, why) in told]


def _first_token(snapshot: Snapshot, report: schema.Report) -> Told:
    known = [(one.ttft_p95_seconds, _name(one)) for one in report.serving if one.ttft_p95_seconds is not None]
    if not known:
        return _no_engine(snapshot, "a histogram of the time to the first token")
    slowest = sorted(known, key=lambda pair: (-pair[0], pair[1]))
    return joined([f"{model} {value:.3g} s" for value, model in slowest], SHOWN), _engines(len(known))


def _queued(snapshot: Snapshot, report: schema.Report) -> Told:
    known = [(one.queue_p95, _name(one)) for one in report.serving if one.queue_p95 is not None]
    if not known:
        return _no_engine(snapshot, "the length of the queue")
    longest = sorted(known, key=lambda pair: (-pair[0], pair[1]))
    text = joined([f"{model} {value:,.3g}" for value, model in longest], SHOWN)
    return f"p95 over the window: {text}", _engines(len(known))


def _tokens(snapshot: Snapshot, report: schema.Report) -> Told:
    known = [
        (one.usd_per_million_tokens, _name(one)) for one in report.serving if one.usd_per_million_tokens is not None
    ]
    if known:
        dearest = sorted(known, key=lambda pair: (-pair[0], pair[1]))
        because = "cost of the GPU-hours over the tokens that the engines counted"
        return joined([f"{model} ${value:,.2f}" for value, model in dearest], SHOWN), because
    if any(one.tokens is not None for one in report.serving):
        return None, f"tokens are counted, but the nodes have no price: {facts.fact('prices').how}"
    return _no_engine(snapshot, "a count of tokens")


def _users(_snapshot: Snapshot, report: schema.Report) -> Told:
    known = [one for one in report.utilization.by_owner if one.gpu_hours and not one.name.startswith("(")]
    if not known:
        return None, f"no GPU-hours with a known owner: {facts.fact('pod_attribution').how}"
    total = sum(one.gpu_hours or 0.0 for one in known)
    most, names = 0.0, []
    for one in sorted(known, key=lambda one: (-(one.gpu_hours or 0.0), one.name)):
        names.append(f"{one.name} {percent((one.gpu_hours or 0.0) / total)}")
        most += one.gpu_hours or 0.0
        if most >= MOST_OF_IT * total:
            break
    because = f"{len(names)} of {counted(len(known), 'owner')} hold {percent(most / total)} of the GPU-hours held"
    unowned = sum(one.gpu_hours or 0.0 for one in report.utilization.by_owner if one.name == "(no owner)")
    return joined(names, SHOWN), because + (f"; {unowned:,.0f} GPU-hours have no owner" if unowned else "")


def _degrading(_snapshot: Snapshot, report: schema.Report) -> Told:
    traces = row(report, "OpenTelemetry").status
    known = {"present": "OpenTelemetry runs here, but traces are not read", "absent": "no OpenTelemetry here"}
    needs = "it takes latency by length of input, errors by route, or traces, and none of them was read"
    return None, f"{needs}; {known.get(traces, 'whether traces are kept elsewhere is not known')}"


def _busy(_snapshot: Snapshot, report: schema.Report) -> Told:
    part = report.utilization
    if part.mean is None:
        return None, f"it was not measured: {facts.fact('utilization').how}"
    seen = report.coverage.observed_gpu_hours_ratio
    share = f"{percent(seen)} of the GPU-hours were seen" if seen is not None else "how much was seen is not known"
    if not seen:
        return f"{percent(part.mean)} at the moment of reading", f"by {METRICS[part.metric or 'mixed']}; no history"
    p95 = f", p95 of hours {percent(part.p95)}" if part.p95 is not None else ""
    return f"{percent(part.mean)} on average{p95}", f"by {METRICS[part.metric or 'mixed']}; {share}"


def _waiting(_snapshot: Snapshot, report: schema.Report) -> Told:
    demand = report.utilization.demand
    unsized = f"{counted(demand.pending_unsized_pods or 0, 'pod')} of unknown size"
    how = "pending pods and work that queues hold back, now"
    if demand.pending_gpus is None and demand.pending_unsized_pods:
        return unsized, how
    if demand.pending_gpus is None:
        return None, f"the pods were not read: {facts.fact('pods').how}"
    if demand.pending_gpus == 0:
        return "nothing waits", how
    hours = f", {demand.gpu_hours_waited:,.0f} GPU-hours so far" if demand.gpu_hours_waited is not None else ""
    beside = f", and {unsized}" if demand.pending_unsized_pods else ""
    return f"{counted(demand.pending_gpus, 'GPU')}{hours}{beside}", how


def _no_engine(snapshot: Snapshot, what: str) -> Told:
    """Return why engines tell nothing: their metrics are not there, or hold no such thing."""
    if "engine_metrics" not in snapshot.facts:
        return None, f"no engine's metrics were read: {facts.fact('engine_metrics').how}"
    return None, f"what the engines export does not hold {what}, or not of the models that were seen"


def _name(served: schema.Serving) -> str:
    """Return the model, else the workload that serves it."""
    return served.model or "/".join((served.workload or "a model not named").rsplit("/", 2)[-2:])


def _engines(number: int) -> str:
    return f"metrics of the engines, {counted(number, 'model')}, over the window"
