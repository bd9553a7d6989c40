"""Rule roce-not-lossless."""

from collections import Counter
from collections.abc import Iterator, Sequence

from gpuaudit.cluster.nodes import Interface, Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network.crossing import crossings
from gpuaudit.demand.subjects import count, listed
from gpuaudit.knowledge import fabric
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, Subject, rule

Port = tuple[Node, Interface]


@rule(Severity.LOW, needs={"node_lossless"})
def roce_not_lossless(snapshot: Snapshot) -> Iterator[Finding]:
    """The RoCE ports of a pool have neither flow control nor congestion marking, or not the same.

    RoCE was made for a network that loses nothing: a lost packet makes the card send everything since again, and an
    all-reduce waits for it. Either PFC on one priority, or ECN with its rate control (as adaptive, lossy RoCE such as
    Spectrum-X means it), keeps it going; with neither, throughput falls as soon as several nodes send to one. Nodes of
    one pool whose PFC priority differs lose packets between them. Only what hosts tell of their ports counts, and the
    switches of a cloud are its own: InfiniBand, EFA and GPUDirect-TCPX have nothing to set.

    Turn PFC on for the priority of RoCE (usually 3) and ECN on ports and switches alike (mlnx_qos, the vendor's "roce
    lossless" plan, or the network operator), and let NCCL_IB_TC name that class.
    """
    pools: dict[tuple[str, str], list[Port]] = {}
    for node in snapshot.gpu_nodes:
        if node.provider not in fabric.fabric().provider_made:
            pools.setdefault((node.cluster, node.pool or ""), []).extend((node, port) for port in _told(node))
    gangs = {node.key for gang in crossings(snapshot) for node in gang.nodes}
    for (cluster, pool), ports in sorted(pools.items()):
        bare = [(node, port) for node, port in ports if not port.pfc_priorities and not port.ecn]
        odd = [] if bare else _odd(ports)
        if bare or odd:
            hurt = any(node.key in gangs for node, _ in ports)
            yield _finding(cluster, pool, bare or odd, bool(bare), hurt)


def _told(node: Node) -> list[Interface]:
    return [port for port in node.interfaces if port.kind == "roce" and port.pfc_priorities is not None and port.up]


def _odd(ports: Sequence[Port]) -> list[Port]:
    """Return the ports whose PFC priorities differ from those of most."""
    plans = Counter(port.pfc_priorities for _, port in ports)
    usual, often = plans.most_common(1)[0] if plans else (None, 0)
    if len(plans) < 2 or 2 * often <= len(ports):
        return []
    return [(node, port) for node, port in ports if port.pfc_priorities != usual]


def _finding(cluster: str, pool: str, ports: Sequence[Port], bare: bool, hurt: bool) -> Finding:
    nodes = sorted({node.name for node, _ in ports})
    where = f"pool {pool}" if pool else "nodes without a pool"
    what = "have neither PFC nor ECN" if bare else "have PFC on other priorities than the rest"
    known = all(port.ecn is not None for _, port in ports)
    return Finding(
        subject=Subject(cluster=cluster, kind="NodePool", name=pool or "nodes without a pool"),
        severity=Severity.MEDIUM if hurt else None,
        message=f"{count(len(ports), 'RoCE port')} of {where} {what}: {listed(nodes)}",
        evidence=tuple(_evidence(ports[:6])),
        confidence="likely" if known or not bare else "investigate",
        act=Act(kind="configure", risk="drain", target=pool or nodes[0]),
        fix=Fix(generate="network", note="PFC on the priority of RoCE and ECN, on ports and switches alike"),
        refutation="RoCE ports without GPU traffic, or a fabric that is lossy by design and resends by itself",
    )  # fmt: skip


def _evidence(ports: Sequence[Port]) -> Iterator[Evidence]:
    for node, port in ports:
        priorities = ", ".join(map(str, port.pfc_priorities or ())) or "none"
        ecn = "not told" if port.ecn is None else "on" if port.ecn else "off"
        for name, value in ((f"PFC priorities of {port.name} on {node.name}", priorities), ("its ECN", ecn)):
            yield Evidence(name=name, value=value, statistic="now", source="node facts")
        lost = {name: port.increases[name] for name in fabric.fabric().ports.loss if name in port.increases}
        for name, amount in sorted(lost.items()):
            yield Evidence(name=f"{name} of {port.name}", value=amount, unit="packets", statistic="increase",
                           source="node_exporter")  # fmt: skip
