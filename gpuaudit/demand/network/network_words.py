"""How findings of the network area say what a gang is, what its nodes are linked by, and how sure it is."""

from collections.abc import Iterable, Iterator, Sequence

from gpuaudit.cluster.nodes import Node
from gpuaudit.demand.network.crossing import Crossing
from gpuaudit.demand.subjects import count, listed, node_groups, node_subject
from gpuaudit.rule import Confidence, Evidence, Subject

KINDS = {
    "infiniband": "InfiniBand",
    "roce": "RoCE",
    "efa": "EFA",
    "tcpx": "GPUDirect-TCPX",
    "omnipath": "Omni-Path",
    "rdma": "RDMA of a kind that is not known",
    "ethernet": "plain Ethernet",
    "unknown": "not known",
    "mixed": "several kinds",
}


def over(gangs: Sequence[Crossing]) -> str:
    """Return `2 nodes`, or `2 nodes in each of 3 groups`."""
    sizes = sorted({len(gang.nodes) for gang in gangs})
    nodes = count(sizes[0], "node") if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]} nodes"
    return nodes if len(gangs) == 1 else f"{nodes} in each of {len(gangs)} groups"


def fabric_words(gang: Crossing) -> str:
    """Return the kinds and speeds of the fabric of a gang's nodes."""
    told = {(KINDS[one.kind], one.gbps) for one in gang.fabrics}
    words = [f"{kind}, {gbps:g} Gbit/s a node" if gbps else kind for kind, gbps in told]
    return listed(sorted(words))


def sureness(gangs: Sequence[Crossing]) -> Confidence:
    """Return likely where its arguments or its traffic prove that it talks, else investigate."""
    return "likely" if all(gang.proven for gang in gangs) else "investigate"


def crossing_evidence(gangs: Sequence[Crossing]) -> Iterator[Evidence]:
    """Yield where a gang runs and why it is taken for a collective."""
    for gang in gangs[:4]:
        named = listed([node.name for node in gang.nodes])
        of = f" of group {gang.group}" if gang.group else ""
        yield Evidence(name=f"nodes{of}", value=named, statistic="now", source="kubernetes")
    yield Evidence(name="why it is taken to talk", value="; ".join(gangs[0].signs), source="kubernetes")
    measured = [gang.gbps for gang in gangs if gang.gbps is not None]
    if measured:
        yield Evidence(
            name="sent by a node",
            value=round(max(measured), 2),
            unit="Gbit/s",
            statistic="mean",
            source="node_exporter",
        )


def by_pool(nodes: Iterable[Node]) -> list[tuple[Node, ...]]:
    """Group nodes by their pool: what they share is set up once. Nodes without a pool as `node_groups` does."""
    pools: dict[tuple[str, str], list[Node]] = {}
    rest = []
    for node in sorted(nodes, key=lambda node: node.key):
        if node.pool:
            pools.setdefault((node.cluster, node.pool), []).append(node)
        else:
            rest.append(node)
    return [*(tuple(group) for _, group in sorted(pools.items())), *node_groups(rest)]


def pool_subject(nodes: Sequence[Node], *, gpus: float | None = None) -> Subject:
    """Return the pool of several nodes as the subject, a single node or nodes without a pool as `node_subject` does."""
    pool = nodes[0].pool
    if pool is None or len(nodes) == 1:
        return node_subject(nodes, gpus=gpus)
    return Subject(cluster=nodes[0].cluster, kind="NodePool", name=pool, gpus=gpus)
