"""Read a test's Prometheus as the product does."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from gpuaudit.cluster.nodes import Node, Span
from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.collect.prometheus.asking import Asker
from gpuaudit.collect.prometheus.reading import Known, PrometheusReading, read_prometheus
from gpuaudit.collect.prometheus.transport import direct
from tests.metrics.history import START


def reading(
    url: str,
    *,
    hours: float = 24,
    start: datetime = START,
    matchers: Sequence[str] = (),
    nodes: Sequence[Node] = (),
    workloads: Sequence[str] = (),
    owner_of: Callable[[str, str, str, str], str | None] | None = None,
    seconds: float = 120,
    headers: Sequence[str] = (),
) -> tuple[PrometheusReading, Asker]:
    asker = Asker(direct(url, headers=headers), Deadline(seconds))
    known = Known(
        clusters=lambda sets: lambda label, source: label or "c", nodes=nodes, owner_of=owner_of, workloads=workloads
    )
    window = Span(start=start, end=start + timedelta(hours=hours))
    return read_prometheus(asker, window=window, known=known, matchers=matchers), asker
