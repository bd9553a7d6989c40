"""From what was gathered of a cluster to its inventory: cards, owners, holdings, waiting work, systems."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import msgspec

from gpuaudit.cluster.nodes import Node, NodePool, Tenant
from gpuaudit.cluster.platform import Autoscaler, Budget, Claim, CustomObject, Namespace, Queue, Quota
from gpuaudit.cluster.workloads import Pod
from gpuaudit.collect.gather.facts import provided
from gpuaudit.collect.gather.managed import note_provider_managed
from gpuaudit.collect.gather.platform import cluster_record, events, notes, services, volume_claims
from gpuaudit.collect.gather.pods import refold, settle
from gpuaudit.collect.gather.published import published
from gpuaudit.collect.gather.state import Gathered, KeptTemplate
from gpuaudit.collect.gather.tenant import tenant_nodes
from gpuaudit.collect.gather.work import waiting, workloads
from gpuaudit.collect.inventory import Inventory
from gpuaudit.collect.kubernetes_types.nodes import Node as NodeObject
from gpuaudit.collect.kubernetes_types.nodes import ResourceClaim, ResourceSlice
from gpuaudit.collect.objects.cards import cards_of
from gpuaudit.collect.objects.claims import claim_facts, claim_record
from gpuaudit.collect.objects.clients import KeptClient, client_records
from gpuaudit.collect.objects.devices import NamedDevice, by_node, registered_devices, sliced_devices
from gpuaudit.collect.objects.fold import NodeLoad
from gpuaudit.collect.objects.holdings import Surroundings, holdings, reservation_group, surroundings_of_groups
from gpuaudit.collect.objects.nodes import node_record
from gpuaudit.collect.objects.owners import Root
from gpuaudit.collect.objects.systems import ControllerFacts
from gpuaudit.collect.objects.units import compute_share, offers
from gpuaudit.knowledge import gpus, kinds, kubernetes, mig


@dataclass(frozen=True)
class _Devices:
    """The devices that DRA and HAMi name, and what part of a card each MIG device is."""

    by_node: Mapping[str, tuple[NamedDevice, ...]]
    by_key: Mapping[str, NamedDevice]


def inventory_of(state: Gathered) -> Inventory:
    """Return the inventory of what was gathered."""
    settle(state)
    devices = _devices(state)
    nodes = _nodes(state, devices) if state.nodes is None else state.nodes
    around = _surroundings(state, nodes, devices)
    pods, groups = _pods(state, nodes, around)
    records = _with_loads(state, nodes, pods, state.fold.loads())
    _add_evidence(state, records)
    unlisted = not records and ("", "Node") not in state.seen
    offered = services(state)
    return Inventory(
        clusters=(cluster_record(state, records),),
        nodes=tenant_nodes(pods, nodes) if state.tenant or unlisted else records,
        pods=pods,
        workloads=workloads(state, groups),
        waiting=waiting(state, pods, around),
        claims=_claims(state, devices),
        systems=state.systems.records(cluster=state.cluster),
        namespaces=tuple(state.kept.values("namespaces", Namespace)),
        services=offered,
        model_clients=client_records(
            state.kept.all_values("clients ", KeptClient), offered, pods, cluster=state.cluster
        ),
        autoscalers=tuple(
            sorted(state.kept.all_values("scaler ", Autoscaler), key=lambda a: (a.namespace, a.name, a.kind))
        ),
        node_pools=tuple(state.kept.values("pools", NodePool)),
        queues=tuple(state.kept.values("queues", Queue)),
        quotas=tuple(state.kept.values("quotas", Quota)),
        budgets=tuple(state.kept.values("budgets", Budget)),
        volume_claims=volume_claims(state),
        custom_objects=tuple(state.kept.all_values("custom ", CustomObject)),
        events=events(state),
        published=tuple(published(state)),
        provides=provided(state, records),
        newest=state.newest,
        notes=notes(state),
    )


def _claims(state: Gathered, devices: _Devices) -> tuple[Claim, ...]:
    claims = state.kept.values("claims", ResourceClaim)
    return tuple(claim_record(one, devices.by_key, cluster=state.cluster) for one in claims)


def make_nodes(state: Gathered) -> None:
    """Make the records of the nodes once no more of them come; pods are still on their way meanwhile."""
    state.nodes = _nodes(state, _devices(state))


def _add_evidence(state: Gathered, nodes: tuple[Node, ...]) -> None:
    """Tell the systems what was seen of them, the strongest evidence first and in a fixed order."""
    for pod in state.evidence:
        state.systems.add_pod(pod.images, pod.scheduler, pod.namespace, ready=pod.ready)
    for facts in state.kept.all_values("facts ", ControllerFacts):
        state.systems.add_controller(facts)
    for item in state.kept.all_values("custom ", CustomObject):
        how = kinds.find(item.api_group, item.kind)
        if how:
            state.systems.add_custom(item.api_group, item.kind, how.plural, item.name)
    state.systems.add_schedulers()
    state.systems.add_nodes(nodes)
    state.systems.add_crds(state.crds, state.groups)
    note_provider_managed(state.systems, nodes, state.crds | state.groups)


def _devices(state: Gathered) -> _Devices:
    sliced = sliced_devices(state.kept.values("slices", ResourceSlice))
    named = {name: list(items) for name, items in by_node(sliced).items()}
    for node in state.kept.values("nodes", NodeObject):
        text = (node.metadata.annotations or {}).get(kubernetes.hami().node_register)
        if text:
            named.setdefault(node.metadata.name, []).extend(registered_devices(node.metadata.name, text))
    return _Devices({name: tuple(items) for name, items in named.items()}, {item.key: item for item in sliced})


def _nodes(state: Gathered, devices: _Devices) -> dict[str, Node]:
    made = {}
    for item in state.kept.values("nodes", NodeObject):
        record = node_record(item, cluster=state.cluster)
        found = cards_of(record, devices.by_node.get(record.name, ()))
        made[record.name] = msgspec.structs.replace(
            record, cards=found.cards, cards_source=found.source, sharing=found.sharing
        )
    return made


def _pods(
    state: Gathered, nodes: Mapping[str, Node], around: Surroundings
) -> tuple[tuple[Pod, ...], dict[str, list[Pod]]]:
    """Return the pods that hold or ask for a GPU, and by workload id; the others go to the fold."""
    found: list[Pod] = []
    for _, kept in sorted(state.pods.items()):
        held = holdings(kept.record, nodes.get(kept.record.node or ""), around)
        if not held and reservation_group(kept.record) is None:
            refold(state, kept)
            continue
        root = state.owners.root(kept.start)
        found.append(msgspec.structs.replace(kept.record, workload=root.id(state.cluster), holdings=held))
        state.roots[found[-1].workload] = root
    groups: dict[str, list[Pod]] = {}
    for pod in found:
        groups.setdefault(pod.workload, []).append(pod)
    return tuple(found), groups


def _surroundings(state: Gathered, nodes: Mapping[str, Node], devices: _Devices) -> Surroundings:
    reserved, fractional = surroundings_of_groups(kept.record for kept in state.pods.values())
    shares = {
        key: share for key, item in devices.by_key.items() if (share := _share(item, nodes.get(item.node))) is not None
    }
    uses = [
        ((kept.record.namespace, name), kept.record.node)
        for kept in state.pods.values()
        if not kept.record.ended
        for name in kept.record.resource_claims
    ]
    users, bound = Counter(claim for claim, _ in uses), Counter(claim for claim, node in uses if node)
    claims = {(c.metadata.namespace, c.metadata.name): c for c in state.kept.values("claims", ResourceClaim)}
    return Surroundings(
        claims={
            key: claim_facts(c, devices.by_key, shares, users=users[key], bound=bound[key]) for key, c in claims.items()
        },
        by_claim={key: kept.by_claim for key, kept in state.pods.items() if kept.by_claim is not None},
        templates={(t.namespace, t.name): t.pieces for t in state.kept.values("templates", KeptTemplate)},
        asks={key: kept.templates for key, kept in state.pods.items() if kept.templates},
        extended=state.extended,
        offers=offers(nodes.values()),
        reserved=reserved,
        fractional=fractional,
    )


def _share(item: NamedDevice, node: Node | None) -> float | None:
    """Return what part of a card a MIG device is."""
    model = gpus.by_key(node.cards[0].model) if node and node.cards and node.cards[0].model else None
    return compute_share(item.profile, mig.for_model(model) if model else None) if item.profile else None


def _with_loads(
    state: Gathered, nodes: Mapping[str, Node], pods: Iterable[Pod], loads: Iterable[NodeLoad]
) -> tuple[Node, ...]:
    """Add to each node what all its pods ask for, and who else stands on a GPU node."""
    if ("", "Pod") not in state.seen:
        return tuple(nodes[name] for name in sorted(nodes))
    sums: dict[str, list[float]] = {name: [0.0, 0.0, 0.0] for name in nodes}
    tenants: dict[str, tuple[Tenant, ...]] = {}
    of_owner, same = _OfOwner(state), _Same()
    agents = _agents(state)
    for name, own in groupby(loads, key=attrgetter("node")):
        here: dict[str, list[float]] = {}
        shown = name in nodes and bool(nodes[name].cards)
        total = sums.setdefault(name, [0.0, 0.0, 0.0])
        for _, owner, count, cores, size in own:
            _add(total, count, cores, size)
            if shown and owner in state.seeds:
                _add(here.setdefault(of_owner(owner), [0.0, 0.0, 0.0]), count, cores, size)
        tenants[name] = _tenants(here, of_owner.roots, same)
    for pod in pods:
        if pod.node and not pod.ended:
            total = sums.setdefault(pod.node, [0.0, 0.0, 0.0])
            _add(total, 1, pod.requests.get("cpu", 0.0), pod.requests.get("memory", 0.0))
    return tuple(
        msgspec.structs.replace(
            nodes[name],
            pods_bound=int(sums[name][0]),
            cpu_requested_cores=round(sums[name][1], 3),
            memory_requested_bytes=int(sums[name][2]),
            tenants=tenants.get(name, ()),
            agents=dict(sorted(agents.get(name, {}).items())) if nodes[name].cards else {},
        )
        for name in sorted(nodes)
    )


def _agents(state: Gathered) -> dict[str, dict[str, bool]]:
    """Return the systems that run a pod on each node, and whether one of theirs is ready."""
    found: dict[str, dict[str, bool]] = {}
    for (node, _), told in state.agents.items():
        here = found.setdefault(node, {})
        for system, ready in told.items():
            here[system] = ready or here.get(system, False)
    return found


class _OfOwner:
    """Names the workload behind the owner key of folded pods; `roots` by workload."""

    def __init__(self, state: Gathered) -> None:
        self._state = state
        self._known: dict[str, str] = {}
        self.roots: dict[str, Root] = {}

    def __call__(self, key: str) -> str:
        if key not in self._known:
            root = self._state.owners.root(self._state.seeds[key])
            self._known[key] = root.id(self._state.cluster)
            self.roots[self._known[key]] = root
        return self._known[key]


def _add(row: list[float], pods: float, cores: float, size: float) -> None:
    row[0] += pods
    row[1] += cores
    row[2] += size


_Same = dict[tuple[object, ...], Tenant]


def _tenants(found: Mapping[str, list[float]], roots: Mapping[str, Root], same: _Same) -> tuple[Tenant, ...]:
    """Return the tenants of a node. Pods of one workload are alike: most nodes share the record with others."""
    return tuple([_tenant(roots[workload], workload, row, same) for workload, row in sorted(found.items())])


def _tenant(root: Root, workload: str, row: list[float], same: _Same) -> Tenant:
    key = (workload, *row)
    found = same.get(key)
    if found is None:
        found = same[key] = Tenant(
            workload=workload,
            pods=int(row[0]),
            cpu_cores=round(row[1], 3),
            memory_bytes=int(row[2]),
            daemon=root.kind == "DaemonSet" or root.pinned,
        )
    return found
