"""The command line: parse, call, print, exit. Heavy imports stay inside the commands."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import typer

from gpuaudit.cli import collect, demo, doctor, explain, generate, mig, node, prices, replay, rules, scan, schema
from gpuaudit.cli.errors import run
from gpuaudit.cli.sections import Sectioned

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


_COMMANDS: dict[str, Callable[..., None]] = {
    "scan": scan.scan,
    "demo": demo.demo,
    "collect": collect.collect,
    "explain": explain.explain,
    "generate": generate.generate,
    "rules": rules.rules,
    "prices": prices.prices,
    "doctor": doctor.doctor,
    "node": node.node,
    "replay": replay.replay,
    "schema": schema.schema,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, cls=Sectioned)(_command)
app.add_typer(mig.app, name="mig")


def main() -> None:
    """Run the command line and exit with its code."""
    if not sys.warnoptions:  # of libraries, for developers: what a user has to know is said by us
        warnings.simplefilter("ignore")
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, _terminated)
    code = run(app, sys.argv[1:])
    if threading.active_count() > 1:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End without taking the interpreter down: a thread that still waits for a server may crash on what is left."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    _remove_credentials()
    os._exit(code)


def _terminated(number: int, _frame: object) -> NoReturn:
    """End at once where somebody says so, but leave no credential behind."""
    _remove_credentials()
    os._exit(128 + number)


def _remove_credentials() -> None:
    """Remove the files that the client writes a kubeconfig's keys and certificates to; else it does so at the end."""
    if client := sys.modules.get("kubernetes.config.kube_config"):
        with suppress(OSError):
            client._cleanup_temp_files()
