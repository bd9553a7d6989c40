"""`-o FORMAT[=FILE]`: where each form of the result goes. Only this module opens files or prints results."""

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpuaudit.errors import UserError, unwritten

if TYPE_CHECKING:
    from gpuaudit.schema import Report

_ELSEWHERE = "choose a folder that exists and is yours"
FORMATS = ("terminal", "json")


@dataclass(frozen=True)
class Sink:
    """A format and where it goes; no file means stdout."""

    format: str
    file: Path | None = None


def sinks(texts: Sequence[str], *, formats: Sequence[str] = FORMATS) -> tuple[Sink, ...]:
    """Read `-o` values; none given means the first format on stdout. UserError for an unknown or doubled one."""
    found = tuple(_sink(text, formats) for text in texts) or (Sink(formats[0]),)
    if sum(sink.file is None for sink in found) > 1:
        raise UserError("two outputs go to stdout", hint="give all but one a file: -o json=report.json")
    files = [sink.file for sink in found if sink.file is not None]
    if len(set(files)) < len(files):
        raise UserError("two outputs go to one file", hint="give each a file of its own")
    return found


def _sink(text: str, formats: Sequence[str]) -> Sink:
    name, equals, file = text.partition("=")
    if name not in formats:
        raise UserError(f"output format {name!r} is not known", hint=f"it is one of: {', '.join(formats)}")
    if equals and not file:
        raise UserError(f"-o {text} names no file", hint=f"write it as {name}=FILE, or {name} for stdout")
    return Sink(name, writable(Path(file)) if file and file != "-" else None)


def writable(path: Path) -> Path:
    """Return the path if a file may be made there: known before anything is read. UserError otherwise."""
    folder = path.parent
    if str(path) == "-":
        raise UserError("a snapshot goes into a file, not to stdout", hint="name one: cluster.gpuaudit")
    if path.is_dir():
        raise unwritten(str(path), OSError(errno.EISDIR, os.strerror(errno.EISDIR)), hint=_ELSEWHERE)
    if not path.exists() and not (folder.is_dir() and os.access(folder, os.W_OK)):
        reason = errno.EACCES if folder.is_dir() else errno.ENOENT
        raise unwritten(str(path), OSError(reason, os.strerror(reason)), hint=_ELSEWHERE)
    return path


def write(report: "Report", targets: Sequence[Sink], *, show_all: bool, top: int) -> None:
    """Render the report once for each target and write it."""
    for sink in targets:
        put(_renderer(sink, show_all=show_all, top=top)(report), sink)


def put(text: str, sink: Sink) -> None:
    """Write text to stdout, or to a file as a whole or not at all. UserError when it cannot be written."""
    if sink.file is None:
        write_stdout(text)
        return
    try:
        _replace(sink.file, text)
    except OSError as error:
        raise unwritten(str(sink.file), error, hint=_ELSEWHERE) from error


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless it is there. UserError when it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder {path}: {error.strerror}", hint="choose a place where you may write"
        ) from error


def stdout_width() -> int:
    """Return the columns to break prose and tables at; without a terminal, and unless COLUMNS is set, plenty."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return max(60, shutil.get_terminal_size().columns)
    return 10_000


def write_stdout(text: str) -> None:
    """Write text to stdout; what the terminal's encoding lacks becomes ?, never a traceback."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        abandon_stdout()  # whoever read it has gone (| head): nothing is wrong, and a gate is still to be judged
    except OSError as error:
        raise UserError(
            f"cannot write to stdout: {error.strerror}", hint="send the output elsewhere: -o json=FILE"
        ) from error


def abandon_stdout() -> None:
    """Keep Python from complaining, when it ends, about what can no longer be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _renderer(sink: Sink, *, show_all: bool, top: int) -> "Callable[[Report], str]":
    if sink.format == "json":
        from gpuaudit.report.json import render

        return render
    from gpuaudit.report.terminal import Screen, render_screen

    screen = Screen.of_stdout() if sink.file is None else Screen.plain()
    return lambda report: render_screen(report, screen, show_all=show_all, top=top)


def _replace(path: Path, text: str) -> None:
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")  # a pipe or device: nothing to replace
        return
    descriptor, name = tempfile.mkstemp(dir=path.resolve().parent, prefix=f".{path.name[:64]}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path.resolve())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
