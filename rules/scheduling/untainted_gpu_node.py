"""Rule untainted-gpu-node."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.nodes import Node, Tenant
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import planned_maintenance, strandings
from gpuaudit.demand.subjects import amount, count, listed, node_groups, node_subject, place
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.knowledge import kubernetes
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule


@rule(Severity.LOW, needs={"nodes", "pods"})
def untainted_gpu_node(snapshot: Snapshot, *, at_least_cores: float = 1.0) -> Iterator[Finding]:
    """A GPU node has no taint, so pods without a GPU are put on it.

    They take the CPU and memory that GPU pods need beside a GPU, and keep a node from being let go. Where they do so
    now it is a matter of time until GPUs are stranded. A cluster of GPU nodes alone has nowhere else to put them, and
    any taint that keeps ordinary pods out will do.

    Taint the pool where it is made (nvidia.com/gpu:NoSchedule; device plugin and GPU Operator tolerate it), give GPU
    pods the toleration or switch on ExtendedResourceToleration, then move what is there.
    """
    for group in node_groups(node for node in snapshot.gpu_nodes if _open(snapshot, node)):
        found = {node.key: _tenants(node, at_least_cores) for node in group}
        used = [node for node in group if found[node.key]]
        yield _used(snapshot, used, found) if used else _could(group)


def _open(snapshot: Snapshot, node: Node) -> bool:
    """Whether any pod may come: no taint but those of its health, in service, and other nodes there for such pods."""
    health = set(kubernetes.maintenance().health_taints)
    taints = [taint for taint in node.taints if taint.effect in ("NoSchedule", "NoExecute") and taint.key not in health]
    if taints or node.cordoned or not node.listed or planned_maintenance(node) is not None:
        return False
    return any(
        other.cluster == node.cluster and not other.cards and other.listed and other.gone is None
        for other in snapshot.nodes
    )


def _tenants(node: Node, at_least_cores: float) -> tuple[Tenant, ...]:
    """Return who is there without a GPU and could be elsewhere, when together they take a noticeable part."""
    movable = tuple(tenant for tenant in node.tenants if not tenant.daemon)
    return movable if sum(tenant.cpu_cores for tenant in movable) >= at_least_cores else ()


def _used(snapshot: Snapshot, nodes: Sequence[Node], found: dict[tuple[str, str], tuple[Tenant, ...]]) -> Finding:
    strands = [strandings(snapshot)[node.key] for node in nodes if node.key in strandings(snapshot)]
    strands = [one for one in strands if one.blockers]
    cores = sum(tenant.cpu_cores for node in nodes for tenant in found[node.key])
    names = sorted({tenant.workload for node in nodes for tenant in found[node.key]})
    shown = [f"{one.namespace}/{one.name}" for one in (workload_subject(snapshot, name) for name in names)]
    stranded = sum(one.gpus for one in strands)
    return Finding(
        subject=node_subject(nodes, gpus=float(sum(node.gpus for node in nodes))),
        message=f"{count(len(nodes), 'GPU node')} in {place(nodes)} without a taint: {listed(shown)} "
        f"{'takes' if len(shown) == 1 else 'take'} {cores:g} cores there without a GPU"
        + (f" and strand {amount(stranded)}" if stranded else ""),
        evidence=tuple(_evidence(nodes, found)),
        confidence="likely",
        severity=Severity.MEDIUM if stranded else None,
        act=Act(kind="configure", target=nodes[0].pool or nodes[0].name, to="nvidia.com/gpu:NoSchedule"),
        fix=Fix(generate="scheduling", note="taint the pool's template, tolerate it in GPU pods, then move the others"),
        refutation="CPU work that is put on these nodes on purpose, beside GPUs that need little CPU",
    )


def _could(nodes: Sequence[Node]) -> Finding:
    return Finding(
        subject=node_subject(nodes, gpus=float(sum(node.gpus for node in nodes))),
        message=f"{count(len(nodes), 'GPU node')} in {place(nodes)} without a taint, no pod without a GPU there now: "
        f"{listed([node.name for node in nodes])}",
        evidence=tuple(_evidence(nodes, {})),
        confidence="investigate",
        severity=Severity.INFO,
        fix=Fix(generate="scheduling", note="taint the pool's template with nvidia.com/gpu:NoSchedule"),
        refutation="an admission policy that keeps pods without a GPU off these nodes",
    )


def _evidence(nodes: Sequence[Node], found: dict[tuple[str, str], tuple[Tenant, ...]]) -> Iterator[Evidence]:
    for node in nodes:
        told = ", ".join(f"{taint.key}:{taint.effect}" for taint in node.taints) or "none"
        yield Evidence(name=f"taints of {node.name}", value=told, source="kubernetes")
        for tenant in found.get(node.key, ()):
            name = f"requested on {node.name} by {tenant.workload}"
            yield Evidence(name=name, value=tenant.cpu_cores, unit="cores", statistic="now", source="kubernetes")
