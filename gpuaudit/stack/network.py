"""The rows of the network layer: what links the GPU nodes, as far as ports, instance types and resources tell."""

from collections.abc import Sequence

from gpuaudit.cluster.nodes import Interface, Node
from gpuaudit.demand.network.fabric import PoolFabric
from gpuaudit.knowledge import fabric
from gpuaudit.knowledge.stack import stack
from gpuaudit.stack.installed import installed
from gpuaudit.stack.view import Verdict, View, counted, named, text_field

UNTOLD = ("unknown", "rdma", "mixed")  # kinds that may hide the one that is asked for
NEED_NO_PFC = ("infiniband", "efa", "tcpx", "omnipath", "ethernet")
WORDS = {
    "infiniband": "InfiniBand",
    "roce": "RoCE",
    "efa": "EFA",
    "tcpx": "GPUDirect-TCPX",
    "omnipath": "Omni-Path",
    "rdma": "RDMA of a kind not told",
    "ethernet": "plain Ethernet",
    "unknown": "a network not known",
}
RDMA = ("infiniband", "roce", "efa", "rdma", "omnipath", "mixed")
BY_MODULE = ("infiniband", "roce", "rdma")  # kinds that need nvidia_peermem or DMA-BUF; others bring a way of their own


def roce(view: View) -> Verdict:
    """Return the verdict on RoCE."""
    return _kind(view, "roce")


def infiniband(view: View) -> Verdict:
    """Return the verdict on InfiniBand."""
    return _kind(view, "infiniband")


def efa(view: View) -> Verdict:
    """Return the verdict on EFA: nodes that have it must also offer it to pods."""
    record = view.system("efa")
    if record and "resource" in record.seen:
        return Verdict("present", record.evidence[:3], record.version)
    pools = [pool for pool in view.pools if pool.kind == "efa"]
    if "nodes" in view.facts and view.gpu_nodes and not pools and not view.providers & set(stack().efa_providers):
        return Verdict("absent", ("no GPU node is of a provider that has it",))
    if pools and all(pool.exposed is False for pool in pools):
        nodes = sum(pool.nodes for pool in pools)
        told = f"{counted(nodes, 'node')} of types that have EFA offer none to pods: {named(p.pool for p in pools)}"
        return Verdict("absent", (told,))
    return _kind(view, "efa")


def pfc(view: View) -> Verdict:
    """Return the verdict on priority flow control, which only RoCE needs; NICs tell, switches cannot be seen."""
    pools = [pool for pool in view.pools if pool.lossless_matters]
    if not pools:
        if not view.pools:
            return _no_pools(view)
        if all(pool.kind in NEED_NO_PFC for pool in view.pools):
            return Verdict("absent", (f"no RoCE here that would need it: {_kinds(view.pools)}",))
        return Verdict("unknown", (f"the fabric of some pools is not known: {_kinds(view.pools)}",))
    ports = _told(view)
    if bare := sorted({node.pool or "no pool" for node, port in ports if _is_bare(node, port)}):
        return Verdict("misconfigured", (f"RoCE ports of {named(bare)} have neither PFC nor ECN",))
    if all(pool.lossless for pool in pools):
        return Verdict("present", ("every RoCE port seen has a lossless priority and ECN; switches were not seen",))
    if view.providers <= set(stack().fabric_providers):
        return Verdict("provider_managed", ("the provider runs the RoCE fabric and its switches",))
    return _partly_lossless([port for _, port in ports])


def _told(view: View) -> list[tuple[Node, Interface]]:
    """Return the RoCE ports whose host told of their priorities."""
    return [
        (node, port)
        for node in view.gpu_nodes
        for port in node.interfaces
        if port.kind == "roce" and port.pfc_priorities is not None
    ]


def _is_bare(node: Node, port: Interface) -> bool:
    """Whether a port that is the cluster's own to set has nothing that keeps RoCE going."""
    own = node.provider not in fabric.fabric().provider_made
    return own and port.up is not False and not port.pfc_priorities and port.ecn is False


def _partly_lossless(ports: Sequence[Interface]) -> Verdict:
    """Return the verdict on ports of which each has PFC or ECN, or does not tell."""
    if not ports:
        return Verdict("unknown", ("no host told of its RoCE ports' priorities: run gpuaudit node on them",))
    if all(port.pfc_priorities for port in ports):
        return Verdict("present", ("every RoCE port seen has a lossless priority; ECN is off or not told on some",))
    if all(not port.pfc_priorities and port.ecn for port in ports):
        told = "RoCE ports mark congestion (ECN) without PFC, as a fabric that is lossy by design has it"
        return Verdict("absent", (told,))
    return Verdict("unknown", ("RoCE ports differ in PFC and ECN, or do not tell of ECN",))


def sriov(view: View) -> Verdict:
    """Return the verdict on SR-IOV."""
    failed = [one.name for one in view.custom("SriovNetworkNodeState") if _failed(text_field(one, "status.syncStatus"))]
    found = installed(view, "sriov")
    if failed and found.status == "present":
        told = f"SriovNetworkNodeState of {named(failed)} failed to sync"
        return Verdict("misconfigured", (told, *found.evidence[:2]), found.version)
    configured = [pool for pool in view.pools if pool.sriov]
    if configured and found.status in ("absent", "unknown"):
        told = f"virtual functions are configured in {named(pool.pool or 'no pool' for pool in configured)}"
        return Verdict("present", (told,))
    return found


def network_operator(view: View) -> Verdict:
    """Return the verdict on the Network Operator; rdma/ resources come from a device plugin by itself too."""
    record = view.system("network_operator")
    if record and record.pods_wanted is None and "image" not in record.seen and "resource" in record.seen:
        told = "rdma/ resources are offered, and nothing of the operator is running"
        return Verdict("absent" if view.looked else "unknown", (told, *record.evidence[:2]))
    found = installed(view, "network_operator")
    for policy in view.custom("NicClusterPolicy"):
        state = text_field(policy, "status.state")
        if state and state != "ready" and found.status == "present":
            told = f"NicClusterPolicy {policy.name} is {state}"
            return Verdict("misconfigured", (told, *found.evidence[:3]), found.version)
    return found


def gpudirect(view: View) -> Verdict:
    """Return the verdict on GPUDirect RDMA; a missing label or module says nothing, DMA-BUF needs none."""
    if not view.pools:
        return _no_pools(view)
    pools = [pool for pool in view.pools if pool.kind in RDMA]
    if not pools and all(pool.kind not in UNTOLD for pool in view.pools):
        taken = "; GPUDirect-TCPX takes its place" if any(pool.kind == "tcpx" for pool in view.pools) else ""
        return Verdict("absent", (f"no RDMA fabric to use it: {_kinds(view.pools)}{taken}",))
    on = [pool for pool in pools if pool.gpudirect]
    off = [pool for pool in pools if pool.gpudirect is False and pool.kind in BY_MODULE]
    told = tuple(dict.fromkeys(text for pool in off or on for text in pool.evidence))[:3]
    if off:
        return Verdict("misconfigured", (f"off in {named(pool.pool or 'no pool' for pool in off)}", *told))
    if on:
        some = f"works in {named(pool.pool or 'no pool' for pool in on)}"
        rest = len(pools) - len(on)
        return Verdict("present", (some + (f"; {rest} RDMA pools do not tell" if rest else ""), *told))
    return Verdict("unknown", ("no host, label or NCCL log tells whether NICs reach GPU memory",))


def _kind(view: View, kind: str) -> Verdict:
    """Return the verdict on a kind of fabric."""
    if not view.pools:
        return _no_pools(view)
    pools = [pool for pool in view.pools if pool.kind == kind]
    if not pools:
        if any(pool.kind in UNTOLD for pool in view.pools):
            return Verdict("unknown", (f"the fabric of some pools is not known: {_kinds(view.pools)}",))
        return Verdict("absent", (f"the GPU nodes are linked by {_kinds(view.pools)}",))
    told = tuple(f"pool {pool.pool or '(none)'}: {', '.join(pool.evidence[:2])}" for pool in pools[:4])
    if any(pool.exposed for pool in pools) or any("on its host" in text for text in told):
        return Verdict("present", told)
    return Verdict("unknown", ("the machines have it; whether pods reach it is not seen", *told))


def _no_pools(view: View) -> Verdict:
    if "nodes" not in view.facts:
        return Verdict("unknown", ("the nodes were not read",))
    return Verdict("absent", ("no GPU nodes",))


def _kinds(pools: Sequence[PoolFabric]) -> str:
    counts: dict[str, int] = {}
    for pool in pools:
        counts[pool.kind] = counts.get(pool.kind, 0) + pool.nodes
    return ", ".join(f"{WORDS.get(kind, kind)} ({counted(count, 'node')})" for kind, count in sorted(counts.items()))


def _failed(state: str | None) -> bool:
    return state is not None and state.casefold() == "failed"
