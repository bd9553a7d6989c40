"""`gpuaudit explain`: one finding or action, in full."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpuaudit.cli import options

if TYPE_CHECKING:
    from gpuaudit.cli.outputs import Sink
    from gpuaudit.cli.running import Run
    from gpuaudit.schema import Report

DEMO = "demo"


def explain(
    id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="A finding's or an action's id, an action's number on screen, or a system of the stack (Kueue).",
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="A report (-o json=FILE) or a snapshot; `demo` is the built-in one. Default: a live scan.",
        ),
    ] = None,
    context: options.Contexts = None,
    kubeconfig: options.Kubeconfig = None,
    namespace: options.Namespaces = None,
    prices: options.Prices = None,
    config: options.ConfigFile = None,
    output: options.Output = None,
) -> None:
    """Explain a finding, an action, or a system of the stack in full.

    Evidence, queries, the arithmetic line by line, what would refute it, what to do, and how to exempt it.
    """
    from gpuaudit.cli.outputs import sinks
    from gpuaudit.cli.running import Run

    targets = sinks(output or ())
    flags = {"context": context, "kubeconfig": kubeconfig, "namespace": namespace, "prices": prices}
    run = Run(flags, config)
    report = _report(run, source)
    for sink in targets:
        _put(run, report, id, sink)


def _put(run: "Run", report: "Report", id: str, sink: "Sink") -> None:
    from gpuaudit.cli.outputs import put
    from gpuaudit.report import explain as explaining
    from gpuaudit.report.json import encode
    from gpuaudit.report.terminal import Screen

    if sink.format == "json":
        put(encode(explaining.explained_data(report, id)), sink)
        return
    width = (Screen.plain() if sink.file else Screen.of_stdout()).width
    put(explaining.explain(report, id, run.rules, width=width), sink)


def _report(run: "Run", source: str | None) -> "Report":
    from gpuaudit.cli.sources import snapshot_of
    from gpuaudit.errors import UserError
    from gpuaudit.paths import builtin
    from gpuaudit.report.json import decode
    from gpuaudit.store import load

    if source is None:
        return run.report(snapshot_of(run.config, note=run.note))
    path = builtin("snapshots") / "demo.gpuaudit" if source == DEMO and not Path(DEMO).exists() else Path(source)
    try:
        with path.open("rb") as file:
            head = file.read(2)
    except OSError as error:
        raise UserError(
            f"cannot read {source}: {error.strerror}", hint="make it with: gpuaudit scan -o json=FILE"
        ) from error
    return run.report(load(path)) if head == b"PK" else decode(path.read_bytes(), source)
