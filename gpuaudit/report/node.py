"""One host's facts: as JSON, and drawn for a terminal (GPUs, MIG layout, topology, ports)."""

from typing import Any

import msgspec

from gpuaudit.cluster.node_facts import HostFacts
from gpuaudit.report.json import encode
from gpuaudit.report.node_gpus import draw_gpu
from gpuaudit.report.node_network import draw_network
from gpuaudit.report.node_topology import draw_topology
from gpuaudit.report.terminal.canvas import Canvas, Screen
from gpuaudit.report.terminal.wrapping import Piece


def render_json(facts: HostFacts) -> str:
    """Return the document `gpuaudit.node/v1`: every key always there, null = unknown."""
    return encode(_full(facts))


def _full(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _full(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [_full(item) for item in value]
    if isinstance(value, dict):
        return {key: _full(item) for key, item in value.items()}
    return value


def render_terminal(facts: HostFacts, screen: Screen) -> str:
    """Return the drawing."""
    canvas = Canvas(screen)
    driver = f"driver {facts.driver} · CUDA {facts.cuda or 'unknown'}" if facts.driver else "no NVIDIA driver"
    driver += " · confidential computing" if facts.confidential_compute else ""
    host: list[Piece] = [(facts.node or facts.host, "bold cyan"), f"   {driver}"]
    canvas.columns(host, f"{facts.taken_at:%Y-%m-%d %H:%M} UTC")
    for gpu in facts.gpus:
        canvas.blank()
        draw_gpu(canvas, gpu)
    if facts.host_processes is False and any(gpu.processes is not None for gpu in facts.gpus):
        canvas.blank()
        canvas.line("Seen from a container: processes outside of it are not told.")
    draw_topology(canvas, facts.gpus)
    draw_network(canvas, facts.fabric)
    for text in facts.notes:
        canvas.blank()
        canvas.line(text)
    return canvas.text()
