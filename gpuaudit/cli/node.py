"""`gpuaudit node`: this host's NVML and fabric facts."""

import sys
from pathlib import Path
from typing import Annotated

import typer

FORMATS = ("json", "terminal")


def node(
    output: Annotated[
        list[str] | None,
        typer.Option("-o", "--output", metavar="FORMAT[=FILE]", help="json (default) or terminal. Repeatable."),
    ] = None,
    root: Annotated[
        Path, typer.Option("--root", metavar="DIR", help="Where the host's /sys and /proc are mounted.")
    ] = Path("/"),
    serials: Annotated[
        bool, typer.Option("--serials", help="Keep serial numbers, which are left out otherwise.")
    ] = False,
) -> None:
    """Print what this host's driver and network tell.

    GPUs, MIG, NVLink, PCIe, RDMA. Reads only; needs no cluster.
    """
    from gpuaudit.cli.outputs import put, sinks
    from gpuaudit.collect.this_host import read_host
    from gpuaudit.report.node import render_json, render_terminal
    from gpuaudit.report.plain import printable
    from gpuaudit.report.terminal import Screen

    targets = sinks(output or (), formats=FORMATS)
    facts = read_host(root=root, serials=serials)
    for text in facts.notes:
        sys.stderr.write(f"note: {printable(text)}\n")
    for sink in targets:
        screen = Screen.of_stdout() if sink.file is None else Screen.plain()
        put(render_json(facts) if sink.format == "json" else render_terminal(facts, screen), sink)
