"""ConfigMaps in which the node probe publishes what hosts tell of themselves."""

from collections.abc import Iterator
from typing import NamedTuple

from gpuaudit.cluster.node_facts import HostFacts
from gpuaudit.collect.gather.state import Gathered
from gpuaudit.collect.inputs.node_documents import read_documents
from gpuaudit.collect.kubernetes_types import Identity
from gpuaudit.collect.kubernetes_types.core import ConfigMap
from gpuaudit.errors import UserError
from gpuaudit.knowledge.probe import probe

TABLE = "published"


class Published(NamedTuple):
    """A document of a node, and the namespace that it was published in: who may write there can say anything."""

    namespace: str
    facts: HostFacts


def is_published(item: ConfigMap) -> bool:
    """Whether a ConfigMap is one of the probe."""
    return (item.metadata.labels or {}).get(probe().label) == probe().name


def take_published(state: Gathered, item: ConfigMap) -> None:
    """Decode what the probe published, within bounds; what is none is counted as broken."""
    meta: Identity = item.metadata
    limits = probe().limits
    text = (item.data or {}).get(probe().configmap_key, "")
    if not state.kept.wants(TABLE, item.metadata):
        return
    if len(text) > 2 * limits.configmap_bytes or state.kept.count(TABLE) >= limits.configmaps:
        _refuse(state, meta, "more than the probe publishes")
        return
    try:
        found = read_documents(text.encode(), name=meta.name).facts
    except UserError as error:
        _refuse(state, meta, error.message)
        return
    newest = max(found, key=lambda facts: facts.taken_at)
    state.kept.put(TABLE, item.metadata, Published(meta.namespace, newest))


def published(state: Gathered) -> Iterator[Published]:
    """Yield the documents by namespace and name."""
    return state.kept.values(TABLE, Published)


def _refuse(state: Gathered, meta: Identity, reason: str) -> None:
    state.broken.add(("", "ConfigMap"), meta.namespace, f"ConfigMap {meta.namespace}/{meta.name}", reason)
