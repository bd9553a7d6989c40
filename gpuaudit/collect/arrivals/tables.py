"""Files of requests as streams of tables: told by content, read in pieces, refused in one sentence."""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from gpuaudit.errors import UserError

UNREADABLE = (OSError, EOFError, zlib.error, csv.Error, pa.ArrowException)  # what damaged files raise
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_PEEK = 1 << 20  # bytes in which the header must end
_BLOCK = 4 << 20  # bytes read at once; no row may be longer
_LINES = 50_000  # JSON lines turned into a table at once
_DELIMITERS = ",;\t|"
_SHOWN = 200


@dataclass
class Table:
    """An open file: its columns, and its rows in pieces. `broken` counts the rows that were not even rows."""

    columns: tuple[str, ...]
    pieces: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
    broken: dict[str, int] = field(default_factory=dict)
    restored: Callable[[str], str] = str  # from a text of the pieces to the text in the file


def open_table(path: Path) -> Table:
    """Open a CSV, JSON lines (either also as gzip) or Parquet file. UserError when it cannot be read as one."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_PARQUET))
        if start == _PARQUET:
            return _parquet(path)
        zipped = start.startswith(_GZIP)
        return _json_lines(path, zipped) if _peek(path, zipped).lstrip()[:1] == b"{" else _csv(path, zipped)
    except UNREADABLE as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> UserError:
    """Return the error that says why a file of requests could not be read."""
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return UserError(
        f"cannot read {path}: {reason[:_SHOWN]}",
        hint="give a CSV (.csv, .csv.gz), JSON lines or Parquet file of requests",
    )


def _parquet(path: Path) -> Table:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, pre_buffer=False, buffer_size=_BLOCK)
    columns = tuple(file.schema_arrow.names)
    return Table(columns, lambda chosen: file.iter_batches(columns=list(chosen)))


def _peek(path: Path, zipped: bool) -> bytes:
    with gzip.open(path) if zipped else path.open("rb") as file:
        return file.read(_PEEK).removeprefix(codecs.BOM_UTF8)


def _stream(path: Path, zipped: bool) -> Any:
    file = pa.OSFile(str(path), "rb")
    return pa.CompressedInputStream(file, "gzip") if zipped else file


def _csv(path: Path, zipped: bool) -> Table:
    import pyarrow.csv as pc

    text = _peek(path, zipped).lstrip(b"\r\n").decode(errors="replace")
    if "\0" in text:
        raise UserError(
            f"cannot read {path}: it is not text", hint="give a CSV, JSON lines or Parquet file of requests"
        )
    if "\n" not in text and len(text) >= _PEEK:
        raise UserError(f"cannot read {path}: its first line does not end", hint="give a CSV file of requests")
    line = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=line.count)
    columns = tuple(name.strip() for name in next(csv.reader(io.StringIO(text), delimiter=delimiter), []))
    table = Table(columns, lambda _: iter(()))

    def skip(_: Any) -> str:
        reason = "with too few or too many columns"
        table.broken[reason] = table.broken.get(reason, 0) + 1
        return "skip"

    def pieces(chosen: Sequence[str]) -> Iterator[pa.RecordBatch]:
        kinds = {name: pa.binary() for name in columns}
        reader = pc.open_csv(
            _stream(path, zipped),
            # as Latin-1 every byte is text: the handler above would choke on a broken row that is no UTF-8
            read_options=pc.ReadOptions(
                block_size=_BLOCK, column_names=list(columns), skip_rows_after_names=1, encoding="latin1"
            ),
            parse_options=pc.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip),
            convert_options=pc.ConvertOptions(include_columns=list(chosen), column_types=kinds, check_utf8=False),
        )
        yield from reader

    table.restored = lambda name: name.encode("latin1", "replace").decode("utf-8", "replace")
    table.pieces = pieces
    return table


def _json_lines(path: Path, zipped: bool) -> Table:
    table = Table((), lambda _: iter(()))

    def rows() -> Iterator[dict[str, msgspec.Raw]]:
        decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        with gzip.open(path) if zipped else path.open("rb") as file:
            while line := file.readline(_BLOCK):
                if line.isspace():
                    continue
                try:
                    yield decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    table.broken["that are no JSON objects"] = table.broken.get("that are no JSON objects", 0) + 1

    def pieces(chosen: Sequence[str]) -> Iterator[pa.RecordBatch]:
        table.broken.clear()
        columns: dict[str, list[str | None]] = {name: [] for name in chosen}
        for row in rows():
            for name, values in columns.items():
                values.append(_scalar(row.get(name)))
            if len(next(iter(columns.values()), ())) == _LINES:
                yield pa.record_batch({name: pa.array(values, pa.string()) for name, values in columns.items()})
                columns = {name: [] for name in chosen}
        yield pa.record_batch({name: pa.array(values, pa.string()) for name, values in columns.items()})

    table.columns, table.pieces = tuple(next(rows(), {})), pieces
    return table


def _scalar(raw: msgspec.Raw | None) -> str | None:
    """Return a JSON number or string as text; null and what is absent as None, anything else as it stands."""
    text = bytes(raw).decode(errors="replace") if raw is not None else "null"
    if text == "null":
        return None
    return str(msgspec.json.decode(text)) if text.startswith('"') else text
