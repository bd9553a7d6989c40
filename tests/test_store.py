import dataclasses
import json
import math
import os
import stat
import struct
import types
import typing
import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import jsonschema
import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuaudit import store
from gpuaudit.cluster.nodes import Interface, Node, Span
from gpuaudit.cluster.record import Record
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.usage import (
    DEVICE_FLAGS,
    DEVICE_KEYS,
    DEVICE_TEXT,
    DEVICE_TIMES,
    DEVICE_VALUES,
    HOURLY_KEYS,
    HOURLY_VALUES,
    Usage,
    conform_devices,
    conform_hourly,
)
from gpuaudit.errors import UserError

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
TIMES = st.integers(0, 7_000_000_000_000_000).map(
    lambda micros: datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)
)
MILLISECONDS = TIMES.map(lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000))
FLOAT32 = st.floats(width=32, allow_infinity=False)


def snapshot(**values):
    return Snapshot(taken_at=NOW, window=Span(start=NOW - timedelta(days=1), end=NOW), **values)


def values_of(hint):
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin is typing.Annotated:
        return values_of(arguments[0])
    if origin in (types.UnionType, typing.Union):
        return st.one_of([values_of(argument) for argument in arguments])
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is dict:
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=2)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*[values_of(argument) for argument in arguments])
    if isinstance(hint, type) and issubclass(hint, Record):
        return record_of(hint)
    plain = {
        str: st.text(max_size=8),
        int: st.integers(),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        datetime: TIMES,
        type(None): st.none(),
    }
    return plain[hint]


def record_of(kind):
    hints = typing.get_type_hints(kind, include_extras=True)
    needed = {f.name: values_of(hints[f.name]) for f in msgspec.structs.fields(kind) if f.required}
    others = {f.name: values_of(hints[f.name]) for f in msgspec.structs.fields(kind) if not f.required}
    return st.fixed_dictionaries(needed, optional=others).map(lambda values: kind(**values))


def rows_of(keys, columns):
    row = st.fixed_dictionaries(columns)
    return st.lists(row, max_size=5, unique_by=lambda row: tuple(row[key] for key in keys)).map(
        lambda rows: {name: [row[name] for row in rows] for name in columns}
    )


HOURLY = rows_of(
    HOURLY_KEYS,
    dict.fromkeys(HOURLY_KEYS, st.text(max_size=6)) | {"hour": MILLISECONDS} | dict.fromkeys(HOURLY_VALUES, FLOAT32),
).map(conform_hourly)
DEVICES = rows_of(
    DEVICE_KEYS,
    dict.fromkeys((*DEVICE_KEYS, *DEVICE_TEXT), st.text(max_size=6))
    | dict.fromkeys(DEVICE_TIMES, st.one_of(MILLISECONDS, st.just(pd.NaT)))
    | dict.fromkeys(DEVICE_VALUES, FLOAT32)
    | dict.fromkeys(DEVICE_FLAGS, st.booleans()),
).map(conform_devices)
HINTS = typing.get_type_hints(Snapshot, include_extras=True)
SNAPSHOTS = st.fixed_dictionaries(
    {"taken_at": TIMES, "window": record_of(Span)},
    optional={
        field.name: values_of(HINTS[field.name])
        for field in dataclasses.fields(Snapshot)
        if field.name not in ("taken_at", "window", "usage")
    }
    | {"usage": st.builds(Usage, hourly=HOURLY, devices=DEVICES)},
).map(lambda values: Snapshot(**values))


def assert_same(left, right):
    for field in dataclasses.fields(Snapshot):
        if field.name != "usage":
            assert getattr(left, field.name) == getattr(right, field.name), field.name
    pd.testing.assert_frame_equal(left.usage.hourly, right.usage.hourly)
    pd.testing.assert_frame_equal(left.usage.devices, right.usage.devices)


def members_of(content_or_path):
    with zipfile.ZipFile(content_or_path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rezip(path, members, **kwargs):
    with zipfile.ZipFile(path, "w", **kwargs) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "one.gpuaudit"
    store.save(snapshot(nodes=(Node(cluster="c", name="n"),)), path)
    return path


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(taken=SNAPSHOTS)
def test_what_is_stored_is_loaded(taken, tmp_path_factory):
    path = tmp_path_factory.mktemp("trip") / "a.gpuaudit"
    store.save(taken, path)
    loaded = store.load(path)
    assert_same(loaded, taken)
    assert store.dumps(loaded) == store.dumps(taken) == path.read_bytes()


def test_same_snapshot_same_bytes_whatever_the_order_of_labels():
    one = snapshot(nodes=(Node(cluster="c", name="n", labels={"a": "1", "b": "2"}),))
    two = snapshot(nodes=(Node(cluster="c", name="n", labels={"b": "2", "a": "1"}),))
    assert store.dumps(one) == store.dumps(two)


def test_numbers_that_are_none_are_unknown(tmp_path):
    counters = {"a": math.nan, "b": 2.0, "c": math.inf}
    port = Interface(name="eth0 :null", speed_gbps=math.nan, counters=counters)
    store.save(snapshot(nodes=(Node(cluster="c", name="n", interfaces=(port,)),)), tmp_path / "a")
    loaded = store.load(tmp_path / "a").nodes[0].interfaces[0]
    assert loaded == Interface(name="eth0 :null", counters={"b": 2.0})


def test_the_document_meets_its_schema(stored):
    schema = store.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(members_of(stored)["snapshot.json"]), schema)


def test_an_older_version_goes_through_the_migrations(stored, tmp_path):
    members = members_of(stored)
    document = json.loads(members["snapshot.json"]) | {"schema": "gpuaudit.snapshot/v0"}
    document["machines"] = document.pop("nodes")
    old = rezip(tmp_path / "old", members | {"snapshot.json": json.dumps(document)})
    with pytest.raises(UserError, match="format v0") as refused:
        store.load(old)
    assert "gpuaudit collect" in refused.value.hint
    loaded = store.load(old, migrations={0: lambda raw: raw | {"nodes": raw.pop("machines")}})
    assert loaded.nodes == (Node(cluster="c", name="n"),)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "gpuaudit.snapshot/v2"}, "newer"),
        ({"schema": "gpuaudit.report/v1"}, "its schema is"),
        ({"schema": 3}, "schema"),
        ({"schema": "gpuaudit.snapshot/v1x"}, "its schema is"),
        ({"colour": "blue", "tool_version": "9.9"}, "written by gpuaudit 9.9"),
        ({"taken_at": "2026-01-01T00:00:00"}, "timezone"),
        ({"nodes": [{"cluster": "c", "name": "n", "created": "2026-01-01T00:00:00"}]}, "timezone"),
        ({"nodes": "all of them"}, "Expected"),
    ],
)
def test_other_documents_are_refused(stored, tmp_path, change, words):
    members = members_of(stored)
    document = json.loads(members["snapshot.json"]) | change
    with pytest.raises(UserError, match=words) as refused:
        store.load(rezip(tmp_path / "changed", members | {"snapshot.json": json.dumps(document)}))
    assert refused.value.hint
    assert refused.value.code == 2


def other_table(table):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"../../etc/passwd": b"x"},
        {"/etc/passwd": b"x"},
        {"C:\\x": b"x"},
        {"folder/": b""},
        {"more.json": b"{}"},
        {f"{number}": b"" for number in range(20)},
        {"snapshot.json": b"{}"},
        {"snapshot.json": b"[]"},
        {"snapshot.json": b"\xff\xfe"},
        {"snapshot.json": b'{"schema": "gpuaudit.snapshot/v1", "nodes": ' + b"[" * 100_000},
        {"usage_hourly.parquet": b"PAR1 not really PAR1"},
        {"usage_hourly.parquet": b""},
        {"usage_hourly.parquet": other_table(pa.table({"a": [1]}))},
        {"usage_devices.parquet": other_table(pa.table({"a": [1]}))},
    ],
)
def test_hostile_members_are_refused(stored, tmp_path, changes):
    with pytest.raises(UserError, match="is not a gpuaudit snapshot"):
        store.load(rezip(tmp_path / "hostile", members_of(stored) | changes))


def test_tables_of_other_types_are_refused(stored, tmp_path):
    members = members_of(stored)
    table = pq.read_table(pa.BufferReader(members["usage_hourly.parquet"]))
    for name, kind in (("util_mean", pa.float64()), ("device", pa.int32()), ("device", pa.binary())):
        position = table.schema.get_field_index(name)
        other = table.set_column(position, name, pa.nulls(0, kind))
        with pytest.raises(UserError, match="is not a gpuaudit snapshot"):
            store.load(rezip(tmp_path / "typed", members | {"usage_hourly.parquet": other_table(other)}))


def test_a_missing_member_is_named(stored, tmp_path):
    for gone in store.MEMBERS:
        members = members_of(stored)
        del members[gone]
        with pytest.raises(UserError, match=gone):
            store.load(rezip(tmp_path / "less", members))


def test_bombs_links_and_doubles_are_refused(stored, tmp_path):
    members = members_of(stored)
    bomb = rezip(tmp_path / "bomb", members | {"snapshot.json": b" " * (64 << 20)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="unpacks to"):
        store.load(bomb)
    link = zipfile.ZipInfo("usage_devices.parquet")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link", "w") as archive:
        archive.writestr("snapshot.json", members["snapshot.json"])
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="link"):
        store.load(tmp_path / "link")
    with zipfile.ZipFile(tmp_path / "double", "w") as archive:
        archive.writestr("snapshot.json", members["snapshot.json"])
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("snapshot.json", members["snapshot.json"])
    with pytest.raises(UserError, match="twice"):
        store.load(tmp_path / "double")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_is_refused_or_harmless(data, tmp_path_factory):
    whole = store.dumps(snapshot(nodes=(Node(cluster="c", name="n"),)))
    cut = data.draw(st.integers(0, len(whole) - 1))
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:place] + struct.pack("B", whole[place] ^ data.draw(st.integers(1, 255))) + whole[place + 1 :]
    folder = tmp_path_factory.mktemp("damage")
    for content in (whole[:cut], flipped):
        (folder / "x").write_bytes(content)
        for stream in (BytesIO(content), (folder / "x").open("rb")):
            with stream:
                try:
                    loaded = store.load_stream(stream, name="x")
                except UserError as error:
                    assert error.hint  # noqa: PT017
                else:
                    assert isinstance(loaded, Snapshot)


def test_places_that_cannot_be_written_or_read(tmp_path):
    for place in (tmp_path / "no" / "such" / "a", tmp_path):
        with pytest.raises(UserError, match="cannot write"):
            store.save(snapshot(), place)
        with pytest.raises(UserError, match="cannot read"):
            store.load(place)
    assert list(tmp_path.iterdir()) == []


def test_writing_is_whole_and_follows_links(tmp_path, stored):
    before = stored.read_bytes()
    link = tmp_path / "link"
    link.symlink_to(stored)
    store.save(snapshot(), link)
    assert link.is_symlink()
    assert stored.read_bytes() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "one.gpuaudit"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(stored.stat().st_mode) == 0o666 & ~mask


def test_a_pipe_is_written_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    store.save(snapshot(), pipe)
    content = os.read(reader, 1 << 16)
    os.close(reader)
    assert content == store.dumps(snapshot())
    assert Path(pipe).is_fifo()
