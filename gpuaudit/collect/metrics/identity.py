"""Labels → which device a series is about, on which host, and which pod held it; in any dialect of labels."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.usage import NOBODY, UNKNOWN_OWNER
from gpuaudit.collect.joining.hosts import HostIndex
from gpuaudit.collect.metrics.store import Series
from gpuaudit.knowledge import metrics, series

ClusterOf = Callable[[str, str], str]  # value of the cluster label ("" = none) and source → name of the cluster

MAX_ID = 200


class Holder(NamedTuple):
    """A pod as the metrics name it; NOBODY_HOLDS and UNKNOWN_HOLDER are no pods."""

    namespace: str
    pod: str


NOBODY_HOLDS = Holder("", NOBODY)
UNKNOWN_HOLDER = Holder("", UNKNOWN_OWNER)


class Device(NamedTuple):
    """What a series is about. `instance` and `profile` are "" unless it is a MIG device; `id` is the usage tables'."""

    cluster: str
    id: str
    card: str
    node: str
    place: int | None  # index of the card in its host
    instance: str
    profile: str
    model: str  # as the exporter prints it, "" = blank


class Scope(NamedTuple):
    """One deployment of an exporter: all its pods are configured alike."""

    cluster: str
    job: str


class Attribution(NamedTuple):
    """A metric of an exporter: it carries pod labels wherever a pod holds the device, or nowhere."""

    scope: Scope
    metric: str


class Places:
    """Tells the device and the host of series; listed nodes decide between several names of one host."""

    def __init__(self, store: Iterable[Series], cluster_of: ClusterOf, nodes: Collection[Node]) -> None:
        self._cluster_of = cluster_of
        self._listed = HostIndex(nodes)
        self.clusters = frozenset(node.cluster for node in nodes)
        self._all = [one for one in store if is_device(one) or one.name == series.facts().node.metric]
        self._nodes: dict[tuple[str, tuple[str, ...]], str] = {}

    def device(self, one: Series) -> Device | None:
        """Return the device of a series; None when neither a UUID nor a place in a host names it."""
        cluster, node, index = self.cluster(one), self.node(one), _index(one.labels)
        card = _first(one.labels, metrics.labels().uuid)
        if not card and (index is None or not node):
            return None
        card = card or self._uuids.get((cluster, node, index or 0)) or f"{node}/{index}"
        instance = _first(one.labels, metrics.labels().mig_instance)
        profile = _first(one.labels, metrics.labels().mig_profile) if instance else ""
        device = f"{card}/{instance}" if instance else card
        model = _first(one.labels, metrics.labels().model)
        return Device(cluster, device, card, node, index, instance, profile, model)

    def cluster(self, one: Series) -> str:
        """Return the name of the cluster of a series."""
        return self._cluster_of(_first(one.labels, series.facts().cluster), one.source)

    def node(self, one: Series) -> str:
        """Return the host of a series, "" when it has none: a listed node if any label names one."""
        cluster, names = self.cluster(one), tuple(host_names(one))
        found = self._nodes.get((cluster, names))
        if found is None:
            nodes = [node for name in names if (node := self.listed(cluster, name))]
            addressed = [node for name in names if (node := self._addresses.get((cluster, name)))]
            found = (nodes or addressed or names or [""])[0]
            self._nodes[(cluster, names)] = found
        return found

    def listed(self, cluster: str, name: str) -> str | None:
        """Return the listed node of a cluster that a name or an address means."""
        key = self._listed.find(name, clusters=frozenset({cluster})) if name else None
        return key[1] if key else None

    @cached_property
    def _addresses(self) -> Mapping[tuple[str, str], str]:
        facts = series.facts().node
        named = [one for one in self._all if one.name == facts.metric]
        named.sort(key=lambda one: one.last or 0)
        return {
            (self.cluster(one), one.labels[facts.address]): one.labels.get(facts.name, "")
            for one in named
            if facts.address in one.labels
        }

    @cached_property
    def _uuids(self) -> Mapping[tuple[str, str, int], str]:
        """Map a place in a host to the one UUID seen there."""
        found: dict[tuple[str, str, int], set[str]] = {}
        for one in self._all:
            uuid, index = _first(one.labels, metrics.labels().uuid), _index(one.labels)
            if uuid and index is not None:
                found.setdefault((self.cluster(one), self.node(one), index), set()).add(uuid)
        return {place: next(iter(uuids)) for place, uuids in found.items() if len(uuids) == 1}


class Holders:
    """Tells which pod a device series names; where an exporter names no pod on any series, nobody knows."""

    def __init__(self, store: Iterable[Series]) -> None:
        names = metrics.labels().pod
        prefix = series.facts().exported_prefix
        self._exported = tuple(name for name in names if name.startswith(prefix))
        self._plain = tuple(name for name in names if not name.startswith(prefix))
        devices = [one for one in store if is_device(one)]
        self._renamed = {scope(one) for one in devices if _first(one.labels, self._exported)}
        self._attributed = {Attribution(scope(one), one.name) for one in devices if self._pod(one)}

    def holder(self, one: Series) -> Holder:
        """Return the pod that held the device, NOBODY_HOLDS, or UNKNOWN_HOLDER."""
        pod = self._pod(one)
        if pod:
            return pod
        return NOBODY_HOLDS if Attribution(scope(one), one.name) in self._attributed else UNKNOWN_HOLDER

    def scraper(self, one: Series) -> tuple[str, ...]:
        """Return what tells apart two scrapers of one exporter; equal for all pods on one device."""
        keys = (*series.facts().scrape, *metrics.labels().replica)
        own = self._plain if scope(one) in self._renamed else ()
        return (*(one.labels.get(key, "") for key in (*keys, *own)), one.source)

    def _pod(self, one: Series) -> Holder | None:
        known = metrics.labels()
        usable = self._exported if scope(one) in self._renamed else self._plain
        for pod_label, namespace_label, container_label in zip(
            known.pod, known.namespace, known.container, strict=False
        ):
            pod = one.labels.get(pod_label, "") if pod_label in usable else ""
            if pod and not metrics.is_exporter(pod=pod, container=one.labels.get(container_label, "")):
                return Holder(one.labels.get(namespace_label, "")[:MAX_ID], pod[:MAX_ID])
        return None


def is_device(one: Series) -> bool:
    """Whether a series is about a GPU."""
    return metrics.dcgm(one.name) is not None


def scope(one: Series) -> Scope:
    """Return the exporter deployment that a series comes from."""
    return Scope(_first(one.labels, series.facts().cluster), one.labels.get(series.facts().job, ""))


def host_names(one: Series) -> list[str]:
    """Return every name of the host that the labels give, the exporter's own pod name and ports left out."""
    known = metrics.labels()
    names = [one.labels[key] for key in (*known.host, *known.host_fallback) if one.labels.get(key)]
    return [re.sub(r":\d+$", "", name)[:MAX_ID] for name in names if not metrics.is_exporter(pod=name)]


def _first(labels: Mapping[str, str], keys: Iterable[str]) -> str:
    for key in keys:
        if value := labels.get(key):
            return value[:MAX_ID]
    return ""


def _index(labels: Mapping[str, str]) -> int | None:
    known = metrics.labels()
    text = _first(labels, known.gpu_index) or re.sub(r"^nvidia", "", _first(labels, known.device))
    return int(text) if re.fullmatch(r"\d{1,4}", text) else None
