"""Fold what hosts tell of themselves (NVML, sysfs, nvidia-smi) into the nodes: by UUID, by host name, by index."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from gpuaudit.cluster.node_facts import HostFacts, MemoryFaults
from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.platform import Source
from gpuaudit.collect.joining.hosts import HostIndex, NodeKey
from gpuaudit.collect.joining.metric_source import count_of
from gpuaudit.collect.joining.node_cards import SOURCE, with_facts

MAX_AGE = timedelta(hours=24)
CLOCK_SKEW = timedelta(hours=1)  # newer than the audit by more: the host's clock is wrong
NAMED = 6
MOST_NOTES = 3


class Told(NamedTuple):
    """A host's document and the cluster that it is taken to be of.

    `node` is where a probe ran, as the cluster says it: the document is of that node and no other, whatever it claims.
    """

    facts: HostFacts
    cluster: str
    node: str | None = None


@dataclass(frozen=True, kw_only=True)
class Merged:
    """The nodes, the fresh facts by node (the newest of each), and how that went (None = no facts at all)."""

    nodes: tuple[Node, ...]
    fresh: tuple[tuple[NodeKey, HostFacts], ...] = ()
    source: Source | None = None


def merge_hosts(
    nodes: Iterable[Node], told: Sequence[Told], *, taken_at: datetime, max_age: timedelta = MAX_AGE
) -> Merged:
    """Return the nodes with the facts of their hosts; a host with GPUs that nobody lists becomes a node.

    Of several documents of one host the newest counts. Facts older than `max_age` are said to be stale, fill what is
    unknown and override nothing. What a probe told of a node that is gone is left out.
    """
    known = {node.key: node for node in nodes}
    listed = {key[0] for key, node in known.items() if node.listed}
    gone = {(one.cluster, one.node) for one in told if one.node and one.cluster in listed} - known.keys()
    told = [one for one in told if (one.cluster, one.node) not in gone]
    newest = _newest(_Finder(known.values()), told)
    added, fresh = [], []
    for key, facts in sorted(newest.items()):
        is_fresh = -CLOCK_SKEW <= taken_at - facts.taken_at <= max_age
        if key not in known:
            if not facts.gpus:
                continue
            known[key] = Node(cluster=key[0], name=key[1], listed=False)
            added.append(key[1])
        known[key] = with_facts(known[key], facts, fresh=is_fresh)
        if is_fresh:
            fresh.append((key, facts))
    source = _source(newest, fresh, added, len(told), sorted(key[1] for key in gone)) if told or gone else None
    return Merged(nodes=tuple(known[key] for key in sorted(known)), fresh=tuple(fresh), source=source)


class _Finder:
    """Finds the node of a host: the cards' UUIDs decide, then its names."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        listed = tuple(nodes)
        self._hosts = HostIndex(listed)
        self._homes: dict[str, set[NodeKey]] = {}
        for node in listed:
            for card in node.cards:
                if card.uuid:
                    self._homes.setdefault(card.uuid, set()).add(node.key)

    def find(self, told: Told) -> NodeKey:
        facts, cluster, node = told
        if node:
            return (cluster, node)
        homes = {key for gpu in facts.gpus if gpu.uuid for key in self._homes.get(gpu.uuid, ())}
        if len(homes) == 1:
            return next(iter(homes))
        names = [name for name in (facts.node, facts.host) if name]
        for clusters in (frozenset({cluster}), None):
            for name in names:
                if found := self._hosts.find(name, clusters=clusters):
                    return found
        return (cluster, names[0][:253])


def _newest(finder: _Finder, told: Sequence[Told]) -> dict[NodeKey, HostFacts]:
    """Return the newest document of each host, whatever the order of the inputs."""
    found: dict[NodeKey, HostFacts] = {}
    for one in told:
        key = finder.find(one)
        other = found.get(key)
        if other is None or _rank(one.facts) > _rank(other):
            found[key] = one.facts
    return found


def _rank(facts: HostFacts) -> tuple[datetime, int, str]:
    return (facts.taken_at, len(facts.gpus), repr(facts))


def _source(
    newest: dict[NodeKey, HostFacts],
    fresh: Sequence[tuple[NodeKey, HostFacts]],
    added: Sequence[str],
    documents: int,
    gone: Sequence[str | None],
) -> Source:
    said = [count_of(len(newest), "host")]
    if documents > len(newest):
        said.append(f"{count_of(documents, 'document')}, the newest of each host counts")
    current = {key for key, _ in fresh}
    stale = [(key[1], facts.taken_at) for key, facts in sorted(newest.items()) if key not in current]
    if stale:
        named = ", ".join(f"{name} of {when:%Y-%m-%d %H:%M} UTC" for name, when in stale[:NAMED])
        more = f" and {len(stale) - NAMED} more" if len(stale) > NAMED else ""
        said.append(f"stale, overriding nothing: {named}{more}")
    if gone:
        named = ", ".join(str(name) for name in gone[:NAMED]) + (", …" if len(gone) > NAMED else "")
        said.append(f"of nodes that are gone, and left out: {named}")
    if added:
        named = ", ".join(added[:NAMED]) + (", …" if len(added) > NAMED else "")
        said.append(f"in no node list: {named}")
    if any(gpu.utilization is not None or gpu.memory_used_mib is not None for _, facts in fresh for gpu in facts.gpus):
        said.append("what they measure is a point in time: it confirms nothing about the window")
    said += sorted({note for _, facts in fresh for note in facts.notes})[:MOST_NOTES]
    provides = []
    if any(facts.driver for _, facts in fresh):
        provides += ["driver_versions", "node_facts"]
    if any(gpu.lost or gpu.faults != MemoryFaults() for _, facts in fresh for gpu in facts.gpus):
        provides.append("gpu_errors")
    if any(facts.fabric.ports for _, facts in fresh):
        provides.append("node_network")
    ports = (port for _, facts in fresh for port in facts.fabric.ports if port.kind == "roce")
    if any(port.pfc_priorities is not None for port in ports):
        provides.append("node_lossless")
    status = "partial" if stale else "ok"
    return Source(name=SOURCE, status=status, detail="; ".join(said), provides=tuple(sorted(provides)))  # type: ignore[arg-type]
