"""How reading the metrics went: one line of coverage, and the facts that they give."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from gpuaudit.cluster.platform import Source, SourceStatus
from gpuaudit.collect.metrics.parts import MetricsPart
from gpuaudit.knowledge import engines, fabric, metrics, series

MIN_JOIN = 0.9  # of the device series: fewer hosts or pods that the API server knows, and they are of another cluster
MIN_HISTORY = timedelta(hours=24)
NAME = "metrics"
_ENGINES = {"engine": "engine_metrics", "server": "engine_metrics", "gateway": "gateway_metrics"}


def foreign(part: MetricsPart) -> bool:
    """Whether the metrics do not fit the cluster that the API server lists."""
    return part.join_ratio is not None and part.join_ratio < MIN_JOIN


def metric_source(part: MetricsPart, files: Sequence[str], remarks: Sequence[str]) -> Source:
    """Return the source. Foreign metrics are `failed` and give nothing."""
    if not files:
        return Source(name=NAME, status="absent", detail="no metrics among the inputs: utilization is unknown")
    if foreign(part):
        detail = (
            f"of another cluster: Kubernetes knows the host or pod of only {_percent(part.join_ratio)} of the device "
            f"series, and {_percent(MIN_JOIN)} are needed, so nothing is judged by them; give those of this cluster"
        )
        return Source(name=NAME, status="failed", detail=detail)
    devices = part.usage.devices
    said = [f"{count_of(len(files), 'file')}, {count_of(devices['device'].nunique(), 'device')}"]
    if part.join_ratio is not None:
        said.append(f"Kubernetes knows the host or pod of {_percent(part.join_ratio)} of the series")
    if len(devices) and not part.history:
        said.append("a point in time: it confirms nothing about the window")
    if part.unplaced_series:
        said.append(f"{part.unplaced_series} series name no device")
    status: SourceStatus = "partial" if remarks or not len(devices) else "ok"
    if not len(devices):
        said.append("no GPU was measured")
    return Source(name=NAME, status=status, detail="; ".join([*said, *remarks]), provides=facts_of(part))


def count_of(number: int, what: str) -> str:
    """Return `1 file`, `3 files`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def facts_of(part: MetricsPart) -> tuple[str, ...]:
    """Return the names of the facts (knowledge.facts) that the metrics give."""
    found = facts_of_names(metric.name for metric in part.metrics if metric.series)
    found -= {"network_metrics", *_ENGINES.values()}
    if part.ports:  # of hosts that are listed, not only of any
        found.add("network_metrics")
    known = engines.engines()
    found |= {_ENGINES[known[one.engine].kind] for one in part.served if one.engine in known}
    if (part.usage.devices["metric"] != "").any():
        found.add("utilization")
    if part.attributed:
        found.add("pod_attribution")
    if _measured(part) >= MIN_HISTORY:
        found.add("history")
    return tuple(sorted(found))


def facts_of_names(names: Iterable[str]) -> set[str]:
    """Return the facts that series of these metrics give, whatever they say."""
    watched = {series.facts().owner.pod.metric: "pod_history"}
    watched |= {name: _ENGINES[kind] for name, kind in engines.detecting().items()}
    watched |= dict.fromkeys(fabric.port_metrics(), "network_metrics")
    watched |= {row.name: row.field for row in metrics.LADDER}
    fields = metrics.device_fields()
    watched |= {
        fields.tensor_active.metric: "tensor_active",
        fields.dram_active.metric: "dram_active",
        fields.power_watts.metric: "power",
        fields.energy_joules.metric: "power",
        fields.memory_used_mib.metric: "memory_used",
        fields.last_xid.metric: "gpu_errors",
        fields.row_remap_failure.metric: "gpu_errors",
    }
    return {watched[name] for name in names if name in watched}


def _measured(part: MetricsPart) -> timedelta:
    """Return the longest time over which a device was measured, the interval of the first sample included."""
    import pandas as pd

    devices = part.usage.devices
    rows = devices[(devices["metric"] != "") & devices["interval_seconds"].notna()]
    if rows.empty:
        return timedelta()
    spans = rows.groupby(["cluster", "device"]).agg({"first": "min", "last": "max", "interval_seconds": "max"})
    longest = spans["last"] - spans["first"] + pd.to_timedelta(spans["interval_seconds"], unit="s")
    return timedelta(seconds=float(longest.dt.total_seconds().max()))


def _percent(ratio: float | None) -> str:
    return f"{100 * (ratio or 0):.0f} %"
