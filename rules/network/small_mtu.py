"""Rule small-mtu."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.nodes import Interface, Node
from gpuaudit.cluster.platform import CustomObject
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network.fabric import value
from gpuaudit.demand.network.network_words import by_pool, pool_subject
from gpuaudit.demand.subjects import count, listed, place
from gpuaudit.knowledge import fabric
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, Subject, rule


@rule(Severity.LOW, needs={"fabric_settings"})
def small_mtu(snapshot: Snapshot) -> Iterator[Finding]:
    """Ports of the fabric use small packets.

    RoCE cuts messages to the MTU of its Ethernet port: with 1500 bytes it sends packets of 1024, each with its headers
    and its work in the card, where 4096 would fit into a jumbo frame. Bandwidth and message rate suffer most for large
    all-reduces. Only ports of a RoCE fabric, and policies that set its virtual functions up, are judged: the MTU of
    InfiniBand (4096), EFA (8900) and GCP (8244, 8896), and that of clouds' own switches, is by design, and overlay and
    management interfaces are no fabric.

    Set 9000 (at least 4200) on switch ports, physical functions, virtual functions and the network attachment together:
    a path carries what its smallest hop does.
    """
    for item in snapshot.custom_objects:
        if item.kind == "SriovNetworkNodePolicy" and _is_small(mtu := value(item, "spec.mtu")) and _of_fabric(item):
            yield _of_policy(item, int(str(mtu)))
    for group in by_pool(node for node in snapshot.gpu_nodes if _small_ports(node)):
        yield _of_nodes(group)


def _is_small(mtu: object) -> bool:
    """Whether an MTU is said and too small; 0 leaves it to the driver."""
    return isinstance(mtu, int) and 0 < mtu < fabric.fabric().mtu.jumbo_bytes


def _of_fabric(item: CustomObject) -> bool:
    """Whether a policy's virtual functions are for RDMA over Ethernet."""
    if str(value(item, "spec.linkType") or "eth").casefold() == "ib":
        return False
    return value(item, "spec.isRdma") is True


def _small_ports(node: Node) -> tuple[Interface, ...]:
    if node.provider in fabric.fabric().provider_made:
        return ()
    return tuple(port for port in node.interfaces if port.kind == "roce" and _is_small(port.mtu_bytes))


def _of_policy(item: CustomObject, mtu: int) -> Finding:
    return Finding(
        subject=Subject(cluster=item.cluster, kind=item.kind, namespace=item.namespace or None, name=item.name),
        message=f"SriovNetworkNodePolicy {item.name} gives virtual functions for RDMA an MTU of {mtu} bytes",
        evidence=(
            Evidence(name="spec.mtu", value=mtu, unit="bytes", statistic="now", source="kubernetes"),
            Evidence(name="spec.isRdma", value=True, statistic="now", source="kubernetes"),
            _limit(),
        ),
        confidence="likely",
        act=Act(kind="configure", risk="drain", target=item.name, from_=str(mtu), to="9000"),
        fix=Fix(generate="network", note="raise switch ports, physical functions and the attachment together"),
        refutation="a network of this policy that carries no GPU traffic, or switches that cannot do jumbo frames",
    )  # fmt: skip


def _of_nodes(group: Sequence[Node]) -> Finding:
    ports = [(node, port) for node in group for port in _small_ports(node)]
    sizes = sorted({port.mtu_bytes for _, port in ports if port.mtu_bytes})
    small = listed([str(size) for size in sizes])
    return Finding(
        subject=pool_subject(group),
        message=f"{count(len(ports), 'RoCE port')} in {place(group)} use an MTU of {small} "
        f"bytes on {listed([node.name for node in group])}",
        evidence=(
            *(
                Evidence(name=f"MTU of {port.name} on {node.name}", value=port.mtu_bytes, unit="bytes", statistic="now",
                         source="node facts")
                for node, port in ports[:8]
            ),
            _limit(),
        ),
        confidence="likely",
        act=Act(kind="configure", risk="drain", target=group[0].pool or group[0].name, from_=str(sizes[0]), to="9000"),
        fix=Fix(generate="network", note="raise switch ports and interfaces together"),
        refutation="RoCE ports that carry storage or management only",
    )  # fmt: skip


def _limit() -> Evidence:
    least = fabric.fabric().mtu.jumbo_bytes
    return Evidence(
        name="least for a RoCE MTU of 4096", value=least, unit="bytes", observed=False, source="fabric.toml"
    )
