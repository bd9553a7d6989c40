"""The ports of a host, those that are alike in one line, and what GPUDirect RDMA can use."""

from collections.abc import Sequence

from gpuaudit.cluster.node_facts import FabricFacts, PortFacts
from gpuaudit.report.terminal.canvas import Canvas, plural
from gpuaudit.report.terminal.wrapping import Piece

UP = ("ACTIVE", "UP")
WAYS = {True: "yes", False: "no", None: "unknown"}


def draw_network(canvas: Canvas, fabric: FabricFacts) -> None:
    """Add the ports and the ways of GPUDirect RDMA."""
    if not fabric.ports:
        return
    groups: dict[tuple[str, ...], list[PortFacts]] = {}
    for port in fabric.ports:
        groups.setdefault(_traits(port), []).append(port)
    names = {traits: _names(ports) for traits, ports in groups.items()}
    width = min(34, max(len(name) for name in names.values()) + 2)
    canvas.blank()
    for traits in groups:
        kind, speed, state, *rest = traits
        style = "" if state in UP else "yellow"
        head: list[Piece] = [f"{names[traits]:<{width}}", f"{kind:<12}{speed:<11}", (f"{state:<8}", style)]
        if rest:
            canvas.parts(head, rest)
        else:
            canvas.line(*head)
    ways = [f"nvidia_peermem {WAYS[fabric.peermem]}", f"DMA-BUF {WAYS[fabric.dma_buf]}", _acs(fabric)]
    canvas.parts(["GPUDirect RDMA: "], ways)


def _traits(port: PortFacts) -> tuple[str, ...]:
    """Return what is told of a port; ports of which the same is told are alike."""
    speed = "unknown" if port.rate_gbps is None else f"{port.rate_gbps:g} Gb/s"
    found = [port.kind, speed, port.state or "unknown"]
    if port.mtu_bytes is not None:
        found.append(f"MTU {port.mtu_bytes}")
    link = port.pcie
    if link.width and link.max_width and link.width < link.max_width:
        found.append(f"PCIe x{link.width} of x{link.max_width}")
    if port.virtual_functions:
        found.append(f"{port.virtual_functions} virtual functions")
    if port.physical_function:
        found.append("virtual function")
    if port.bond:
        found.append(f"in {port.bond}" + (f" ({port.bond_mode})" if port.bond_mode else ""))
    return (*found, *(_lossless(port) if port.kind == "roce" else ()))


def _lossless(port: PortFacts) -> list[str]:
    said = [f"PFC {_priorities(port.pfc_priorities)}", f"ECN {_priorities(port.ecn_priorities)}"]
    return [*said, f"trust {port.trust}"] if port.trust else said


def _priorities(found: Sequence[int] | None) -> str:
    return "unknown" if found is None else ", ".join(map(str, found)) or "none"


def _names(ports: Sequence[PortFacts]) -> str:
    first = ports[0].device + (f" ({ports[0].interface})" if ports[0].interface not in (None, ports[0].device) else "")
    return first if len(ports) == 1 else f"{first} and {len(ports) - 1} more"


def _acs(fabric: FabricFacts) -> str:
    if fabric.acs is None:
        return "ACS unknown (takes root)"
    return f"ACS redirects at {plural(len(fabric.acs), 'bridge')}" if fabric.acs else "ACS redirects nothing"
