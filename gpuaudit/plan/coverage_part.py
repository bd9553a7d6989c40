"""The report's cluster and coverage sections: what was audited, what was seen, what was not."""

from collections.abc import Callable, Iterable, Sequence

from gpuaudit import schema
from gpuaudit.cluster.nodes import Cluster
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.outcome import Outcome


def clusters_part(snapshot: Snapshot) -> list[schema.ClusterPart]:
    """Return one entry a cluster, at least one."""
    clusters = snapshot.clusters or (Cluster(name="unknown", listed=False),)
    return [_cluster(snapshot, cluster) for cluster in clusters]


def sum_part(clusters: Sequence[schema.ClusterPart]) -> schema.ClusterPart:
    """Return the clusters as one; the node count is unknown when one of them is."""
    return schema.ClusterPart(
        name=" + ".join(cluster.name for cluster in clusters),
        nodes=_sum(cluster.nodes for cluster in clusters),
        gpu_nodes=_sum(cluster.gpu_nodes for cluster in clusters),
        gpus=_sum(cluster.gpus for cluster in clusters),
        mig_devices=_sum(cluster.mig_devices for cluster in clusters),
        workloads=sum(cluster.workloads for cluster in clusters),
        providers=sorted({provider for cluster in clusters for provider in cluster.providers}),
        namespaces=_sum(cluster.namespaces for cluster in clusters),
        read_namespaces=sorted({name for cluster in clusters for name in cluster.read_namespaces}),
    )


def coverage_part(
    snapshot: Snapshot, outcomes: Sequence[Outcome], *, observed: float | None, how: Callable[[str], str]
) -> schema.Coverage:
    """Return the section; `how` tells how to get a missing fact."""
    return schema.Coverage(
        sources=[
            schema.SourcePart(name=source.name, status=source.status, detail=source.detail)
            for source in snapshot.sources
        ],
        observed_gpu_hours_ratio=observed,
        join_ratio=None if snapshot.join_ratio is None else round(snapshot.join_ratio, 4),
        not_evaluated=[
            schema.NotEvaluated(
                rule=outcome.rule.name,
                missing=list(outcome.missing),
                how="; ".join(how(fact) for fact in outcome.missing),
            )
            for outcome in outcomes
            if outcome.missing
        ],
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    """Return the sum, None when one of them is unknown."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def _cluster(snapshot: Snapshot, cluster: Cluster) -> schema.ClusterPart:
    nodes = [node for node in snapshot.nodes if node.cluster == cluster.name and node.gone is None]
    gpu_nodes = [node for node in nodes if node.cards]
    told = cluster.listed or bool(gpu_nodes)
    holders = {pod.workload for pod in snapshot.pods if pod.cluster == cluster.name and pod.holdings and not pod.ended}
    return schema.ClusterPart(
        name=cluster.name,
        nodes=len(nodes) if cluster.listed else None,
        gpu_nodes=len(gpu_nodes) if told else None,
        gpus=sum(node.gpus for node in gpu_nodes) if told else None,
        mig_devices=sum(_mig_devices(snapshot, node.key) for node in gpu_nodes) if told else None,
        workloads=len(holders),
        providers=list(cluster.providers) or sorted({node.provider for node in nodes if node.provider}),
        namespaces=sum(one.cluster == cluster.name for one in snapshot.namespaces) or None,
        read_namespaces=list(cluster.read_namespaces),
    )


def _mig_devices(snapshot: Snapshot, key: tuple[str, str]) -> int:
    """MIG devices as seen on the cards, else as the node advertises them (mixed strategy)."""
    node = snapshot.node_by_key[key]
    seen = sum(len(card.mig) for card in node.cards)
    if seen:
        return seen
    advertised = [resource.capacity or 0 for resource in node.resources if "/mig-" in resource.name]
    if not advertised and node.mig_strategy == "single" and node.cards and node.cards[0].mig_enabled:
        advertised = [resource.capacity or 0 for resource in node.resources if resource.name == "nvidia.com/gpu"]
    return sum(advertised)
