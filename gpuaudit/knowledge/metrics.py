"""Metric names: DCGM's, the ladder of activity, label dialects, kube-state-metrics, node_exporter."""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Literal

from gpuaudit.knowledge.reading import Entry, read_toml

LADDER: "tuple[LadderMetric, ...]"  # best first; read when first asked for


class LadderMetric(Entry, frozen=True):
    """A measure of activity: DCGM's name, the name in reports, and the factor to a ratio of 0-1."""

    name: str
    field: Literal["sm_active", "gr_engine_active", "gpu_util"]
    scale: float


class DcgmMetric(Entry, frozen=True):
    """A metric of dcgm-exporter; `default` = switched on in its stock counters file."""

    name: str
    type: Literal["gauge", "counter", "label"]
    unit: str
    default: bool
    use: str


class Feed(Entry, frozen=True):
    """Which metric feeds a field, and the factor to the field's unit."""

    metric: str
    scale: float


class DeviceFields(Entry, frozen=True):
    """What is read of a device besides the ladder; units in the names, ratios 0-1."""

    gpu_util: Feed
    tensor_active: Feed
    dram_active: Feed
    power_watts: Feed
    energy_joules: Feed  # counter
    memory_used_mib: Feed
    memory_free_mib: Feed
    memory_reserved_mib: Feed
    memory_copy_util: Feed
    sm_clock_mhz: Feed
    temperature_celsius: Feed
    last_xid: Feed  # number of the last XID, not a count
    xid_count: Feed  # within the exporter's window
    row_remap_failure: Feed
    uncorrectable_remapped_rows: Feed
    pcie_replays: Feed  # counter


class Labels(Entry, frozen=True):
    """Names under which a device series carries each thing, the preferred one first."""

    gpu_index: tuple[str, ...]
    uuid: tuple[str, ...]  # with MIG, of the parent GPU
    pci: tuple[str, ...]
    device: tuple[str, ...]
    model: tuple[str, ...]
    host: tuple[str, ...]
    host_fallback: tuple[str, ...]
    pod: tuple[str, ...]
    namespace: tuple[str, ...]
    container: tuple[str, ...]
    pod_uid: tuple[str, ...]
    mig_profile: tuple[str, ...]
    mig_instance: tuple[str, ...]
    driver_version: tuple[str, ...]
    xid: tuple[str, ...]
    dra_claim: tuple[str, ...]
    dra_claim_namespace: tuple[str, ...]
    dra_driver: tuple[str, ...]
    dra_pool: tuple[str, ...]
    dra_device: tuple[str, ...]
    dra_mig_profile: tuple[str, ...]
    dra_mig_uuid: tuple[str, ...]
    other: tuple[str, ...]
    replica: tuple[str, ...]  # of highly available Prometheus pairs
    source: str
    notes: tuple[str, ...]


class Exporter(Entry, frozen=True):
    """Patterns of pod and container names that are the exporter itself: never a workload."""

    pods: tuple[str, ...]
    containers: tuple[str, ...]
    source: str


class Blank(Entry, frozen=True):
    """Texts and numbers that stand for no value."""

    texts: tuple[str, ...]
    numbers: tuple[float, ...]
    source: str


class KubeStateMetrics(Entry, frozen=True):
    """Names of kube-state-metrics."""

    requests: str
    limits: str
    resource_label_rule: str
    series_labels: tuple[str, ...]
    needed: tuple[str, ...]
    labels_note: str
    scheduler_alternative: tuple[str, ...]
    cold_start: str
    source: str


class NodeExporter(Entry, frozen=True):
    """Names of node_exporter about the network."""

    infiniband_link: tuple[str, ...]
    infiniband_traffic: tuple[str, ...]
    infiniband_errors: tuple[str, ...]
    roce_congestion: tuple[str, ...]
    roce_loss: tuple[str, ...]
    infiniband_labels: tuple[str, ...]
    ethernet: tuple[str, ...]
    ethernet_speed_note: str
    ethtool_note: str
    link_layer_note: str
    source: str


class _File(Entry, frozen=True):
    compiled: str
    ladder: tuple[LadderMetric, ...]
    dcgm: tuple[DcgmMetric, ...]
    sources: dict[str, str]
    device_fields: DeviceFields
    labels: Labels
    exporter: Exporter
    blank: Blank
    kube_state_metrics: KubeStateMetrics
    node_exporter: NodeExporter


@cache
def _file() -> _File:
    return read_toml("metrics", _File)


def __getattr__(name: str) -> tuple[LadderMetric, ...]:
    if name == "LADDER":
        return _file().ladder
    raise AttributeError(name)


def dcgm(name: str) -> DcgmMetric | None:
    """Return what is known of a metric of dcgm-exporter."""
    return _dcgm_by_name().get(name)


def dcgm_metrics() -> tuple[DcgmMetric, ...]:
    """Return every metric of dcgm-exporter that is known."""
    return _file().dcgm


def device_fields() -> DeviceFields:
    """Return which metrics feed the usage tables."""
    return _file().device_fields


def labels() -> Labels:
    """Return the label dialects of device series."""
    return _file().labels


@lru_cache(maxsize=65536)
def is_exporter(*, pod: str = "", container: str = "") -> bool:
    """Whether labels name the exporter itself instead of a workload."""
    pods, containers = _exporter_patterns()
    return any(p.search(pod) for p in pods) or any(p.search(container) for p in containers)


def is_blank(value: float) -> bool:
    """Whether a sample is one of DCGM's numbers for: not found, not supported, no permission (NaN is blank too)."""
    return value != value or float(value) in _blank_numbers()  # noqa: PLR0124 - the NaN test that needs no import


def blank_numbers() -> frozenset[float]:
    """Return the numbers that stand for no value (see `is_blank`)."""
    return _blank_numbers()


def blank_texts() -> tuple[str, ...]:
    """Return the texts that exporters print in place of a value."""
    return _file().blank.texts


def kube_state_metrics() -> KubeStateMetrics:
    """Return the names of kube-state-metrics."""
    return _file().kube_state_metrics


def node_exporter() -> NodeExporter:
    """Return the names of node_exporter."""
    return _file().node_exporter


def sources() -> Mapping[str, str]:
    """Return the text behind each source tag of this table."""
    return _file().sources


@cache
def _dcgm_by_name() -> Mapping[str, DcgmMetric]:
    return {metric.name: metric for metric in _file().dcgm}


@cache
def _exporter_patterns() -> tuple[tuple[re.Pattern[str], ...], tuple[re.Pattern[str], ...]]:
    exporter = _file().exporter
    return tuple(map(re.compile, exporter.pods)), tuple(map(re.compile, exporter.containers))


@cache
def _blank_numbers() -> frozenset[float]:
    return frozenset(_file().blank.numbers)
