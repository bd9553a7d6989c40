"""Work that holds whole GPUs, sorted by what a smaller device would do: candidates with their need, and the others."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.mig.nodes import barred
from gpuaudit.demand.usage.measured import Gates, Measured, measured
from gpuaudit.demand.usage.units import failing_keys, is_spare, owner_of

PoolKey = tuple[str, str, str]  # cluster, pool or node, GPU model


@dataclass
class Pool:
    """Nodes of one pool and GPU model with the work that holds whole cards there; `left_out` = workload → reason."""

    key: PoolKey
    nodes: list[Node] = field(default_factory=list)
    needs: list[Measured] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def pools_of_whole_cards(snapshot: Snapshot, gates: Gates) -> Iterator[Pool]:
    """Yield the pools in which pods hold whole cards of a known model, with what is known of their needs.

    Of a workload that runs in several pools each pool has its pods. Left out without a word: pods that hold fractions,
    replicas, virtual GPUs, MIG devices or claims, spares, and pods that cannot run.
    """
    found: dict[PoolKey, Pool] = {}
    pods: dict[PoolKey, dict[str, list[Pod]]] = defaultdict(lambda: defaultdict(list))
    for node in snapshot.gpu_nodes:
        models = {card.model for card in node.cards}
        model = next(iter(models)) if len(models) == 1 else None
        if not node.listed or model is None:
            continue
        key = (node.cluster, node.pool or node.name, model)
        for pod in snapshot.holders(node):
            if _is_whole(snapshot, node, pod):
                pods[key][owner_of(pod)].append(pod)
        found.setdefault(key, Pool(key)).nodes.append(node)
    for key, owners in sorted(pods.items()):
        yield _judged(snapshot, found[key], owners, gates)


def _judged(snapshot: Snapshot, pool: Pool, owners: dict[str, list[Pod]], gates: Gates) -> Pool:
    closed = {node.name: reason for node in pool.nodes if (reason := barred(node))}
    for owner, group in sorted(owners.items()):
        reason = next((closed[pod.node] for pod in group if pod.node in closed), None)
        told: Measured | str = reason or measured(snapshot, owner, group, gates)
        if isinstance(told, str):
            pool.left_out[owner] = told
        else:
            pool.needs.append(told)
    return pool


def _is_whole(snapshot: Snapshot, node: Node, pod: Pod) -> bool:
    kinds = {holding.kind for holding in pod.holdings}
    if kinds != {"whole"} or any(holding.group for holding in pod.holdings) or node.sharing is not None:
        return False
    return not is_spare(pod) and pod.key not in failing_keys(snapshot)


def listed_reasons(pool: Pool, most: int = 12) -> Sequence[tuple[str, str]]:
    """Return the first of the workloads that were left out, each with its reason."""
    return sorted(pool.left_out.items())[:most]
