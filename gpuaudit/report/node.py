"""One host's facts: as JSON, and drawn for a terminal (GPUs, MIG layout, topology, ports)."""

from typing import Any

import msgspec

from gpuaudit.cluster.node_facts import FabricFacts, GpuFacts, HostFacts, PortFacts
from gpuaudit.report.json import encode
from gpuaudit.report.terminal.canvas import Canvas, Screen


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
    canvas.line((facts.node or facts.host, "bold cyan"), f"   {driver}   {facts.taken_at:%Y-%m-%d %H:%M} UTC")
    for gpu in facts.gpus:
        canvas.blank()
        _gpu(canvas, gpu)
    if len(facts.gpus) > 1:
        _topology(canvas, facts)
    _fabric(canvas, facts.fabric)
    return canvas.text()


def _gpu(canvas: Canvas, gpu: GpuFacts) -> None:
    name = gpu.name or "unknown GPU"
    state = (" LOST", "bold red") if gpu.lost else ""
    canvas.line((f"GPU {gpu.index}  {name}", "bold"), state, f"   {gpu.uuid or 'UUID unknown'}   {gpu.pci or ''}")
    memory = f"memory {_of(gpu.memory_used_mib, gpu.memory_total_mib, 'MiB')}"
    busy = "busy unknown" if gpu.utilization is None else f"busy {gpu.utilization:.0%}"
    power = f"power {_of(gpu.power.draw_watts, gpu.power.limit_watts, 'W')}"
    held = f" · held down by {', '.join(gpu.clocks.limited_by)}" if gpu.clocks.limited_by else ""
    canvas.line(f"       {memory} · {busy} · {power}{held}")
    for process in gpu.processes or ():
        used = "memory unknown" if process.memory_mib is None else f"{process.memory_mib:,.0f} MiB"
        whose = f" · pod {process.pod_uid}" if process.pod_uid else ""
        canvas.line(f"       process {process.pid} {process.name or ''} · {used}{whose}")
    if gpu.mig_current:
        _layout(canvas, gpu)


def _layout(canvas: Canvas, gpu: GpuFacts) -> None:
    """Draw the memory slots: |1g.10gb |2g.20gb          |."""
    placed = sorted((item for item in gpu.instances if item.start is not None), key=lambda item: item.start or 0)
    slots = max([place[0] + place[1] for profile in gpu.profiles for place in profile.placements], default=0)
    if not placed or not slots:
        names = ", ".join(item.profile or "?" for item in gpu.instances) or "no instances"
        canvas.line(f"       MIG: {names} (placements not readable here)")
        return
    width = max(6, min(10, (canvas.width - 10) // slots - 1))
    cells, position = "", 0
    for item in placed:
        start, size = item.start or 0, item.size or 1
        if start < position:  # a second compute instance of the same GPU instance
            continue
        cells += f"|{'free':^{(start - position) * (width + 1) - 1}}" if start > position else ""
        cells += f"|{(item.profile or '?'):^{size * (width + 1) - 1}}"
        position = start + size
    if position < slots:
        cells += f"|{'free':^{(slots - position) * (width + 1) - 1}}"
    canvas.line(f"       {cells}|")


def _topology(canvas: Canvas, facts: HostFacts) -> None:
    canvas.blank()
    nics = sorted({name for gpu in facts.gpus for name in gpu.nics})
    heads = [*(f"GPU{gpu.index}" for gpu in facts.gpus), *nics]
    width = max(7, *(len(head) + 1 for head in heads))
    canvas.line((" " * 7 + "".join(f"{head:>{width}}" for head in heads), "dim"))
    for gpu in facts.gpus:
        cells = ["X" if other.index == gpu.index else gpu.peers.get(str(other.index), "?") for other in facts.gpus]
        cells += [gpu.nics.get(name, "?") for name in nics]
        canvas.line(f"GPU{gpu.index:<4}" + "".join(f"{cell:>{width}}" for cell in cells))


def _fabric(canvas: Canvas, fabric: FabricFacts) -> None:
    if not fabric.ports:
        return
    canvas.blank()
    for port in fabric.ports:
        canvas.line(f"{port.device:<12}{port.kind:<12}{_speed(port):<14}{port.state or 'unknown':<10}", _lossless(port))
    ways = {True: "yes", False: "no", None: "unknown"}
    canvas.line(f"GPUDirect RDMA: nvidia_peermem {ways[fabric.peermem]} · DMA-BUF {ways[fabric.dma_buf]}")


def _speed(port: PortFacts) -> str:
    return "unknown" if port.rate_gbps is None else f"{port.rate_gbps:g} Gb/s"


def _lossless(port: PortFacts) -> str:
    if port.kind != "roce":
        return ""
    pfc = "unknown" if port.pfc_priorities is None else (", ".join(map(str, port.pfc_priorities)) or "none")
    ecn = "unknown" if port.ecn_priorities is None else (", ".join(map(str, port.ecn_priorities)) or "none")
    return f"PFC priorities {pfc} · ECN priorities {ecn}"


def _of(part: float | None, whole: float | None, unit: str) -> str:
    return (
        f"{'unknown' if part is None else f'{part:,.0f}'} of {'unknown' if whole is None else f'{whole:,.0f}'} {unit}"
    )
