"""Snapshot files: `*.gpuaudit`, a zip of `snapshot.json` and two Parquet tables.

The same snapshot gives the same bytes: fixed dates, sorted keys, no varying metadata. Nothing in the file is ever
executed, and a file is refused before it is unpacked beyond the limits below.
"""

import dataclasses
import os
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any, get_type_hints

import msgspec

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.errors import UserError, unwritten
from gpuaudit.store_tables import pack_table, unpack_devices, unpack_hourly

SCHEMA = "gpuaudit.snapshot/v1"
SCHEMA_NAME, _, _VERSION = SCHEMA.rpartition("/v")
VERSION = int(_VERSION)

DOCUMENT = "snapshot.json"
HOURLY = "usage_hourly.parquet"
DEVICES = "usage_devices.parquet"
MEMBERS = (DOCUMENT, HOURLY, DEVICES)

MAX_MEMBERS = 16
MAX_MEMBER_BYTES = 2 << 30
MAX_TOTAL_BYTES = 4 << 30
MAX_RATIO = 400  # of a member above a mebibyte; real documents compress 10 to 60 times
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)

Migration = Callable[[dict[str, Any]], dict[str, Any]]
MIGRATIONS: Mapping[int, Migration] = {}  # version n → the document as version n + 1 writes it

_DAMAGE = (  # what zipfile raises on bytes that are no zip, or no longer one
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    NotImplementedError,
    EOFError,
    RuntimeError,
    IndexError,
    ValueError,
    OSError,
)
_FIELDS = tuple(field.name for field in dataclasses.fields(Snapshot) if field.name != "usage")
_HINTS = get_type_hints(Snapshot, include_extras=True)
_DEFAULTS = {f.name: f.default for f in dataclasses.fields(Snapshot) if f.default is not dataclasses.MISSING}


def _document_fields() -> list[Any]:
    wanted: list[Any] = [("schema", str)]
    for name in _FIELDS:
        wanted.append((name, _HINTS[name], _DEFAULTS[name]) if name in _DEFAULTS else (name, _HINTS[name]))
    return wanted


Document = msgspec.defstruct(  # the snapshot's own fields, said once: in cluster.snapshot
    "SnapshotDocument",
    _document_fields(),
    kw_only=True,
    frozen=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
)


class _Head(msgspec.Struct):
    schema: str
    tool_version: str = "of that time"


def save(snapshot: Snapshot, path: str | os.PathLike[str]) -> None:
    """Write the snapshot to `path`, whole or not at all. UserError when the place cannot be written."""
    target = Path(path)
    try:
        _write_whole(target.resolve(), dumps(snapshot))
    except OSError as error:
        hint = "choose a file in a folder that exists and that you may write to"
        raise unwritten(f"the snapshot {target}", error, hint=hint) from error


def dumps(snapshot: Snapshot) -> bytes:
    """Return the bytes of the snapshot's file."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add(archive, DOCUMENT, _encode(snapshot), zipfile.ZIP_DEFLATED)
        _add(archive, HOURLY, pack_table(snapshot.usage.hourly), zipfile.ZIP_STORED)
        _add(archive, DEVICES, pack_table(snapshot.usage.devices), zipfile.ZIP_STORED)
    return buffer.getvalue()


def load(path: str | os.PathLike[str], *, migrations: Mapping[int, Migration] = MIGRATIONS) -> Snapshot:
    """Read a snapshot file. UserError for anything that is not one, is damaged, too large, or of a newer version."""
    try:
        with Path(path).open("rb") as stream:
            return load_stream(stream, name=str(path), migrations=migrations)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror or error}", hint="check the path and its permissions"
        ) from error


def load_stream(stream: IO[bytes], *, name: str, migrations: Mapping[int, Migration] = MIGRATIONS) -> Snapshot:
    """Read a snapshot from a seekable stream; `name` is what errors call it."""
    try:
        with zipfile.ZipFile(stream) as archive:
            return _read(archive, name, migrations)
    except _DAMAGE as error:
        raise damaged(name, str(error)) from error


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `snapshot.json`."""
    return msgspec.json.schema(Document)


def damaged(name: str, why: str) -> UserError:
    """Return the error for a file that is not a whole snapshot."""
    line = " ".join(why.split())[:200]
    return UserError(f"{name} is not a gpuaudit snapshot: {line}", hint="take it again: gpuaudit collect -o FILE")


def canonical(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot as it would be loaded again: a whole number in a real field is real, NaN is unknown."""
    document = _canonical(snapshot)
    return Snapshot(**{field: getattr(document, field) for field in _FIELDS}, usage=snapshot.usage)


def _encode(snapshot: Snapshot) -> bytes:
    return msgspec.json.encode(_canonical(snapshot), order="deterministic")


def _canonical(snapshot: Snapshot) -> Any:
    """Return the document by way of JSON: what is written is what is read, and only what can be read is written."""
    values = {name: getattr(snapshot, name) for name in _FIELDS}
    encoded = msgspec.json.encode(Document(schema=SCHEMA, **values))
    if b":null" in encoded:
        # JSON has no NaN or infinity and writes null: what is not a number is unknown, and unknown is left out.
        encoded = msgspec.json.encode(_without_nulls(msgspec.json.decode(encoded)))
    return msgspec.json.decode(encoded, type=Document)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _add(archive: zipfile.ZipFile, name: str, content: bytes, compression: int) -> None:
    member = zipfile.ZipInfo(name, date_time=ZIP_EPOCH)
    member.create_system = 3
    member.external_attr = (stat.S_IFREG | 0o644) << 16
    member.compress_type = compression
    archive.writestr(member, content, compresslevel=9 if compression == zipfile.ZIP_DEFLATED else None)


def _write_whole(target: Path, content: bytes) -> None:
    if target.exists() and not target.is_file() and not target.is_dir():
        target.write_bytes(content)  # a pipe or a device such as /dev/stdout: nothing to replace
        return
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:64]}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(_usual_mode())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _usual_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _read(archive: zipfile.ZipFile, name: str, migrations: Mapping[int, Migration]) -> Snapshot:
    _check_members(archive, name)
    if DOCUMENT not in archive.namelist():
        raise damaged(name, f"a zip without {DOCUMENT}")
    document = _document(archive.read(DOCUMENT), name, migrations)
    if missing := [member for member in MEMBERS if member not in archive.namelist()]:
        raise damaged(name, f"it has no {missing[0]}")
    if unknown := sorted(set(archive.namelist()) - set(MEMBERS)):
        raise damaged(name, f"unknown member {unknown[0]!r}")
    from gpuaudit.cluster.usage import Usage

    try:
        usage = Usage(
            hourly=unpack_hourly(archive.read(HOURLY)),
            devices=unpack_devices(archive.read(DEVICES)),
        )
    except ValueError as error:
        raise damaged(name, str(error)) from error
    return Snapshot(**{field: getattr(document, field) for field in _FIELDS}, usage=usage)


def _check_members(archive: zipfile.ZipFile, name: str) -> None:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS or len({member.filename for member in members}) < len(members):
        raise damaged(name, "too many members, or one stands twice")
    for member in members:
        if not member.filename or Path(member.filename).name != member.filename or "\\" in member.filename:
            raise damaged(name, f"member {member.filename!r} is a path")
        if stat.S_ISLNK(member.external_attr >> 16) or member.flag_bits & 0x1:
            raise damaged(name, f"member {member.filename!r} is a link or encrypted")
        ratio = member.file_size / max(1, member.compress_size)
        if member.file_size > MAX_MEMBER_BYTES or (member.file_size > 1 << 20 and ratio > MAX_RATIO):
            raise damaged(name, f"member {member.filename!r} unpacks to {member.file_size:,} bytes")
    if sum(member.file_size for member in members) > MAX_TOTAL_BYTES:
        raise damaged(name, f"it unpacks to more than {MAX_TOTAL_BYTES >> 30} GiB")


def _document(content: bytes, name: str, migrations: Mapping[int, Migration]) -> Any:
    """Return the document in the present form: decoded at once, or step by step through the migrations."""
    try:
        head = msgspec.json.decode(content, type=_Head)
        version = _version(head, name)
        if version == VERSION:
            return msgspec.json.decode(content, type=Document)
        raw = msgspec.json.decode(content, type=dict[str, Any])
        for step in range(version, VERSION):
            if step not in migrations:
                raise _too_old(name, step, head)
            raw = migrations[step](raw)
        return msgspec.convert(raw | {"schema": SCHEMA}, Document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if "unknown field" in str(error):
            raise UserError(
                f"{name} was written by gpuaudit {head.tool_version[:40]} and holds more than this version knows",
                hint="upgrade gpuaudit: pip install --upgrade gpuaudit",
            ) from error
        raise damaged(name, f"{DOCUMENT}: {error}") from error


def _version(head: _Head, name: str) -> int:
    schema, _, digits = head.schema.rpartition("/v")
    if schema != SCHEMA_NAME or not digits.isdecimal() or len(digits) > 4:
        raise damaged(name, f"its schema is {head.schema[:60]!r}, not {SCHEMA!r}")
    if int(digits) > VERSION:
        raise UserError(
            f"{name} has the format v{int(digits)}, newer than this version's v{VERSION}",
            hint="upgrade gpuaudit: pip install --upgrade gpuaudit",
        )
    return int(digits)


def _too_old(name: str, version: int, head: _Head) -> UserError:
    return UserError(
        f"{name} has the format v{version}, which this version no longer reads",
        hint=f"take it again with gpuaudit collect, or read it with gpuaudit {head.tool_version[:40]}",
    )
