"""`gpuaudit explain`: one finding or action, in full."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpuaudit.cli import options

if TYPE_CHECKING:
    from gpuaudit.schema import Report

DEMO = "demo"


def explain(
    id: Annotated[
        str, typer.Argument(metavar="ID", help="A finding's or an action's id, or an action's number on screen.")
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FILE", help="A report (-o json=FILE) or a snapshot; `demo` is the built-in one."
        ),
    ] = None,
    prices: options.Prices = None,
    config: options.ConfigFile = None,
    output: options.Output = None,
) -> None:
    """Explain a finding or an action in full.

    Evidence, queries, the arithmetic line by line, what would refute it, what to do, and how to exempt it.
    """
    from gpuaudit.cli.outputs import put, sinks
    from gpuaudit.cli.running import checked_rules, settings
    from gpuaudit.errors import UserError
    from gpuaudit.report.explain import explain as explained
    from gpuaudit.report.explain import explained_data
    from gpuaudit.report.json import encode
    from gpuaudit.report.terminal import Screen

    if source is None:
        raise UserError(
            "nothing to explain from", hint="give --from FILE: a report (-o json=FILE) or a snapshot (--save FILE)"
        )
    targets = sinks(output or ())
    rules = checked_rules(settings({}, config))
    report = _report(source, prices, config)
    for sink in targets:
        width = (Screen.plain() if sink.file else Screen.of_stdout()).width
        data = sink.format == "json"
        put(encode(explained_data(report, id)) if data else explained(report, id, rules, width=width), sink)


def _report(source: str, prices: Path | None, config: Path | None) -> "Report":
    from gpuaudit.cli.running import Run
    from gpuaudit.errors import UserError
    from gpuaudit.paths import builtin
    from gpuaudit.report.json import decode
    from gpuaudit.store import load

    path = builtin("snapshots") / "demo.gpuaudit" if source == DEMO and not Path(DEMO).exists() else Path(source)
    try:
        with path.open("rb") as file:
            head = file.read(2)
    except OSError as error:
        raise UserError(
            f"cannot read {source}: {error.strerror}", hint="make it with: gpuaudit scan -o json=FILE"
        ) from error
    if head == b"PK":
        return Run({"prices": prices}, config).report(load(path))
    return decode(path.read_bytes(), source)
