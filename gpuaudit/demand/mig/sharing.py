"""Who shares a card with whom by time-slicing or MPS, whose they are, and what the card did meanwhile."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot, device_id
from gpuaudit.cluster.workloads import Pod
from gpuaudit.demand.capacity.free import tenures_by_node
from gpuaudit.demand.memory import once
from gpuaudit.demand.need.told import flag_values, serving_containers, single
from gpuaudit.demand.usage.tenures import Tenure
from gpuaudit.demand.usage.units import is_spare, owner_of
from gpuaudit.demand.work.notebooks import is_notebook
from gpuaudit.knowledge import kubernetes, models

SHARED = ("shared", "mps")  # kinds of holdings whose memory the device does not set apart


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Workloads that share one card. `card` None = they share cards of the node, which ones is not known.

    `tenures` are theirs on the card, their values the device's; () without metrics.
    """

    node: Node
    card: str | None
    owners: tuple[str, ...]
    pods: tuple[Pod, ...]
    tenures: tuple[Tenure, ...] = ()

    @property
    def hours(self) -> float:
        """Hours in which the card was seen with all of its present holders, at most."""
        return min((tenure.observed_hours for tenure in self.tenures), default=0.0)

    @property
    def busy_mean(self) -> float | None:
        """Mean of what bounds the card while they held it; None = not known."""
        known = [tenure.active_mean for tenure in self.tenures if tenure.active_mean is not None]
        return max(known, default=None)

    @property
    def busy_p95(self) -> float | None:
        """95th percentile of the same."""
        known = [tenure.active_p95 for tenure in self.tenures if tenure.active_p95 is not None]
        return max(known, default=None)

    @property
    def memory_share(self) -> float | None:
        """Largest share of the card's memory in use; None = not known."""
        known = [tenure.memory_share for tenure in self.tenures if tenure.memory_share is not None]
        return max(known, default=None)


def cohorts(snapshot: Snapshot, node: Node) -> tuple[Cohort, ...]:
    """Return the groups of present workloads that share a card of the node; () where nobody shares, or none is sure.

    The metrics tell who is on which card; a single card is everybody's. Without metrics, more pods than cards means
    that some share, not which.
    """
    pods = sharing_pods(snapshot, node)
    if len(pods) < 2:
        return ()
    if node.gpus == 1:
        return (_cohort(snapshot, node, device_id(node, node.cards[0]), pods),)
    placed = dict(_by_card(snapshot, node, {owner_of(pod) for pod in pods}))
    if {owner for owners in placed.values() for owner in owners} >= {owner_of(pod) for pod in pods}:
        alike = {card: [pod for pod in pods if owner_of(pod) in owners] for card, owners in placed.items()}
        return tuple(
            _cohort(snapshot, node, card, group) for card, group in sorted(alike.items()) if len(placed[card]) > 1
        )
    return (_cohort(snapshot, node, None, pods),) if len(pods) > node.gpus else ()


def tenant_of(snapshot: Snapshot, owner: str) -> str:
    """Return whose a workload is: the first label of ownership on it or its namespace, else the namespace."""
    workload = snapshot.workload_by_id.get(owner)
    namespace_name = workload.namespace if workload else owner.rsplit("/", 2)[-2]
    cluster = workload.cluster if workload else owner.rsplit("/", 3)[0]
    namespace = snapshot.namespace_by_key.get((cluster, namespace_name))
    keys = kubernetes.ownership()
    for labels in (workload.labels if workload else {}, namespace.labels if namespace else {}):
        if found := kubernetes.first(labels, keys.labels):
            return found
    told = kubernetes.first(namespace.annotations, keys.annotations) if namespace else None
    return told or f"namespace {namespace_name}"


def named(owner: str) -> str:
    """Return a workload's id without its cluster: `Kind/namespace/name`."""
    return "/".join(owner.rsplit("/", 3)[1:])


def serves(snapshot: Snapshot, owner: str) -> bool:
    """Whether users wait for the workload's answers: it runs a serving engine."""
    workload = snapshot.workload_by_id.get(owner)
    return workload is not None and workload.engine is not None


def interactive(snapshot: Snapshot, owners: Sequence[str]) -> bool:
    """Whether all of them are notebooks: shared cards are made for those."""
    return all(is_notebook(snapshot, owner) for owner in owners)


def reserved_share(snapshot: Snapshot, owner: str) -> float | None:
    """Return the share of its card's memory that a serving engine takes when it starts; None = none, or not told."""
    workload = snapshot.workload_by_id.get(owner)
    row = models.preallocators().get(workload.engine) if workload and workload.engine else None
    if row is None:
        return None
    told = flag_values(serving_containers(snapshot.pods_by_workload.get(owner, ())), row.flags, row.env)
    share = single(told, row.share)
    return share if share is not None and 0 < share <= 1 else None


def sharing_nodes(snapshot: Snapshot) -> tuple[Node, ...]:
    """Return the nodes that share their cards by time-slicing or MPS."""
    return tuple(
        node
        for node in snapshot.gpu_nodes
        if node.listed and node.sharing is not None and node.sharing.strategy in ("time-slicing", "mps")
    )


def sharing_pods(snapshot: Snapshot, node: Node) -> list[Pod]:
    """Return the pods that hold replicas of the node's cards; those that keep a place for others left out."""
    return [pod for pod in snapshot.holders(node) if _shares(pod)]


def sharing_tenures(snapshot: Snapshot, node: Node) -> tuple[Tenure, ...]:
    """Return what those pods' workloads do on the node's cards now."""
    owners = {owner_of(pod) for pod in sharing_pods(snapshot, node)}
    return tuple(t for t in tenures_by_node(snapshot).get(node.key, ()) if t.current and t.owner in owners)


@once
def all_cohorts(snapshot: Snapshot) -> Mapping[tuple[str, str], tuple[Cohort, ...]]:
    """Return the cohorts by node, of nodes that share their cards by time-slicing or MPS."""
    return {node.key: found for node in sharing_nodes(snapshot) if (found := cohorts(snapshot, node))}


def _shares(pod: Pod) -> bool:
    return not is_spare(pod) and any(holding.kind in SHARED for holding in pod.holdings)


def _by_card(snapshot: Snapshot, node: Node, owners: set[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    found: dict[str, set[str]] = defaultdict(set)
    for tenure in tenures_by_node(snapshot).get(node.key, ()):
        if tenure.current and tenure.owner in owners:
            found[tenure.card].add(tenure.owner)
    return ((card, tuple(sorted(names))) for card, names in found.items())


def _cohort(snapshot: Snapshot, node: Node, card: str | None, pods: Sequence[Pod]) -> Cohort:
    owners = tuple(sorted({owner_of(pod) for pod in pods}))
    seen = tenures_by_node(snapshot).get(node.key, ())
    here = tuple(t for t in seen if t.current and t.owner in owners and card in (None, t.card))
    return Cohort(node=node, card=card, owners=owners, pods=tuple(pods), tenures=here if card else ())
