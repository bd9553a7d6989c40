"""NCCL's logs: what is kept of them, whose they are, and that nothing in them can do harm."""

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaudit import store
from gpuaudit.cluster.nccl import NcclLog
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.inputs.files import collect_files
from gpuaudit.collect.inputs.nccl_log import NcclRead, read_nccl_log
from gpuaudit.demand.network import nccl
from gpuaudit.knowledge import fabric
from gpuaudit.outcome import evaluate
from tests.build import NOW, WINDOW
from tests.kubernetes.objects import node, pod, thing
from tests.rule_cases import RULES

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "recordings"
recordings = pytest.mark.skipif(not SHARED.is_dir(), reason="no recordings beside this checkout")

TWO_HOSTS = """
[2026-11-23 10:00:00] train-0:41:41 [0] NCCL INFO Bootstrap : Using eth0:10.0.0.1<0>
train-0:41:41 [0] NCCL INFO NET/Socket : Using [0]eth0:10.0.0.1<0>
train-0:41:41 [0] NCCL INFO Using network Socket
train-0:41:77 [0] NCCL INFO comm 0x1 rank 0 nRanks 16 nNodes 2 localRanks 8 localRank 0 MNNVL 0
train-0:41:77 [0] NCCL INFO Channel 00/0 : 0[0] -> 8[0] [send] via NET/Socket/0
[pod/train-1/main] train-1:42:42 [0] misc/ibvwrap.cc:63 NCCL WARN Failed to open libibverbs.so[.1]
[pod/train-1/main] train-1:42:42 [0] NCCL INFO Using network Socket
NCCL version 2.26.2+cuda12.2
"""


def read(text: str | bytes) -> NcclRead:
    content = text.encode() if isinstance(text, str) else text
    return read_nccl_log(io.BytesIO(content), name="job.log", cluster="c")


def scan(*paths: Path) -> Snapshot:
    return collect_files([str(path) for path in paths], now=None, window=timedelta(days=14))


def write(path: Path, *objects: Any) -> Path:
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return path


def said(snapshot: Snapshot) -> list[str]:
    outcome = evaluate(snapshot, {"nccl-socket-fallback": RULES["nccl-socket-fallback"]}, options={},
                       opted_out=lambda *_: None)[0]  # fmt: skip
    assert not outcome.missing
    return [f"{one.finding.confidence} {one.finding.message}" for one in outcome.findings]


def test_what_is_kept_of_a_fallback() -> None:
    first, second = read(TWO_HOSTS).logs
    assert (first.host, second.host, first.hosts) == ("train-0", "train-1", 2)
    assert (first.networks, first.interfaces, first.version) == (("Socket",), ("eth0",), "2.26.2+cuda12.2")
    assert (first.ranks, first.nodes, first.processes, first.paths) == (16, 2, 1, {"NET/Socket": 1})
    assert (second.pod, second.warnings) == ("train-1", ("Failed to open libibverbs.so[.1]",))


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("NET/IB : Using [0]mlx5_0:1/RoCE [1]mlx5_1:1/RoCE ; OOB x", "devices", ("mlx5_0/RoCE", "mlx5_1/RoCE")),
        ("NET/IB : No device found.", "no_device", True),
        ("Using network AWS Libfabric", "networks", ("AWS Libfabric",)),
        ("Assigned NET plugin Socket to comm", "networks", ("Socket",)),
        ("Using network GPUDirectTCPX_v7", "networks", ("GPUDirectTCPX_v7",)),
        ("NET/IB : GPU Direct RDMA Enabled for HCA 0 'mlx5_0'", "gpudirect", True),
        ("NET/IB : GPU Direct RDMA Disabled for HCA 0 'mlx5_0'", "gpudirect", False),
        ("Channel 02/0 : 3[3] -> 11[3] [send] via NET/IB/3/GDRDMA", "gpudirect", True),
        ("Channel 02/0 : 3[3] -> 11[3] [send] via NET/IB/3/GDRDMA", "paths", {"NET/IB GDRDMA": 1}),
        ("Channel 2 : 3[3] -> 11[3] [send] via NET/AWS Libfabric/3/GDRDMA", "paths", {"NET/AWS Libfabric GDRDMA": 1}),
        ("Channel 00/24 : 0 1 2 3", "paths", {}),
        ("DMA-BUF is available on GPU device 0", "dma_buf", True),
        ("NET/Plugin: Loaded net plugin AWS Libfabric (v8)", "plugin", "AWS"),
        ("comm 0x7f rank 3 nranks 32 cudaDev 3 busId 1 - Init COMPLETE", "ranks", 32),
        ("Bootstrap : Using eth0:10.0.0.1<0>", "networks", ()),
    ],
)  # fmt: skip
def test_lines(line: str, field: str, value: object) -> None:
    assert getattr(read(f"gpu1:1:2 [3] NCCL INFO {line}\n").logs[0], field) == value


def test_the_lines_of_docker() -> None:
    line = '{"log":"gpu1:1:2 [0] NCCL INFO Using network IB\\n","stream":"stdout","time":"2026-11-23T10:00:00Z"}'
    assert read(line).logs[0].networks == ("IB",)


@recordings
def test_recorded_logs_of_omni_path_are_rdma() -> None:
    for path in sorted((SHARED / "nccl-logs").iterdir()):
        found = read(path.read_bytes()).logs
        assert {log.networks for log in found} == {("IB",)}
        assert all(log.devices[0].startswith("hfi1_") for log in found)


@recordings
def test_a_recorded_fallback_is_found_and_recorded_rdma_is_not() -> None:
    fallback = scan(SHARED / "transcribed" / "nccl__socket-fallback.log")
    assert fallback.facts >= {"nccl_logs", "job_network"}
    assert len(said(fallback)) == 1
    assert "libibverbs" in said(fallback)[0]
    assert said(scan(SHARED / "nccl-logs")) == []


def test_a_log_is_joined_to_the_pod_that_its_host_is(tmp_path: Path) -> None:
    job = thing("PyTorchJob", "train", "kubeflow.org/v1")
    gpu = {"gpu": "8"}
    nodes = [node(f"n{i}", {"node.kubernetes.io/instance-type": "p5.48xlarge"}, gpu="8") for i in range(2)]
    pods = [
        pod(f"train-{i}", node_name=f"n{i}", requests=gpu,
            meta={"ownerReferences": [{"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "name": "train",
                                       "uid": job["metadata"]["uid"], "controller": True}]})
        for i in range(2)
    ]  # fmt: skip
    objects = write(tmp_path / "objects.json", *nodes, *pods, job)
    (tmp_path / "job.log").write_text(TWO_HOSTS)
    found = scan(objects, tmp_path / "job.log")
    assert [(log.pod, log.node) for log in found.nccl_logs] == [("team/train-0", "n0"), ("team/train-1", "n1")]
    assert {log.workload for log in found.nccl_logs} == {f"{found.clusters[0].name}/PyTorchJob/team/train"}
    assert any("chose sockets on 2 hosts of team/train" in text for text in said(found))
    assert store.load_stream(io.BytesIO(store.dumps(found)), name="x").nccl_logs == found.nccl_logs


def test_a_host_that_is_a_node_names_the_node_alone(tmp_path: Path) -> None:
    objects = write(tmp_path / "nodes.json", node("gpu1", gpu="8"))
    (tmp_path / "job.log").write_text("gpu1:1:2 [0] NCCL INFO Using network IB\n")
    log = scan(objects, tmp_path / "job.log").nccl_logs[0]
    assert (log.node, log.workload, log.pod) == ("gpu1", None, None)


@pytest.mark.parametrize(
    ("logs", "spans"),
    [
        ([{"hosts": 2}], True),
        ([{"hosts": 2, "ranks": 8, "processes": 8}], False),  # two jobs in one file
        ([{"ranks": 8, "processes": 8}], False),
        ([{"ranks": 16, "nodes": 2}], True),
        ([{"ranks": 8, "processes": 1}], None),
        ([{}], None),
    ],
)
def test_whether_a_job_leaves_its_host(logs: list[dict[str, int]], spans: bool | None) -> None:
    snapshot = scan_of([NcclLog(cluster="c", name="a", host=f"h{i}", **one) for i, one in enumerate(logs)])  # type: ignore[arg-type]
    assert nccl.chosen(snapshot)[0].spans is spans


def scan_of(logs: list[NcclLog]) -> Snapshot:
    return Snapshot(taken_at=NOW, window=WINDOW, nccl_logs=tuple(logs))


def test_hostile_lines_are_bounded_and_escaped() -> None:
    bomb = "A" * 5_000_000 + ":1:2 [0] NCCL INFO Using network " + "x" * 5_000_000
    marks = "h:1:2 [0] NCCL WARN \x1b[31mred\x00\u202e" + "y" * 5_000
    many = "\n".join(f"h{i}:1:2 [0] NCCL INFO Using network IB" for i in range(fabric.fabric().log.max_hosts + 5))
    found = read("\n".join([bomb, marks, many]))
    assert found.full
    assert len(found.logs) == fabric.fabric().log.max_hosts
    text = "".join(log.warnings[0] for log in found.logs if log.warnings)
    assert len(text) <= fabric.fabric().log.max_text_chars
    assert text.isprintable()


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    for log in read(b"h:1:2 [0] NCCL INFO " + content + b"\nh:1:2 [0] NCCL WARN " + content).logs:
        assert all(text.isprintable() for text in (*log.networks, *log.warnings, *log.devices))


def test_a_log_without_a_whole_line_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "torn.log").write_text("NCCL version 2.26\n")
    objects = write(tmp_path / "nodes.json", node("gpu1", gpu="8"))
    source = next(one for one in scan(objects, tmp_path / "torn.log").sources if one.name == "torn.log")
    assert source.status == "failed"
