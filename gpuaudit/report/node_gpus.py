"""A GPU in a few lines: what it is, how it fares, its MIG layout, its processes."""

from collections.abc import Iterator

from gpuaudit.cluster.node_facts import GpuFacts, InstanceFacts
from gpuaudit.report.terminal.canvas import Canvas, plural
from gpuaudit.report.terminal.wrapping import Piece

INDENT = " " * 7
UUID_FROM = 104  # columns; narrower screens show its beginning
SHORT_UUID = 12
MOST_PROCESSES = 6


def draw_gpu(canvas: Canvas, gpu: GpuFacts) -> None:
    """Add the lines of a GPU."""
    uuid = gpu.uuid or "UUID unknown"
    shown = uuid if canvas.width >= UUID_FROM or len(uuid) <= SHORT_UUID else f"{uuid[:SHORT_UUID]}…"
    head: list[Piece] = [(f"GPU {gpu.index:<3}{gpu.name or 'unknown GPU'}", "bold"), f"   {gpu.pci}" if gpu.pci else ""]
    canvas.columns([*head, (" LOST", "bold red")] if gpu.lost else head, shown, style="dim")
    if gpu.lost and gpu.uuid is None:
        return  # the driver does not even say which one it was
    canvas.parts([INDENT], _state(gpu))
    for words in _faults(gpu):
        canvas.line(INDENT, (f"▲ {words}", "yellow"))
    if gpu.mig_current:
        _layout(canvas, gpu)
    _processes(canvas, gpu)


def _state(gpu: GpuFacts) -> Iterator[str]:
    yield f"memory {_of(gpu.memory_used_mib, gpu.memory_total_mib, 'MiB')}"
    yield "busy unknown" if gpu.utilization is None else f"busy {gpu.utilization:.0%}".replace("%", " %")
    if gpu.activity is not None and gpu.activity.sm_active is not None:
        yield f"SMs {_percent(gpu.activity.sm_active)}"
    yield f"power {_of(gpu.power.draw_watts, gpu.power.limit_watts, 'W')}"
    if gpu.temperature_celsius is not None:
        yield f"{gpu.temperature_celsius:.0f} °C"
    if gpu.numa is not None:
        yield f"NUMA {gpu.numa}"
    if gpu.nvlinks:
        yield f"NVLink {sum(bool(link.active) for link in gpu.nvlinks)} of {len(gpu.nvlinks)}"
    if gpu.virtualization not in (None, "none"):
        yield f"virtualization {gpu.virtualization}"
    if gpu.unknown:
        yield f"{plural(len(gpu.unknown), 'fact')} unknown"


def _faults(gpu: GpuFacts) -> Iterator[str]:
    faults, link = gpu.faults, gpu.pcie
    if faults.remap_failure:
        yield "row remap failure: the memory is worn out"
    if faults.volatile_uncorrected:
        yield f"{faults.volatile_uncorrected} uncorrected ECC errors since the driver was loaded"
    if faults.retirement_pending or faults.remap_pending:
        yield "memory rows wait for a reset to be replaced"
    if link.width and link.max_width and link.width < link.max_width:
        yield f"PCIe link x{link.width}, it could be x{link.max_width}"
    held = [one for one in gpu.clocks.limited_by if one != "GpuIdle"]
    if held:
        yield f"clocks held down: {', '.join(held)}"
    errors = sum(count for one in gpu.nvlinks for count in one.errors.values())
    if errors:
        yield f"{errors:,} NVLink errors since the driver was loaded"


def _layout(canvas: Canvas, gpu: GpuFacts) -> None:
    """Draw the memory slots to scale: |   2g.20gb   |1g.10gb|1g.10gb|         3g.40gb         |."""
    slots = max([place[0] + place[1] for profile in gpu.profiles for place in profile.placements], default=0)
    placed = sorted((item for item in gpu.instances if item.start is not None), key=lambda item: item.start or 0)
    if not placed or not slots:
        names = ", ".join(item.profile or "?" for item in gpu.instances) or "no devices"
        canvas.line(
            INDENT, "MIG  ", names, ("" if not gpu.instances else "   (where they sit is not readable here)", "dim")
        )
        return
    cell = max(5, min(11, (canvas.width - len(INDENT) - 7) // slots))
    canvas.line(INDENT, "MIG  |", *_cells(placed, slots, cell))
    room = [f"{one.remaining} x {one.name}" for one in gpu.profiles if one.remaining]
    canvas.line(INDENT, ("     fits beside: " + (", ".join(room) or "nothing"), "dim"))


def _cells(placed: list[InstanceFacts], slots: int, cell: int) -> Iterator[Piece]:
    position = 0
    for item in [*placed, None]:
        start = slots if item is None else item.start or 0
        if start > position:
            yield (f"{'free':^{(start - position) * cell - 1}}|", "dim")
        if item is None or start < position:  # a second compute instance of the same GPU instance
            continue
        size = item.size or 1
        yield f"{(item.profile or '?')[: size * cell - 1]:^{size * cell - 1}}|"
        position = start + size


def _processes(canvas: Canvas, gpu: GpuFacts) -> None:
    found = gpu.processes or ()
    for process in found[:MOST_PROCESSES]:
        used = "memory unknown" if process.memory_mib is None else f"{process.memory_mib:,.0f} MiB"
        busy = "" if process.sm_utilization is None else f"busy {process.sm_utilization:.0%}".replace("%", " %")
        whose = f"pod {process.pod_uid}" if process.pod_uid else ""
        canvas.parts([INDENT], [f"process {process.pid} {process.name or ''}".strip(), used, busy, whose])
    if len(found) > MOST_PROCESSES:
        canvas.line(INDENT, f"and {len(found) - MOST_PROCESSES} more processes")


def _percent(share: float) -> str:
    """Return a share with one decimal where it is small: one SM of 132 is not nothing."""
    return f"{share:.{0 if share >= 0.1 or not share else 1}%}".replace("%", " %")


def _of(part: float | None, whole: float | None, unit: str) -> str:
    if part is None and whole is None:
        return "unknown"
    left, right = ("unknown" if value is None else f"{value:,.0f}" for value in (part, whole))
    return f"{left} of {right} {unit}"
