"""A tenant's view: nodes are known only as far as the pods that may be read hold cards of them."""

import math
from collections.abc import Iterable, Mapping

import msgspec

from gpuaudit.cluster.nodes import Card, Node
from gpuaudit.cluster.workloads import Pod
from gpuaudit.knowledge.objects import objects


def tenant_nodes(pods: Iterable[Pod], known: Mapping[str, Node]) -> tuple[Node, ...]:
    """Return the nodes with just the cards that these pods hold, since the first of them runs there; not listed.

    What others hold of a node, and what is free on it, is not known: it must not look free.
    """
    holders: dict[str, list[Pod]] = {}
    for pod in pods:
        if pod.holds and pod.node:
            holders.setdefault(pod.node, []).append(pod)
    return tuple(_node(name, holders[name], known.get(name)) for name in sorted(holders))


def _node(name: str, pods: list[Pod], known: Node | None) -> Node:
    held = sum(pod.gpus or 0.0 for pod in pods)
    count = max(1, min(math.ceil(round(held, 6)), objects().cards.max_per_node))
    starts = [start for pod in pods if (start := pod.scheduled or pod.created)]
    cards = (known.cards if known else ())[:count]
    cards += tuple(Card(index=index) for index in range(len(cards), count))
    return msgspec.structs.replace(
        known or Node(cluster=pods[0].cluster, name=name),
        listed=False,
        created=min(starts, default=None),
        cards=cards,
        cards_source="what the pods that may be read hold",
        pods_bound=None,
        cpu_requested_cores=None,
        memory_requested_bytes=None,
        tenants=(),
        agents={},
    )
