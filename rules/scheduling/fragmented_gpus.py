"""Rule fragmented-gpus."""

from collections.abc import Iterator

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.scheduling.fragments import Fragments, fragments
from gpuaudit.demand.scheduling.scheduler import packs, profile
from gpuaudit.demand.subjects import amount, count, duration, free_devices, listed, node_subject, place
from gpuaudit.knowledge.scheduling import scheduling
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule

MOST_NODES = 50  # named in the evidence


@rule(Severity.MEDIUM, needs={"nodes", "pods"})
def fragmented_gpus(snapshot: Snapshot, *, minutes: float = 15.0) -> Iterator[Finding]:
    """Enough GPUs are free in sum, but in pieces too small for the pods that are asked for.

    A pod takes its GPUs from one node. Small pods that were spread over many nodes leave a few free GPUs on each, which
    add up on paper and take no large pod. kube-scheduler spreads unless it is told otherwise: its default scoring,
    LeastAllocated, prefers the emptiest node.

    Move small pods together, one roll-out at a time, and let the scheduler fill nodes up: scoring MostAllocated for
    nvidia.com/gpu, or the bin packing of Volcano or KAI. Give small pods MIG devices or smaller nodes.
    """
    for one in fragments(snapshot):
        waits = [ask for ask in one.waiting if ask.hours is not None and ask.hours * 60 >= minutes]
        if waits or not one.waiting:
            yield _finding(snapshot, one)


def _finding(snapshot: Snapshot, one: Fragments) -> Finding:
    nodes = one.nodes
    own = sum(one.pieces[node.key] for node in nodes)
    scope = f" and {count(len(one.others), 'node')} of other pools" if one.others else ""
    return Finding(
        subject=node_subject(nodes, devices=(d for n in nodes for d in free_devices(snapshot, n)), gpus=own),
        message=f"{amount(one.free)} free in {place(nodes)}{scope}, in pieces of at most "
        f"{max(one.pieces.values()):g}: none takes a pod of {one.asked:g}, {_who(one)}",
        evidence=tuple(_evidence(snapshot, one)),
        confidence="likely" if one.waiting else "investigate",
        severity=None if one.waiting else Severity.LOW,
        act=Act(kind="move", target=nodes[0].pool or nodes[0].name, unblocks=_unblocks(one)),
        fix=Fix(generate="scheduling", note="move small pods together; let the scheduler fill nodes up"),
        refutation="large pods that are not wanted here, or small ones that will leave soon by themselves",
    )


def _who(one: Fragments) -> str:
    names = sorted({ask.waiting.workload.rpartition("/")[2] for ask in one.waiting})
    if not names:
        return "the usual size here"
    longest = max((ask.hours or 0.0 for ask in one.waiting), default=0.0)
    return f"which {listed(names)} {'waits' if len(names) == 1 else 'wait'} for up to {duration(longest)}"


def _unblocks(one: Fragments) -> str | None:
    asked = [ask.waiting.gpus for ask in one.waiting]
    return f"{amount(sum(gpus or 0.0 for gpus in asked))} that are waited for" if asked else None


def _evidence(snapshot: Snapshot, one: Fragments) -> Iterator[Evidence]:
    pieces = (*one.nodes, *one.others)
    for node in pieces[:MOST_NODES]:
        name = f"free on {node.name}" + (f" (pool {node.pool})" if node in one.others else "")
        yield Evidence(
            name=name, value=round(one.pieces[node.key], 3), unit="GPUs", statistic="now", source="kubernetes"
        )
    if len(pieces) > MOST_NODES:
        yield Evidence(name="more such nodes", value=len(pieces) - MOST_NODES, unit="nodes", source="kubernetes")
    yield Evidence(name="asked by one pod", value=one.asked, unit="GPUs", source="kubernetes")
    found = profile(snapshot, one.nodes[0].cluster)
    spreads = packs(found)
    if spreads is None:
        value = f"not visible; the default {scheduling().scoring.default} spreads pods"
        yield Evidence(name="kube-scheduler's scoring", value=value, observed=False)
    else:
        value = f"{found.scoring}, which {'fills nodes up' if spreads else 'spreads pods: the likely cause'}"
        yield Evidence(name="kube-scheduler's scoring", value=value, source=found.source)
