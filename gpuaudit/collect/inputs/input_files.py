"""Find and open what `--input` names: files and folders, plain or gzipped, bounded in number, depth and size."""

import gzip
import os
import re
import stat
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import IO, cast

MAX_FILES = 20_000
MAX_DEPTH = 16
HEAD_BYTES = 1 << 16
MAX_WHOLE_BYTES = 2 << 30  # of a file that has to be held in memory
MAX_RATIO = 300  # of a gzip file that unpacks to more than RATIO_FROM
RATIO_FROM = 64 << 20

_NAMED_METRIC = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)=(.+)", re.DOTALL)
_GZIP = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class UnreadableError(Exception):
    """A file that cannot be used; the text is one line for a person."""


@dataclass(frozen=True)
class InputFile:
    """A file to read. `name` is how reports call it, `metric` what its nameless series are."""

    name: str
    path: Path
    metric: str | None = None
    given: bool = True  # named by the user, not found in a folder


@dataclass(frozen=True)
class Found:
    """Files in a fixed order, each once, and what could not be followed (name, reason)."""

    files: tuple[InputFile, ...]
    unreadable: tuple[tuple[str, str], ...] = ()


def find_files(inputs: Sequence[str]) -> Found:
    """Return the files behind the arguments of `--input`, whatever their order. Nothing is opened."""
    files: dict[Path, InputFile] = {}
    unreadable: list[tuple[str, str]] = []
    for argument in sorted(set(map(os.fspath, inputs))):
        metric, path = _split(argument)
        try:
            for file in _files_of(path, metric):
                files.setdefault(file.path.resolve(), file)
                if len(files) > MAX_FILES:
                    raise UnreadableError(f"more than {MAX_FILES:,} files")
        except UnreadableError as error:
            unreadable.append((printable(argument), str(error)))
        except OSError as error:
            unreadable.append((printable(argument), error.strerror or "cannot be opened"))
    return Found(_named(sorted(files.values(), key=lambda file: file.path)), tuple(unreadable))


def printable(text: str) -> str:
    """Return a file's name without what a terminal or a report cannot show."""
    plain = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in plain)[:500]


@contextmanager
def open_bytes(file: InputFile) -> Iterator[IO[bytes]]:
    """Open a file for reading, unpacked. UnreadableError for what is no regular file or breaks while it is read."""
    try:
        descriptor = os.open(file.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as plain:
            _check_regular(os.fstat(descriptor).st_mode)
            packed = plain.read(2) == _GZIP
            plain.seek(0)
            if not packed:
                yield plain
                return
            with gzip.GzipFile(fileobj=plain) as stream:
                yield cast(IO[bytes], stream)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableError(f"its gzip data is damaged ({error})") from error
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error


def read_head(file: InputFile) -> bytes:
    """Return the first bytes of a file, unpacked."""
    with open_bytes(file) as stream:
        return stream.read(HEAD_BYTES)


def read_bytes(file: InputFile) -> bytes:
    """Return all bytes of a file, unpacked. UnreadableError when they are too many."""
    with open_bytes(file) as stream:
        chunks, size = [], 0
        while chunk := stream.read(1 << 22):
            size += len(chunk)
            _check_size(file, size)
            chunks.append(chunk)
    return b"".join(chunks)


def read_whole(file: InputFile) -> bytes:
    """Return all text of a file, unpacked, as valid UTF-8. UnreadableError when it is too long."""
    return _whole_utf8(to_utf8(read_bytes(file)))


def _whole_utf8(content: bytes) -> bytes:
    """Return text whose broken characters are replaced: a stray byte in a label costs no more than that."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return content.decode("utf-8", "replace").encode()
    return content


@contextmanager
def open_text(file: InputFile) -> Iterator[IO[bytes]]:
    """Open a file as a stream of UTF-8 text, whatever it was written in."""
    marks = read_head(file)[:3]
    if marks.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield BytesIO(read_whole(file))
        return
    with open_bytes(file) as stream:
        if marks.startswith(BYTE_ORDER_MARK):
            stream.read(len(BYTE_ORDER_MARK))
        yield stream


def to_utf8(content: bytes) -> bytes:
    """Return text as UTF-8 without a byte order mark (PowerShell's `>` writes UTF-16)."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content[: len(content) // 2 * 2].decode("utf-16", "replace").encode()
    return content.removeprefix(BYTE_ORDER_MARK)


def _named(files: Sequence[InputFile]) -> tuple[InputFile, ...]:
    """Return the files under the shortest end of their path that no other file has."""
    names = {file.path: file.path.name for file in files}
    for length in range(2, MAX_DEPTH + 3):
        counts = Counter(names.values())
        if max(counts.values(), default=1) == 1:
            break
        names = {
            path: "/".join(path.absolute().parts[-length:]) if counts[name] > 1 else name
            for path, name in names.items()
        }
    unique = len(set(names.values())) == len(names)
    return tuple(replace(file, name=printable(names[file.path] if unique else str(file.path))) for file in files)


def _split(argument: str) -> tuple[str | None, Path]:
    """Return metric and path of METRIC=FILE, or None and the path; a file of exactly that name comes first."""
    named = _NAMED_METRIC.fullmatch(argument)
    if named is None or os.path.lexists(argument):
        return None, Path(argument)
    return named[1], Path(named[2])


def _files_of(path: Path, metric: str | None) -> Iterator[InputFile]:
    mode = path.stat().st_mode
    if not stat.S_ISDIR(mode):
        _check_regular(mode)
        yield InputFile(name=printable(str(path)), path=path, metric=metric)
        return
    if metric is not None:
        raise UnreadableError("METRIC=FILE takes a file, not a folder")
    empty = True
    for found in _walk(path, 0):
        empty = False
        yield InputFile(name=printable(str(found)), path=found, given=False)
    if empty:
        raise UnreadableError("the folder holds no files")


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the regular files below a folder, hidden ones left out; links to folders are not followed."""
    if depth > MAX_DEPTH:
        raise UnreadableError(f"folders nested more than {MAX_DEPTH} deep")
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), depth + 1)
        elif entry.is_file():
            yield Path(entry.path)


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise UnreadableError("it is a folder")
    if not stat.S_ISREG(mode):
        raise UnreadableError("it is a pipe or a device: save its content to a file first")


def _check_size(file: InputFile, size: int) -> None:
    if size > MAX_WHOLE_BYTES:
        raise UnreadableError(f"it is larger than {MAX_WHOLE_BYTES >> 30} GiB: split it")
    if size > RATIO_FROM and size > MAX_RATIO * file.path.stat().st_size:
        raise UnreadableError(f"its gzip data unpacks to more than {MAX_RATIO} times its size")
