"""Work with an end on machines bought on demand: how long its runs take, and whether it could bear interruption."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.memory import once
from gpuaudit.demand.need.told import flag_values, serving_containers
from gpuaudit.demand.usage.tenures import Tenure, tenures
from gpuaudit.demand.usage.traces import trace
from gpuaudit.demand.usage.units import periodic, workload_subject, works_alone
from gpuaudit.knowledge import pods as facts
from gpuaudit.knowledge import prices

LEAST_LIFETIMES = 3  # spot nodes that went, for their lifetime to mean anything


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Work of one owner on on-demand nodes within the window. `runs` are hours on end, the last may go on."""

    owner: str
    tenures: tuple[Tenure, ...]
    gpu_hours: float  # on on-demand nodes
    runs: tuple[float, ...]
    gpus_at_once: float
    nodes_at_once: int
    together: bool  # its pods may be ranks of one job, that stop together
    instance_types: tuple[str, ...]
    checkpoints: tuple[str, ...]  # what shows that it writes them: flags, volumes
    retries: int | None
    spot_priced: bool | None  # whether the catalogue knows a spot price of its machines
    spot_lifetime_hours: float | None  # median of the spot nodes that went, of the same GPU model where there are some
    lifetimes: int  # how many that is of

    @property
    def run_p95_hours(self) -> float:
        """95th percentile of its runs; of few runs the longest."""
        ordered = sorted(self.runs)
        return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))] if ordered else 0.0


@once
def batches(snapshot: Snapshot) -> tuple[Batch, ...]:
    """Return the work with an end that held GPUs of on-demand nodes, and that nothing forbids to interrupt."""
    by_owner: dict[str, list[Tenure]] = defaultdict(list)
    for tenure in tenures(snapshot):
        if tenure.held and workload_subject(snapshot, tenure.owner).kind in facts.pods().batch:
            by_owner[tenure.owner].append(tenure)
    found = (_batch(snapshot, owner, held) for owner, held in sorted(by_owner.items()))
    return tuple(one for one in found if one is not None)


def _batch(snapshot: Snapshot, owner: str, held: Sequence[Tenure]) -> Batch | None:
    on_demand = [(tenure, node) for tenure in held if (node := _on_demand(snapshot, tenure)) is not None]
    over = not any(tenure.current for tenure in held) and not periodic(snapshot, owner)
    if not on_demand or over or _kept(snapshot, owner):
        return None
    by_hour = _by_hour(snapshot, [tenure for tenure, _ in on_demand])
    nodes = [node for _, node in on_demand]
    workload = snapshot.workload_by_id.get(owner)
    lifetimes = _lifetimes(snapshot, {card.model for node in nodes for card in node.cards})
    return Batch(
        owner=owner,
        tenures=tuple(tenure for tenure, _ in on_demand),
        gpu_hours=sum(tenure.gpu_hours for tenure, _ in on_demand),
        runs=tuple(_runs(sorted(_by_hour(snapshot, held)))),
        gpus_at_once=max((gpus for gpus, _ in by_hour.values()), default=0.0),
        nodes_at_once=max((len(names) for _, names in by_hour.values()), default=0),
        together=not works_alone(snapshot, owner),
        instance_types=tuple(sorted({node.instance_type for node in nodes if node.instance_type})),
        checkpoints=tuple(_checkpoints(snapshot, owner)),
        retries=workload.retries if workload else None,
        spot_priced=_spot_priced(nodes),
        spot_lifetime_hours=median(lifetimes) if len(lifetimes) >= LEAST_LIFETIMES else None,
        lifetimes=len(lifetimes),
    )


def _on_demand(snapshot: Snapshot, tenure: Tenure) -> Node | None:
    node = snapshot.node_by_key.get((tenure.cluster, tenure.node))
    return node if node is not None and node.purchase == "on_demand" and node.commitment is None else None


def _kept(snapshot: Snapshot, owner: str) -> bool:
    """Whether its pods, or the workload, say that their node must not be taken away."""
    marks = facts.pods().keep_annotations
    workload = snapshot.workload_by_id.get(owner)
    told = [pod.annotations for pod in snapshot.pods_by_workload.get(owner, ())]
    told += [workload.annotations] if workload else []
    return any(one.get(key) in values for one in told for key, values in marks.items())


def _by_hour(snapshot: Snapshot, held: Sequence[Tenure]) -> Mapping[int, tuple[float, frozenset[str]]]:
    """Return, by hour, the GPUs that were held and the nodes that they are on."""
    gpus: dict[int, float] = defaultdict(float)
    nodes: dict[int, set[str]] = defaultdict(set)
    for tenure in held:
        for hour in trace(snapshot, tenure).hour.tolist():
            gpus[hour] += tenure.gpus
            nodes[hour].add(tenure.node)
    return {hour: (gpus[hour], frozenset(nodes[hour])) for hour in gpus}


def _runs(hours: Sequence[int]) -> Iterator[float]:
    """Yield the length of each run of hours on end."""
    start = 0
    for i in range(1, len(hours) + 1):
        if i == len(hours) or hours[i] != hours[i - 1] + 1:
            yield float(hours[i - 1] - hours[start] + 1)
            start = i


def _checkpoints(snapshot: Snapshot, owner: str) -> Iterator[str]:
    pods = snapshot.pods_by_workload.get(owner, ())
    containers = serving_containers(pods)
    for flag in facts.pods().checkpoint_flags:
        if flag_values(containers, (flag,)):
            yield flag
    workload = snapshot.workload_by_id.get(owner)
    names = {name for pod in pods for name in pod.claims} | set(workload.volume_claims if workload else ())
    if names:
        yield f"volume {sorted(names)[0]}"


def _spot_priced(nodes: Sequence[Node]) -> bool | None:
    offers = [prices.find(node.provider, node.instance_type, node.region) for node in nodes if node.instance_type]
    return None if not offers else all(offer is not None and offer.spot_usd_hour is not None for offer in offers)


def _lifetimes(snapshot: Snapshot, models: set[Any]) -> list[float]:
    """Return the hours that spot nodes lived which went, of the same models where enough did, else of any."""
    gone = [node for node in snapshot.nodes if node.purchase == "spot" and node.gone is not None and node.cards]
    same = [node for node in gone if {card.model for card in node.cards} & models]
    chosen = same if len(same) >= LEAST_LIFETIMES else gone
    starts = ((node, node.created or (node.present[0].start if node.present else None)) for node in chosen)
    return [(node.gone - start) / timedelta(hours=1) for node, start in starts if node.gone and start]
