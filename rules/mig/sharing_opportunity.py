"""Rule sharing-opportunity."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.mig.sharing import named, tenant_of
from gpuaudit.demand.need.compute_need import UPPER_BOUNDS
from gpuaudit.demand.need.small_work import Pool, listed_reasons, pools_of_whole_cards
from gpuaudit.demand.subjects import amount
from gpuaudit.demand.usage.measured import COMPUTE_HEADROOM, MEMORY_MARGIN, Gates, Measured
from gpuaudit.demand.usage.units import devices_of, workload_subject
from gpuaudit.knowledge import gpus
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule


@dataclass(frozen=True)
class Sharers:
    """Work of one owner in a pool that could share cards, the part of a card that each pod needs, and the cards."""

    pool: Pool
    tenant: str
    needs: Sequence[Measured]
    parts: Mapping[str, float]  # of a card, by workload
    cards: int  # that all of it needs

    @property
    def held(self) -> int:
        """Whole GPUs that it holds."""
        return sum(len(need.pods) for need in self.needs)


@rule(Severity.LOW, needs={"nodes", "pods", "utilization", "pod_attribution", "history", "memory_used"})
def sharing_opportunity(
    snapshot: Snapshot,
    *,
    hours: float = 168.0,
    settled_hours: float = 72.0,
    headroom: float = COMPUTE_HEADROOM,
    usable_memory: float = 0.95,
    at_least_gpus: float = 1.0,
) -> Iterator[Finding]:
    """A workload holds whole GPUs that cannot be cut by MIG, and needs a part of each.

    L4, L40S, T4 and A10 have no MIG, but several pods of one owner may share one of them by time-slicing or MPS. What
    each pod needs was measured: memory at its highest with a margin, SMs and bandwidth in the busiest hour; a workload
    with replicas keeps two cards at least. Neither way keeps faults apart, and time-slicing keeps no memory apart
    either: therefore only work of one owner is put together. Latency under sharing is for a trial to tell.

    Let the device plugin offer replicas on a few nodes first (MPS limits the memory of each), and move one workload.
    """
    found: dict[str, Sharers] = {}
    for pool in pools_of_whole_cards(snapshot, Gates(hours=hours, settled_hours=settled_hours)):
        model = gpus.by_key(pool.key[2])
        if model is None or model.mig is not None or model.mig_capable is not False:
            continue
        for sharers in _sharers(snapshot, pool, headroom, usable_memory, model.memory_mib):
            if sharers.held - sharers.cards >= at_least_gpus:
                for need in sharers.needs:
                    found.setdefault(need.owner, sharers)
    for owner, sharers in sorted(found.items()):
        yield _finding(snapshot, next(need for need in sharers.needs if need.owner == owner), sharers)


def _sharers(snapshot: Snapshot, pool: Pool, headroom: float, usable: float, memory_mib: float) -> Iterator[Sharers]:
    """Yield the owners whose pods each need half of a card at most, with the cards that all of them need."""
    told = [card.memory_mib for node in pool.nodes for card in node.cards if card.memory_mib]
    card = usable * min(told, default=memory_mib)
    by_tenant: dict[str, list[Measured]] = defaultdict(list)
    parts = {}
    for need in pool.needs:
        memory = need.mib * (1 + MEMORY_MARGIN) / card
        busy = need.peak if need.serving else need.compute
        part = max(memory, need.compute / headroom, need.bandwidth, busy if busy is not None else 1.0)
        if part <= 0.5:
            parts[need.owner] = part
            by_tenant[tenant_of(snapshot, need.owner)].append(need)
        else:
            pool.left_out[need.owner] = f"a pod needs {part:.0%} of a card"
    for tenant, needs in sorted(by_tenant.items()):
        yield Sharers(pool, tenant, needs, parts, _cards(needs, parts))


def _cards(needs: Sequence[Measured], parts: Mapping[str, float]) -> int:
    """Return how many cards hold all pods, the largest first; two at least where a workload has replicas."""
    room: list[float] = []
    for part in sorted((parts[need.owner] for need in needs for _ in need.pods), reverse=True):
        place = next((i for i, left in enumerate(room) if left >= part - 1e-9), None)
        if place is None:
            room.append(1.0 - part)
        else:
            room[place] -= part
    replicated = any(len(need.pods) > 1 for need in needs)
    return max(len(room), 2 if replicated else 1)


def _finding(snapshot: Snapshot, need: Measured, sharers: Sharers) -> Finding:
    count, part = len(need.pods), sharers.parts[need.owner]
    subject = workload_subject(
        snapshot, need.owner, devices=(d for pod in need.pods for d in devices_of(snapshot, pod)), gpus=float(count)
    )
    each = math.floor(1 / part + 1e-9)
    return Finding(
        subject=subject,
        workload=need.owner,
        message=f"{subject.namespace}/{subject.name} holds {amount(count)} whole and needs {part:.0%} of each: work of "
        f"{sharers.tenant} there would do with {sharers.cards} of {sharers.held} GPUs if it shared them",
        evidence=tuple(_evidence(need, sharers, part)),
        confidence="investigate" if need.serving else "likely",
        act=Act(
            kind="resize",
            target=need.owner,
            from_=f"{count} x {need.pods[0].holdings[0].resource}",
            to=f"{count} replicas of a card that offers {min(each, 16)}",
        ),
        fix=Fix(generate="sharing", note="offer replicas on a few nodes, by MPS where memory must be kept apart"),
        refutation="a latency objective that it meets only alone on the card, or peaks of several pods at one time",
    )


def _evidence(need: Measured, sharers: Sharers, part: float) -> Iterator[Evidence]:
    compute, memory = need.compute_need, need.memory_need
    yield Evidence(name="memory a pod needs", value=round(need.mib), unit="MiB", statistic="max", source=memory.because)
    bound = "upper bound of the SM need" if compute.metric in UPPER_BOUNDS else "SM need"
    yield Evidence(name=bound, value=round(need.compute, 4), unit="ratio", statistic="p95", source=compute.because)
    yield Evidence(
        name="bandwidth need", value=round(need.bandwidth, 4), unit="ratio", statistic="p95", source="metrics"
    )
    if need.peak is not None:
        yield Evidence(
            name="highest sample", value=round(need.peak, 4), unit="ratio", statistic="max", source="metrics"
        )
    yield Evidence(name="part of a card that a pod needs", value=round(part, 4), unit="ratio", source="metrics")
    yield Evidence(name="seen", value=round(compute.hours, 1), unit="hours", source=compute.metric)
    pool = sharers.pool.key[1]
    yield Evidence(
        name=f"whole GPUs held by such work of {sharers.tenant} in {pool}",
        value=sharers.held,
        unit="GPUs",
        source="kubernetes",
    )
    yield Evidence(name="GPUs it would need, shared", value=sharers.cards, unit="GPUs", source="first fit")
    for other in sharers.needs:
        if other.owner != need.owner:
            yield Evidence(name=f"may share with {named(other.owner)}", value=round(sharers.parts[other.owner], 4))
    for owner, reason in listed_reasons(sharers.pool):
        yield Evidence(name=f"left out: {named(owner)}", value=reason)
