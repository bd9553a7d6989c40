"""What the labels around metric series mean: clusters, scrapers, kube-state-metrics owners, names of pods."""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from gpuaudit.knowledge import engines, fabric, metrics
from gpuaudit.knowledge.reading import Entry, read_toml


class OwnerSeries(Entry, frozen=True):
    """A metric of kube-state-metrics that names the owner of an object, and the labels that say it."""

    metric: str
    namespace: str
    name: str
    owner_kind: str
    owner_name: str


class OwnerFacts(Entry, frozen=True):
    """How kube-state-metrics tells owners; `parents` by the kind of the object that is owned."""

    none: tuple[str, ...]
    static_kinds: tuple[str, ...]
    pod: OwnerSeries
    source: str
    parents: dict[str, OwnerSeries]


class NodeFacts(Entry, frozen=True):
    """How kube-state-metrics tells which nodes there were."""

    metric: str
    name: str
    address: str
    source: str


class PodName(Entry, frozen=True):
    """How controllers of these kinds name their pods."""

    kinds: tuple[str, ...]
    pattern: str


class SeriesFacts(Entry, frozen=True):
    """The whole table."""

    cluster: tuple[str, ...]
    job: str
    scrape: tuple[str, ...]
    exported_prefix: str
    max_interval_seconds: float
    copy_distance: float
    owner: OwnerFacts
    node: NodeFacts
    pod_name: tuple[PodName, ...]


@cache
def facts() -> SeriesFacts:
    """Return the table."""
    return read_toml("series", SeriesFacts)


def owner_candidates(pod: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, name) of the workloads that could have made a pod of this name, the likeliest first."""
    for kinds, pattern in _pod_patterns():
        match = pattern.match(pod[:300])
        if match:
            yield from ((kind, match["name"]) for kind in kinds)


@cache
def sampled() -> Mapping[str, str]:
    """Return the metrics whose every sample counts: field of the usage tables by metric name."""
    fields = metrics.device_fields()
    feeds: dict[str, str] = {row.name: row.field for row in metrics.LADDER}
    feeds |= {
        fields.gpu_util.metric: "gpu_util",
        fields.tensor_active.metric: "tensor",
        fields.dram_active.metric: "dram",
        fields.power_watts.metric: "power",
        fields.energy_joules.metric: "energy",
        fields.memory_used_mib.metric: "memory",
        facts().node.metric: "node",
    }
    return feeds


@cache
def scales() -> Mapping[str, float]:
    """Return the factor to the unit of each field of `sampled` (ratios 0-1, watts, joules, MiB)."""
    fields = metrics.device_fields()
    ladder: dict[str, float] = {row.field: row.scale for row in metrics.LADDER}
    return ladder | {
        "gpu_util": fields.gpu_util.scale,
        "tensor": fields.tensor_active.scale,
        "dram": fields.dram_active.scale,
        "power": fields.power_watts.scale,
        "energy": fields.energy_joules.scale,
        "memory": fields.memory_used_mib.scale,
    }


@cache
def ratios() -> frozenset[str]:
    """Return the fields that lie in 0-1: a value above is a gap."""
    return frozenset({row.field for row in metrics.LADDER} | {"gpu_util", "tensor", "dram"})


@cache
def known() -> frozenset[str]:
    """Return every metric name worth counting: devices', engines' and kube-state-metrics'."""
    owner = facts().owner
    names = (
        {row.name for row in metrics.dcgm_metrics()}
        | set(sampled())
        | set(engines.by_name())
        | set(engines.detecting())
    )
    names |= {owner.pod.metric, *(parent.metric for parent in owner.parents.values())}
    names |= {re.split(r"[{(]", name)[0] for name in metrics.kube_state_metrics().needed}
    network = metrics.node_exporter()
    links = {*network.infiniband_link, *network.infiniband_traffic, *network.infiniband_errors}
    return frozenset(names | links | fabric.port_metrics())


@cache
def _pod_patterns() -> tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]:
    return tuple((row.kinds, re.compile(row.pattern)) for row in facts().pod_name)
