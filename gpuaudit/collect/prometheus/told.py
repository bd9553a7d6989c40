"""How asking for metrics went, in one line for a person, and as a source of the snapshot."""

from collections import Counter
from collections.abc import Sequence

from gpuaudit.cluster.platform import Source, SourceStatus
from gpuaudit.collect.joining.metric_source import MIN_JOIN, count_of, facts_of, foreign
from gpuaudit.collect.metrics.parts import MetricsPart
from gpuaudit.collect.prometheus.reading import PrometheusReading

NAME = "prometheus"
EXPORTERS = "dcgm-exporter"


def prometheus_source(reading: PrometheusReading, server: str, *, cluster: str | None = None) -> Source:
    """Return the source that a reading is: ok, partial (some hours or columns are missing), or failed."""
    part, status = reading.part, _status(reading)
    said = [f"{_who(reading)} at {server}"]
    if reading.flavour is None:
        said.append(reading.troubles[0] if reading.troubles else "it did not answer")
    elif foreign(part):
        said.append(
            f"of another cluster: the node list knows the host or pod of only {part.join_ratio or 0:.0%} of the device "
            f"series, and {MIN_JOIN:.0%} are needed; nothing is judged by them"
        )
    else:
        said += _measured(reading)
    if reading.flavour is not None:
        said += reading.troubles[:3]
        if reading.refused and reading.flavour.hint:
            said.append(reading.flavour.hint)
    provides = facts_of(part) if status in ("ok", "partial") else ()
    return Source(name=NAME, status=status, detail="; ".join(said), provides=provides, cluster=cluster)


def exporters_source(part: MetricsPart, *, asked: int, troubles: Sequence[str], cluster: str) -> Source:
    """Return the source that a cluster's exporters are."""
    answered = asked - len(troubles)
    said = [f"{answered} of {count_of(asked, 'exporter')} answered through the API server's proxy"]
    status: SourceStatus = "failed" if not answered else "partial"
    if answered:
        said.append("a point in time: it confirms nothing about the window")
    said += [f"{text} ({count} times)" for text, count in Counter(troubles).most_common(2)]
    return Source(
        name=EXPORTERS,
        status=status,
        detail="; ".join(said),
        provides=facts_of(part) if answered else (),
        cluster=cluster,
    )


def _status(reading: PrometheusReading) -> SourceStatus:
    if reading.flavour is None or foreign(reading.part):
        return "failed"
    if not len(reading.part.usage.devices):
        return "failed" if reading.troubles else "partial"
    return "partial" if reading.troubles or reading.lost_hours else "ok"


def _who(reading: PrometheusReading) -> str:
    name = reading.flavour.name if reading.flavour else "Prometheus"
    return f"{name} {reading.version}".strip()


def _measured(reading: PrometheusReading) -> list[str]:
    part = reading.part
    devices = part.usage.devices
    if not len(devices):
        return ["it has no device metrics (DCGM_FI_…) of this window"]
    said = [count_of(devices["device"].nunique(), "device")]
    if reading.since is not None:
        said.append(f"history since {reading.since:%d %b %Y %H:%M}")
    interval = devices["interval_seconds"].median()
    if interval == interval:  # noqa: PLR0124 - NaN
        said.append(f"a sample every {interval:.3g} s")
    if part.join_ratio is not None:
        said.append(f"the node list knows {part.join_ratio:.0%} of the series")
    if reading.lost_hours:
        said.append(f"{reading.lost_hours} of {reading.hours} hours went unanswered and are unknown")
    if reading.recorded:
        said.append(f"{count_of(reading.recorded, 'recording rule')} used")
    return said
