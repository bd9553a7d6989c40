"""The usage tables as Parquet bytes and back: deterministic, small, and bounded when read."""

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from gpuaudit.cluster.usage import conform_devices, conform_hourly, empty_devices, empty_hourly

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 100_000_000
TEXTS = ("str", "category")  # types of columns that hold text
MAX_TEXT_BYTES = 8 << 30  # of a text column once its dictionary is written out


def pack_table(table: "pd.DataFrame") -> bytes:
    """Return the table as Parquet: text as dictionary, zstd, no metadata that varies."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    packed = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    text = [name for name in table.columns if str(table[name].dtype) in TEXTS]
    narrow = pa.schema([pa.field(f.name, pa.string() if f.name in text else f.type) for f in packed.schema])
    sink = BytesIO()
    pq.write_table(
        packed.cast(narrow),
        sink,
        compression="zstd",
        compression_level=12,
        use_dictionary=text,  # numbers compress better without one
        store_schema=False,
        write_statistics=False,
    )
    return sink.getvalue()


def unpack_hourly(content: bytes) -> "pd.DataFrame":
    """Return the hourly table. ValueError for content that is not one or is too large."""
    return _unpack(content, conform_hourly, empty_hourly())


def unpack_devices(content: bytes) -> "pd.DataFrame":
    """Return the device table. ValueError for content that is not one or is too large."""
    return _unpack(content, conform_devices, empty_devices())


def _unpack(content: bytes, conform: Callable[[Any], "pd.DataFrame"], like: "pd.DataFrame") -> "pd.DataFrame":
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = [name for name in like.columns if str(like[name].dtype) in TEXTS]
    try:
        file = pq.ParquetFile(BytesIO(content), read_dictionary=text)
        _check_shape(file, list(like.columns))
        table = file.read()
        _check_types(table, text, like)
        return conform(table.to_pandas())
    except (pa.ArrowException, OSError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"a usage table cannot be read ({error})") from error


def _check_shape(file: Any, columns: list[str]) -> None:
    if file.schema_arrow.names != columns:
        raise ValueError(f"a usage table has the columns {str(file.schema_arrow.names)[:100]}")
    if file.metadata.num_rows > MAX_ROWS:
        raise ValueError(f"a usage table has {file.metadata.num_rows:,} rows")


def _check_types(table: Any, text: list[str], like: "pd.DataFrame") -> None:
    """Refuse other types than the tables', and text that grows without bound when it is written out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.Schema.from_pandas(like, preserve_index=False)
    for field in table.schema:
        if field.name not in text:
            if field.type != wanted.field(field.name).type:
                raise ValueError(f"column {field.name} is {field.type}")
            continue
        if not pa.types.is_dictionary(field.type) or not pa.types.is_string(field.type.value_type):
            raise ValueError(f"column {field.name} is {field.type}")
        chunks = table.column(field.name).chunks
        if sum(_text_bytes(chunk, pc) for chunk in chunks) > MAX_TEXT_BYTES:
            raise ValueError(f"column {field.name} is too large")


def _text_bytes(chunk: Any, compute: Any) -> int:
    lengths = compute.binary_length(chunk.dictionary)
    return int(compute.sum(compute.take(lengths, chunk.indices).cast("int64")).as_py() or 0)
