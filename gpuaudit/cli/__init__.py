"""The command line: parse, call, print, exit. Heavy imports stay inside the commands."""

import sys

import typer

from gpuaudit.cli import collect, demo, explain, node, prices, rules, scan, schema
from gpuaudit.cli.errors import run

app = typer.Typer(
    name="gpuaudit",
    help="Audit GPU clusters on Kubernetes: where the money goes and what can be saved, with the evidence.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(value: bool) -> None:
    if value:
        from gpuaudit import __version__

        sys.stdout.write(f"gpuaudit {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_version, is_eager=True),
) -> None:
    pass


app.command("scan")(scan.scan)
app.command("demo")(demo.demo)
app.command("collect")(collect.collect)
app.command("explain")(explain.explain)
app.command("rules")(rules.rules)
app.command("prices")(prices.prices)
app.command("node")(node.node)
app.command("schema")(schema.schema)


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(app, sys.argv[1:]))
