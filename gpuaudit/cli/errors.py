"""Errors on the command line: one `error:` and one `hint:` line, no traceback for what the user can mend."""

import os
import sys
from collections.abc import Sequence

import typer

from gpuaudit.errors import UserError

USAGE = 2
INTERRUPTED = 130


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run the app with the arguments and return the exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(args=list(arguments), prog_name="gpuaudit", standalone_mode=False)
        sys.stdout.flush()
    except UserError as error:
        return _say(error.message, error.hint, error.code)
    except BrokenPipeError:
        # whoever read our output has gone (| head): nothing is wrong; keep Python from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return INTERRUPTED
    except Exception as error:
        usage = _usage(error)
        if usage is None:
            raise
        return usage
    return code if isinstance(code, int) else 0


def _usage(error: Exception) -> int | None:
    """Print a usage error of the option parser; None for anything else, which then crashes loudly."""
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

    sys.stdout.flush()
    sys.stderr.write(f"error: {printable(message)}\nhint: {printable(hint)}\n")
    return code
