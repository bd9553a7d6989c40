"""Metric histories with known answers, written as texts and as Prometheus answers."""

import io
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from gpuaudit.cluster.nodes import Node, Span
from gpuaudit.collect.metrics.parts import MetricsPart, metrics_part
from gpuaudit.collect.metrics.store import SampleStore

START = datetime(2026, 11, 9, tzinfo=UTC)
SM, GR, UTIL = "DCGM_FI_PROF_SM_ACTIVE", "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_GPU_UTIL"
TENSOR, DRAM = "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_DRAM_ACTIVE"
POWER, ENERGY = "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
USED, FREE, RESERVED = "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_RESERVED"
XID = "DCGM_FI_DEV_XID_ERRORS"

Point = tuple[float, object]  # seconds after START, value


def labels(gpu: int = 0, host: str = "node-1", pod: str = "", **more: str) -> dict[str, str]:
    known = {
        "gpu": str(gpu),
        "UUID": f"GPU-{host}-{gpu}",
        "device": f"nvidia{gpu}",
        "modelName": "NVIDIA H100 80GB HBM3",
        "Hostname": host,
    }
    if pod:
        known |= {"pod": pod, "namespace": "team-a", "container": "main"}
    return known | more


def steady(value: object, *, hours: float, step: float = 30, start: float = 0) -> list[Point]:
    """Return a value at every step, the first one a step after `start`."""
    return [(start + (i + 1) * step, value) for i in range(round(hours * 3600 / step))]


def changing(value: Callable[[float], object], *, hours: float, step: float = 30, start: float = 0) -> list[Point]:
    return [(t, value(t)) for t, _ in steady(0, hours=hours, step=step, start=start)]


def ms(seconds: float) -> int:
    return round((START.timestamp() + seconds) * 1000)


def lines(name: str, of: dict[str, str], points: Iterable[Point]) -> list[str]:
    """Return exposition lines with timestamps in ms."""
    inside = ",".join(f'{key}="{value}"' for key, value in of.items())
    return [f"{name}{{{inside}}} {value} {ms(t)}" for t, value in points]


def dump_lines(name: str, of: dict[str, str], points: Iterable[Point]) -> list[str]:
    """Return lines as `promtool tsdb dump` prints them."""
    inside = ", ".join(f'{key}="{value}"' for key, value in sorted({**of, "__name__": name}.items()))
    return [f"{{{inside}}} {value} {ms(t)}" for t, value in points]


def openmetrics(name: str, of: dict[str, str], points: Iterable[Point]) -> list[str]:
    """Return OpenMetrics lines: timestamps in seconds."""
    inside = ",".join(f'{key}="{value}"' for key, value in of.items())
    return [f"# TYPE {name} gauge"] + [f"{name}{{{inside}}} {value} {ms(t) / 1000}" for t, value in points]


def matrix(series: Sequence[tuple[dict[str, str], Sequence[Point]]]) -> bytes:
    """Return the answer to a query_range; the metric's name is in `__name__` if at all."""
    result = [{"metric": of, "values": [[ms(t) / 1000, str(v)] for t, v in points]} for of, points in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


def read(*texts: Sequence[str]) -> SampleStore:
    """Return a store with each text as a file of its own."""
    store = SampleStore()
    for number, text in enumerate(texts):
        store.add_text(io.BytesIO("\n".join(text).encode() + b"\n"), source=f"file-{number}")
    return store


def part(
    store: SampleStore,
    *,
    hours: float = 24 * 14,
    nodes: Sequence[Node] = (),
    workloads: Sequence[str] = (),
    owner_of: Callable[[str, str, str, str], str | None] | None = None,
    start: datetime = START,
) -> MetricsPart:
    """Make the parts of the window that begins at START."""
    end = start + timedelta(hours=hours)
    return metrics_part(
        store,
        window=Span(start=start, end=end),
        taken_at=end,
        cluster_of=lambda label, source: label or "c",
        nodes=nodes,
        owner_of=owner_of,
        workloads=workloads,
    )


def gpu_hours(made: MetricsPart) -> dict[tuple[str, str], float]:
    """Return GPU-hours by (device, owner), from the hourly rows."""
    devices = made.usage.devices.set_index(["device", "owner"])
    sums = made.usage.hourly.groupby(["device", "owner"])["samples"].sum()
    return {
        key: float(samples * devices.loc[key, "interval_seconds"] / 3600 * devices.loc[key, "gpus"])
        for key, samples in sums.items()
    }
