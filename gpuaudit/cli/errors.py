"""Errors on the command line: one `error:` and one `hint:` line, no traceback for what the user can mend."""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import typer

from gpuaudit.cli.outputs import abandon_stdout
from gpuaudit.errors import INTERRUPTED, UserError

USAGE = 2


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run the app with the arguments and return the exit code."""
    for stream in ("stdout", "stderr"):  # closed by whoever started us: writing goes nowhere, and is no error
        if getattr(sys, stream) is None:
            setattr(sys, stream, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    command = typer.main.get_command(app)
    try:
        code = command.main(args=list(arguments), prog_name="gpuaudit", standalone_mode=False)
        sys.stdout.flush()
    except UserError as error:
        return _say(error.message, error.hint, error.code)
    except BrokenPipeError:
        abandon_stdout()  # whoever read our output has gone (| head): nothing is wrong
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return INTERRUPTED
    except Exception as error:
        usage = _usage(error)
        return _bug(error) if usage is None else usage
    return code if isinstance(code, int) else 0


def _bug(error: Exception) -> int:
    """Crash loudly, but not with 1: that says that a gate was reached."""
    traceback.print_exc()
    what = f"this is a bug in gpuaudit: {type(error).__name__}"
    return _say(what, "please report it with the lines above, and with gpuaudit --version and the command", USAGE)


def _usage(error: Exception) -> int | None:
    """Print a usage error of the option parser; None for anything else, which is a bug."""
    message = getattr(error, "format_message", None)
    if message is None:
        if type(error).__name__ == "Abort":
            return INTERRUPTED
        return getattr(error, "exit_code", None) if type(error).__name__ == "Exit" else None
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "gpuaudit"
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(message().strip() + "\n\n")
        return _say(
            "no command was given", f"{path} COMMAND --help tells about one; gpuaudit demo shows an audit", USAGE
        )
    first, _, rest = message().replace("Value error, ", "").strip().partition("\n")
    hint = rest.strip() or f"{path} --help lists what it takes"
    return _say(first.rstrip("."), " ".join(hint.split()), USAGE)


def _say(message: str, hint: str, code: int) -> int:
    from gpuaudit.report.plain import printable

    try:
        sys.stdout.flush()
    except OSError:
        abandon_stdout()
    sys.stderr.write(f"error: {printable(message)}\nhint: {printable(hint)}\n")
    return code
