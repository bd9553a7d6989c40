import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaudit import store
from gpuaudit.cluster.nodes import Span
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.inputs.file_kinds import FileKind, kind_of
from gpuaudit.collect.inputs.input_files import find_files, read_head

SHARED = Path(__file__).resolve().parents[1].parent / "shared"

NODES = {"apiVersion": "v1", "items": [], "kind": "List"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", FileKind.EMPTY),
        (" \n\t\n", FileKind.EMPTY),
        (json.dumps(NODES), FileKind.KUBERNETES),
        (json.dumps(NODES, indent=4), FileKind.KUBERNETES),
        ('{"kind":"NodeList","apiVersion":"v1","metadata":{},"items":[', FileKind.KUBERNETES),
        ('{"items": [], "kind": "List", "apiVersion": "v1"}', FileKind.KUBERNETES),
        ("---\napiVersion: v1\nkind: Node\n", FileKind.KUBERNETES),
        ("# a comment\nkind: List\nitems: []\napiVersion: v1\n", FileKind.KUBERNETES),
        ('{"status":"success","data":{"resultType":"matrix","result":[]}}', FileKind.PROMETHEUS),
        ('{"status":"success","isPartial":false,"data":{}}', FileKind.PROMETHEUS),
        ('{"status":"error","errorType":"bad_data","error":"parse"}', FileKind.PROMETHEUS),
        ('[{"metric":{"__name__":"up"},"value":[1,"1"]}]', FileKind.PROMETHEUS),
        ("# HELP x y\n# TYPE x gauge\nx 1\n", FileKind.EXPOSITION),
        ('x{a="b"} 1\n', FileKind.EXPOSITION),
        ('x{a="b"} 1 1700000000000\n', FileKind.EXPOSITION),
        ('x_total{a="b"} 1 1700000000.123 # {trace_id="1"} 0.5\n# EOF\n', FileKind.EXPOSITION),
        ('{__name__="x", a="b"} 1 1700000000000\n', FileKind.EXPOSITION),
        ('{"x.y", a="b"} 1\n', FileKind.EXPOSITION),
        ('x{a="b"} NaN\n', FileKind.EXPOSITION),
        ('x{a="b"} ERROR - FAILED TO CONVERT TO STRING\n', FileKind.EXPOSITION),
        ("\n\n# a remark\nup 1\n", FileKind.EXPOSITION),
        ('{"schema": "gpuaudit.report/v1", "tool_version": "1"}', FileKind.REPORT),
        ('{"schema": "gpuaudit.node/v1"}', FileKind.NODE),
        ('<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "x.dtd">\n<nvidia_smi_log>', FileKind.NVIDIA_SMI),
        ("==============NVSMI LOG==============\n", FileKind.NVIDIA_SMI_TEXT),
        ("node1:12:34 [0] NCCL INFO Bootstrap : Using eth0\n", FileKind.NCCL_LOG),
        ("[2026-11-23 10:00:00] node1:12:34 [0] NCCL INFO Bootstrap : Using eth0\n", FileKind.NCCL_LOG),
        ('{"log":"node1:12:34 [0] NCCL INFO Bootstrap : Using eth0\\n"}', FileKind.NCCL_LOG),
        ("NAME   STATUS   ROLES    AGE   VERSION\n", FileKind.TABLE),
        ("NAMESPACE   NAME   READY   STATUS\n", FileKind.TABLE),
        ("nvidia.com/gpu.count=8\n", FileKind.UNKNOWN),
        ("hello world\n", FileKind.UNKNOWN),
        ('{"hello": "world"}', FileKind.JSON),
        ('{"apiVersio', FileKind.JSON),
        ("a,b,c\n1,2,3\n", FileKind.UNKNOWN),
        ("\x00\x01\x02kind: x", FileKind.UNKNOWN),
    ],
)
def test_kind_is_told_by_content(text, kind):
    assert kind_of(text.encode()) is kind
    assert kind_of(b"\xef\xbb\xbf" + text.encode()) is kind
    if text:
        assert kind_of(text.encode("utf-16")) is kind


def test_a_snapshot_is_told_by_its_magic(tmp_path):
    taken_at = datetime(2026, 1, 1, tzinfo=UTC)
    empty = Snapshot(taken_at=taken_at, window=Span(start=taken_at, end=taken_at))
    store.save(empty, tmp_path / "innocent.txt")
    assert kind_of((tmp_path / "innocent.txt").read_bytes()) is FileKind.SNAPSHOT


@given(st.binary(max_size=300))
def test_any_bytes_have_a_kind(content):
    assert kind_of(content) in FileKind


@pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings are not here")
@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("lab/dump", FileKind.KUBERNETES),
        ("recordings/split", FileKind.EXPOSITION),
        ("recordings/inference-metrics", FileKind.EXPOSITION),
        ("recordings/nccl-logs", FileKind.NCCL_LOG),
        ("recordings/nvidia-smi-xml", FileKind.NVIDIA_SMI),
        ("recordings/nvidia-smi-captures", FileKind.NVIDIA_SMI_TEXT),
        ("recordings/slurm", FileKind.JSON),
    ],
)
def test_recorded_files_are_told(folder, kind):
    files = find_files([str(SHARED / folder)]).files
    assert files
    assert {kind_of(read_head(file)) for file in files} == {kind}
