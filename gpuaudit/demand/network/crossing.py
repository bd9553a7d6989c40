"""Gangs whose pods compute on several GPU nodes, and what says that they talk to each other.

Many pods on many nodes are no collective: without a sign of one, a workload is not returned. A gang within one NVLink
domain that spans nodes (GB200 racks) does not cross the network. A gang that was measured to send nothing is none.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Container, Pod
from gpuaudit.demand.memory import once
from gpuaudit.demand.network.fabric import NodeFabric, node_fabric
from gpuaudit.demand.usage.units import owner_of, works_alone
from gpuaudit.knowledge import fabric


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """One gang over several nodes. `signs` are reasons, in words, to take it for a collective.

    `proven` by its own arguments or by traffic. `gbps` is the mean that a node sent over the window, None = unmeasured.
    """

    owner: str
    group: str  # of several gangs of one workload, else ""
    pods: tuple[Pod, ...]
    nodes: tuple[Node, ...]
    signs: tuple[str, ...]
    proven: bool
    gbps: float | None = None
    tensor: int | None = None
    pipeline: int | None = None

    @property
    def gpus(self) -> float | None:
        """Physical GPUs of its pods; None when one is not known."""
        amounts = [pod.gpus for pod in self.pods]
        return None if any(one is None for one in amounts) else sum(one for one in amounts if one is not None)

    @property
    def fabrics(self) -> tuple[NodeFabric, ...]:
        """The fabric of each of its nodes."""
        return tuple(node_fabric(node) for node in self.nodes)


@once
def crossings(snapshot: Snapshot) -> tuple[Crossing, ...]:
    """Return the gangs over several nodes that talk, or most likely do, by workload and group."""
    gangs: dict[tuple[str, str], list[Pod]] = defaultdict(list)
    for pod in snapshot.pods:
        if pod.holds and not works_alone(snapshot, owner_of(pod)) and not _steers(pod):
            gangs[owner_of(pod), _group(pod)].append(pod)
    found = (_crossing(snapshot, owner, group, pods) for (owner, group), pods in sorted(gangs.items()))
    return tuple(one for one in found if one is not None)


def nodes_of(snapshot: Snapshot, pods: Iterable[Pod]) -> tuple[Node, ...]:
    """Return the GPU nodes that the pods are on, by name."""
    keys = sorted({(pod.cluster, pod.node or "") for pod in pods})
    return tuple(node for key in keys if (node := snapshot.node_by_key.get(key)) is not None and node.cards)


def same_domain(nodes: Iterable[Node]) -> bool:
    """Whether all nodes are of one NVLink domain, so that what they say to each other stays off the network."""
    mark = fabric.fabric().node.clique_label
    cliques = {node.labels.get(mark, "") for node in nodes}
    return len(cliques) == 1 and "" not in cliques


def argument(container: Container, flags: Iterable[str]) -> str | None:
    """Return the value of the first of these flags in a container's arguments, `$(NAME)` filled in."""
    wanted = tuple(flags)
    for place, word in enumerate(container.args):
        flag, equals, value = word.partition("=")
        if flag in wanted:
            told = value if equals else container.args[place + 1] if place + 1 < len(container.args) else ""
            return container.env.get(told[2:-1], told) if told.startswith("$(") and told.endswith(")") else told
    return None


def size(containers: Iterable[Container], flags: Iterable[str], names: Iterable[str]) -> int | None:
    """Return a number that a flag or a variable of the containers says, None when none does."""
    keys, variables = tuple(flags), tuple(names)
    for container in containers:
        told = argument(container, keys) or next(
            (container.env[name] for name in variables if name in container.env), ""
        )
        number = told.partition(":")[0]
        if number.isdecimal() and len(number) < 7:
            return int(number)
    return None


def _crossing(snapshot: Snapshot, owner: str, group: str, pods: Sequence[Pod]) -> Crossing | None:
    nodes = nodes_of(snapshot, pods)
    if len(nodes) < 2 or same_domain(nodes):
        return None
    facts = fabric.fabric().collective
    containers = [container for pod in pods for container in pod.containers if not container.init]
    tensor = size(containers, facts.tensor_flags, facts.tensor_env)
    pipeline = size(containers, facts.pipeline_flags, facts.pipeline_env)
    gbps = traffic(snapshot, nodes, pods)
    signs, proven = _signs(owner, pods, (tensor or 1) * (pipeline or 1), gbps)
    if not signs or (gbps is not None and gbps < facts.quiet_gbps and not proven):
        return None
    return Crossing(
        owner=owner,
        group=group,
        pods=tuple(pods),
        nodes=nodes,
        signs=tuple(signs),
        proven=proven,
        gbps=gbps,
        tensor=tensor,
        pipeline=pipeline,
    )


def _signs(owner: str, pods: Sequence[Pod], degree: int, gbps: float | None) -> tuple[list[str], bool]:
    facts = fabric.fabric().collective
    kind = owner.rsplit("/", 3)[1] if owner.count("/") >= 3 else ""
    containers = [container for pod in pods for container in pod.containers if not container.init]
    names = fabric.named((name for one in containers for name in one.env), facts.env, but=facts.not_env)
    ranks = size(containers, facts.node_count_flags, facts.node_count_env)
    largest = max((pod.gpus or 0 for pod in pods), default=0)
    signs = [f"its kind is {kind}"] if kind in facts.kinds else []
    signs += [f"it sets {', '.join(names[:4])}"] if names else []
    signs += [f"it starts on {ranks} nodes"] if ranks and ranks > 1 else []
    split = degree > largest > 0
    signs += [f"its model is split over {degree} GPUs and a pod has {largest:g}"] if split else []
    busy = gbps is not None and gbps >= facts.traffic_gbps
    signs += [f"its nodes sent {gbps:.1f} Gbit/s on average"] if busy and signs else []
    return signs, bool(signs) and (split or busy)


def traffic(snapshot: Snapshot, nodes: Sequence[Node], pods: Sequence[Pod]) -> float | None:
    """Return the mean Gbit/s that a node sent over the window; None when one is shared or was not measured."""
    own = {pod.key for pod in pods}
    rates = []
    for node in nodes:
        sent = [port.increases["tx_bytes"] for port in node.interfaces if "tx_bytes" in port.increases]
        if not sent or any(pod.key not in own for pod in snapshot.holders(node)):
            return None
        rates.append(sum(sent) * 8 / 1e9 / max(1.0, snapshot.present_seconds(node)))
    return sum(rates) / len(rates) if rates else None


def _group(pod: Pod) -> str:
    return next((pod.labels[key] for key in fabric.fabric().collective.group_labels if pod.labels.get(key)), "")


def _steers(pod: Pod) -> bool:
    """Whether the pod only starts or steers the ranks."""
    return any(pod.labels.get(key) == role for key, role in fabric.fabric().collective.rank_free_roles)


def by_owner(found: Iterable[Crossing]) -> Iterator[tuple[str, tuple[Crossing, ...]]]:
    """Yield the gangs of each workload."""
    groups: Mapping[str, list[Crossing]] = defaultdict(list)
    for one in found:
        groups[one.owner].append(one)
    yield from ((owner, tuple(gangs)) for owner, gangs in groups.items())
