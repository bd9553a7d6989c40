"""What hosts tell of themselves in a live scan: the probe's ConfigMaps and logs in each cluster, and this very host."""

import os
import socket
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.platform import Source
from gpuaudit.collect.gather.published import Published
from gpuaudit.collect.inventory import Inventory
from gpuaudit.collect.joining.hosts import HostIndex
from gpuaudit.collect.joining.node_merge import Told
from gpuaudit.collect.kubernetes.connection import Connection
from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.collect.kubernetes.probes import read_probes
from gpuaudit.collect.this_host import NODE_NAME, read_host

RECENT = timedelta(hours=1)  # a ConfigMap this young makes reading the pod's log needless


class Hosts(NamedTuple):
    """Documents, and the sources that say how reading them went."""

    told: tuple[Told, ...] = ()
    sources: tuple[Source, ...] = ()


def told_in_configmaps(published: Iterable[Published], cluster: str, *, namespace: str) -> list[Told]:
    """Return the documents of ConfigMaps in the probe's namespace, each of the node that it names."""
    return [
        Told(one.facts, cluster, one.facts.node) for one in published if one.namespace == namespace and one.facts.node
    ]


def told_by_probes(
    clusters: Sequence[tuple[Connection, Inventory]], deadline: Deadline, *, namespace: str, now: datetime
) -> Hosts:
    """Return what the probes of the clusters tell: ConfigMaps that the lists hold, else the logs of their pods."""
    told: list[Told] = []
    sources: list[Source] = []
    for connection, inventory in clusters:
        name = inventory.clusters[0].name
        published = told_in_configmaps(inventory.published, name, namespace=namespace)
        recent = [one.node for one in published if one.node and now - one.facts.taken_at <= RECENT]
        found = read_probes(connection, name, deadline, namespace=namespace, known=recent)
        told += [*published, *found.told]
        sources += [found.source] if found.source else []
    return Hosts(tuple(told), tuple(sources))


def this_host(asked: bool | None, nodes: Sequence[Node], *, cluster: str | None, now: datetime) -> Hosts:
    """Return this host's facts if they are `asked` for; when nobody said (None), if it is one of the nodes.

    `cluster` is whose it is taken to be when it is no node that is listed; None = of none, it stands for itself.
    """
    names = [name for name in (os.environ.get(NODE_NAME), socket.gethostname()) if name]
    index = HostIndex(nodes)
    home = next((key for name in names if (key := index.find(name))), None)
    if asked is False or (asked is None and home is None):
        return Hosts()
    facts = read_host(now=now)
    if not facts.gpus and asked is None:
        return Hosts()
    if not facts.gpus:
        why = facts.notes[0] if facts.notes else "its driver knows no GPU"
        return Hosts(sources=(Source(name="this host", status="failed", detail=f"{facts.host}: {why}"),))
    return Hosts((Told(facts, home[0] if home else cluster or facts.host),))
