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
    root: Annotated[Path, typer.Option("--root", metavar="DIR", help="Where the host's /sys is mounted.")] = Path("/"),
    proc: Annotated[
        Path | None, typer.Option("--proc", metavar="DIR", help="Its /proc, where that is not beside /sys.")
    ] = None,
    serials: Annotated[
        bool, typer.Option("--serials", help="Keep serial numbers, which are left out otherwise.")
    ] = False,
    every: Annotated[
        str | None,
        typer.Option(
            "--every", metavar="15m", help="Read again and again, each time in short lines, as the probe does."
        ),
    ] = None,
    configmap: Annotated[
        bool, typer.Option("--configmap", help="With --every, in the probe's pod: publish a ConfigMap as well.")
    ] = False,
) -> None:
    """Print what this host's driver and network tell.

    GPUs, MIG, NVLink, PCIe, RDMA. Reads only; needs no cluster.
    """
    from gpuaudit.collect.this_host import read_host
    from gpuaudit.errors import UserError

    if not (root / "sys").is_dir():
        raise UserError(
            f"there is no folder {root / 'sys'}", hint="give --root the folder under which the host's /sys is"
        )
    if every is not None:
        from gpuaudit.cli.probing import repeat
        from gpuaudit.config import parse_duration

        if output:
            raise UserError("--every takes no --output", hint="its lines go to stdout")
        repeat(
            lambda: read_host(root=root, proc=proc, serials=serials), every=parse_duration(every), configmap=configmap
        )
        return
    if configmap:
        raise UserError("--configmap goes with --every", hint="gpuaudit node --every 15m --configmap")
    _once(output or [], root, proc, serials=serials)


def _once(output: list[str], root: Path, proc: Path | None, *, serials: bool) -> None:
    from gpuaudit.cli.outputs import put, sinks
    from gpuaudit.collect.this_host import read_host
    from gpuaudit.report.node import render_json, render_terminal
    from gpuaudit.report.plain import printable
    from gpuaudit.report.terminal import Screen

    targets = sinks(output, formats=FORMATS)
    facts = read_host(root=root, proc=proc, serials=serials)
    shown = any(sink.format == "terminal" and sink.file is None for sink in targets)  # they stand there as well
    for text in () if shown else facts.notes:
        sys.stderr.write(f"note: {printable(text)}\n")
    for sink in targets:
        screen = Screen.of_stdout() if sink.file is None else Screen.plain()
        put(render_json(facts) if sink.format == "json" else render_terminal(facts, screen), sink)
