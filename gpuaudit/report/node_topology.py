"""How near the GPUs of a host are to each other and to its NICs, in the words of `nvidia-smi topo -m`."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.node_facts import GpuFacts
from gpuaudit.report.terminal.canvas import Canvas

NVLINK = "NVLINK"
NEAR = ("PIX", "PXB")
CELL, HEAD = 6, 7
WORDS = (
    "NV# that many NVLinks",
    "PIX one PCIe bridge",
    "PXB several",
    "PHB the CPU's host bridge",
    "NODE within a NUMA node",
    "SYS across sockets",
)


def draw_topology(canvas: Canvas, gpus: Sequence[GpuFacts]) -> None:
    """Add the matrix of GPUs, and of GPUs and NICs where it fits, else each GPU's nearest NICs."""
    nics = sorted({name for gpu in gpus for name in gpu.nics})
    if not nics and len(gpus) < 2:
        return
    canvas.blank()
    if len(gpus) > 1:
        _matrix(canvas, gpus, [f"GPU{gpu.index}" for gpu in gpus], [_peers(gpu, gpus) for gpu in gpus])
    if not nics:
        _legend(canvas)
        return
    canvas.blank()
    if HEAD + CELL * len(nics) <= canvas.width:
        rows = [[gpu.nics.get(name, "?") for name in nics] for gpu in gpus]
        _matrix(canvas, gpus, [f"NIC{number}" for number, _ in enumerate(nics)], rows)
        canvas.parts([" " * HEAD], [f"NIC{number} {name}" for number, name in enumerate(nics)])
    else:
        for gpu in gpus:
            canvas.parts([f"GPU{gpu.index}".ljust(HEAD)], _nearest(gpu, nics), separator="   ")
    _legend(canvas)


def _matrix(canvas: Canvas, gpus: Sequence[GpuFacts], heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Add a matrix, in as many pieces as its columns take."""
    at_once = max(1, (canvas.width - HEAD) // CELL)
    for first in range(0, len(heads), at_once):
        part = slice(first, first + at_once)
        canvas.line((" " * HEAD + "".join(f"{head:>{CELL}}" for head in heads[part]), "dim"))
        for gpu, cells in zip(gpus, rows, strict=True):
            canvas.line(f"GPU{gpu.index}".ljust(HEAD) + "".join(f"{cell:>{CELL}}" for cell in cells[part]))


def _peers(gpu: GpuFacts, gpus: Sequence[GpuFacts]) -> list[str]:
    active = [link for link in gpu.nvlinks if link.active]
    cells = []
    for other in gpus:
        word = "X" if other.index == gpu.index else gpu.peers.get(str(other.index), "?")
        straight = [link for link in active if link.remote_pci and link.remote_pci == other.pci]
        cells.append(f"NV{len(straight or active)}" if word == NVLINK and active else word)
    return cells


def _nearest(gpu: GpuFacts, nics: Sequence[str]) -> Iterator[str]:
    """Yield the NICs by path, the near ones by name, the others by their number."""
    by_path: dict[str, list[str]] = {}
    for name in nics:
        by_path.setdefault(gpu.nics.get(name, "?"), []).append(name)
    for path in sorted(by_path, key=lambda word: (word not in NEAR, word)):
        names = by_path[path]
        yield f"{path} {', '.join(names)}" if path in NEAR and len(names) <= 4 else f"{path} {len(names)} NICs"


def _legend(canvas: Canvas) -> None:
    canvas.parts([], WORDS)
