"""Rule queued-while-idle."""

from collections.abc import Iterator

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.scheduling.blames import Blame, blames, free_now
from gpuaudit.demand.subjects import amount, duration, listed
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.rule import Act, ActKind, Confidence, Evidence, Finding, Fix, Severity, rule

WAYS_OUT = {
    "quota": "raise the quota, let it borrow, or give the work to a queue that has room",
    "not offered": "ask for a profile that is offered, or make the profile on one node",
    "fragmentation": "move small pods together, and let the scheduler fill nodes up (MostAllocated, bin packing)",
    "gang": "free whole nodes for it: move small pods together, or start it with fewer ranks",
    "zone": "let its volume and its zone follow the free GPUs",
    "affinity": "loosen its topology spread or pod affinity",
    "selector": "loosen its node selector or affinity",
    "taint": "add the toleration, or let ExtendedResourceToleration add it",
    "cpu": "move CPU-only work off these nodes, or ask for less CPU beside each GPU",
    "memory": "move CPU-only work off these nodes, or ask for less memory beside each GPU",
    "pods": "raise the node's limit of pods",
    "idle-held": "free the GPUs that nobody uses",
    "scheduler": "start the scheduler that its pods name, or name another one",
    "unknown": "ask the scheduler why: kubectl describe pod",
}
ACTS: dict[str, ActKind] = {"fragmentation": "move", "cpu": "move", "memory": "move", "idle-held": "release_gpus"}
MOST_NODES = 20  # named in the evidence
UNSURE = ("unknown", "scheduler", "selector", "affinity", "not offered")


@rule(Severity.MEDIUM, needs={"nodes", "pods"})
def queued_while_idle(snapshot: Snapshot, *, minutes: float = 15.0, high_hours: float = 24.0) -> Iterator[Finding]:
    """GPU work waits while GPUs that it could use stand free or are held idle.

    Both are paid for: the GPUs, and the people who wait. Compared is what one pod asks for (node selector, affinity,
    tolerations, resource, count on one node) with what the nodes have left. GPUs that are kept for a node's failure,
    for a roll-out, for a declared purpose or by another tenant's quota do not count, nor does other hardware.

    The reason says what to change: quota, selector, taint, zone, too small pieces, gang, CPU beside the GPU, a profile
    that nobody offers, or work that holds GPUs and does not use them.
    """
    for blame in blames(snapshot):
        if blame.ask.hours is not None and blame.ask.hours * 60 >= minutes:
            yield _finding(snapshot, blame, blame.ask.hours, high_hours)


def _finding(snapshot: Snapshot, blame: Blame, hours: float, high_hours: float) -> Finding:
    waiting = blame.ask.waiting
    subject = workload_subject(snapshot, waiting.workload, gpus=waiting.gpus)
    sure: Confidence = "investigate" if blame.why in UNSURE or waiting.gpus is None else "likely"
    asked = amount(waiting.gpus) if waiting.gpus is not None else f"{waiting.count:g} {waiting.resource}"
    return Finding(
        subject=subject,
        workload=waiting.workload,
        message=f"{subject.namespace}/{subject.name} waits for {asked} for {duration(hours)} while "
        f"{_idle(blame)}: {_because(blame)}",
        evidence=tuple(_evidence(snapshot, blame, hours)),
        confidence=sure,
        severity=Severity.HIGH if hours >= high_hours and sure == "likely" else None,
        act=Act(
            kind=ACTS.get(blame.why, "configure"),
            target=blame.holders[0] if blame.holders else waiting.queue or waiting.workload,
            unblocks=f"{asked} that {waiting.workload} waits for",
        ),
        fix=Fix(generate="scheduling", note=WAYS_OUT[blame.why]),
        refutation="a reserve, a promise or a pause of this work that the cluster does not show",
    )


def _idle(blame: Blame) -> str:
    if blame.why == "idle-held":
        return f"{amount(blame.idle_held)} that it could use {'is' if blame.idle_held <= 1 else 'are'} held idle"
    return f"{amount(blame.free)} {'stands' if blame.free <= 1 else 'stand'} free"


def _because(blame: Blame) -> str:
    if blame.why == "idle-held":
        return f"{listed([name.rpartition('/')[2] for name in blame.holders])} hold them and do nothing"
    return f"{blame.why}: {blame.detail}" if blame.why not in ("not offered", "unknown", "scheduler") else blame.detail


def _evidence(snapshot: Snapshot, blame: Blame, hours: float) -> Iterator[Evidence]:
    waiting = blame.ask.waiting
    owner = waiting.queue or waiting.namespace
    yield Evidence(name="reason", value=blame.why, source="kubernetes")
    yield Evidence(name=f"asked by each of {waiting.pods} pods", value=blame.ask.each, unit=waiting.resource)
    yield Evidence(name="waited", value=round(hours, 1), unit="hours", statistic="now", source="kubernetes")
    if waiting.gpus is not None:
        waited = round(waiting.gpus * hours, 1)
        yield Evidence(name=f"waited for by {owner}", value=waited, unit="GPU-hours", source="kubernetes")
    if blame.lost_gpu_hours is not None:
        name = f"of them, hours in which GPUs stood free, lost to {owner}"
        yield Evidence(name=name, value=blame.lost_gpu_hours, unit="GPU-hours", source="metrics")
    yield Evidence(name="free beyond the reserve", value=round(blame.beyond, 3), unit="GPUs", statistic="now")
    shown = sorted(blame.nodes, key=lambda node: (-free_now(snapshot, node), node.name))[:MOST_NODES]
    for node in shown:
        yield Evidence(name=f"free on {node.name}", value=round(free_now(snapshot, node), 3), unit="GPUs")
    if len(blame.nodes) > len(shown):
        yield Evidence(name="more such nodes", value=len(blame.nodes) - len(shown), unit="nodes", source="kubernetes")
    for holder in blame.holders:
        yield Evidence(name="holds GPUs and does not use them", value=holder, source="metrics")
    if waiting.message:
        yield Evidence(name="message", value=waiting.message, source="kubernetes")
