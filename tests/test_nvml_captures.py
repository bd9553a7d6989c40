"""What real machines told (tests/nvml/record.py), read again; and that a recording holds no identifier."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gpuaudit.cluster.node_facts import GpuFacts
from gpuaudit.cluster.usage import UNKNOWN_OWNER
from gpuaudit.collect.inputs.node_documents import read_documents
from gpuaudit.collect.inputs.nvidia_smi_xml import read_xml
from gpuaudit.collect.joining.process_shares import shares
from gpuaudit.knowledge import gpus, mig
from tests.nvml import scenarios
from tests.nvml.library import playing
from tests.nvml.record import replaced, without_names, without_tags

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "fixtures" / "captures" / "nvml"
MACHINES = sorted(path for path in FOLDER.iterdir() if path.is_dir()) if FOLDER.is_dir() else []
H100 = FOLDER / "nvidia-h100-80gb-hbm3-580.159.04"
H100_BUS_BITS = 5120  # nvmlDeviceGetMemoryBusWidth of that H100
NOW = datetime(2026, 11, 20, tzinfo=UTC)
REAL = "GPU-1b4c2d3e-1111-2222-3333-444455556666"


def told(folder: Path, situation: str = "") -> GpuFacts:
    """What `gpuaudit node` told of the first GPU in a situation (suffix of the file)."""
    file = folder / f"node{situation}.json"
    if not file.exists():
        pytest.skip(f"{folder.name} was not recorded {situation.strip('-')}")
    return read_documents(file.read_bytes(), name=file.name).facts[0].gpus[0]


machines = pytest.mark.parametrize("folder", MACHINES, ids=lambda folder: folder.name)


def test_machines_are_recorded() -> None:
    assert MACHINES


@machines
@pytest.mark.parametrize("situation", ["", "-busy", "-one-sm", "-shared", "-mps"])
def test_nvidia_smi_tells_the_same(folder: Path, situation: str) -> None:
    ours = told(folder, situation)
    smi = read_xml((folder / f"nvidia-smi{situation}.xml").read_bytes(), host="x", now=NOW)
    theirs = smi.gpus[0]
    for field in (
        "uuid",
        "name",
        "pci",
        "vbios",
        "mig_current",
        "faults.ecc_enabled",
        "pcie.width",
        "power.limit_watts",
    ):
        assert of(theirs, field) == of(ours, field) is not None, field
    assert theirs.memory_total_mib == pytest.approx(ours.memory_total_mib, abs=1)
    assert theirs.memory_used_mib == pytest.approx(ours.memory_used_mib, abs=2)
    listed = [(one.pid, one.memory_mib) for one in theirs.processes or ()]
    assert listed == [(one.pid, one.memory_mib) for one in ours.processes or ()]


def of(gpu: GpuFacts, path: str) -> object:
    value: object = gpu
    for name in path.split("."):
        value = getattr(value, name)
    return value


@machines
def test_the_driver_offers_the_profiles_of_our_tables_though_mig_is_off(folder: Path) -> None:
    gpu = told(folder)
    assert gpu.mig_current is False
    model = gpus.identify(gpu.name or "")
    grid = None if model is None else mig.for_model(model)
    assert grid is not None
    offered = {
        row.name: (row.profile_id, row.slices, row.memory_mib, row.multiprocessors, row.instances, row.placements)
        for row in gpu.profiles
    }
    assert offered == {
        row.name: (
            row.gi_profile_id,
            row.g,
            row.memory_mib,
            row.sm,
            row.max_instances,
            tuple((start, row.size) for start in row.starts),
        )
        for row in grid.profiles
    }


@machines
def test_at_rest_nothing_works(folder: Path) -> None:
    gpu = told(folder)
    assert (gpu.utilization, gpu.processes, gpu.activity and gpu.activity.sm_active) == (0.0, (), 0.0)
    assert gpu.clocks.limited_by == ("GpuIdle",)


@machines
def test_a_busy_gpu_is_told_as_busy_by_all(folder: Path) -> None:
    gpu = told(folder, "-busy")
    assert gpu.activity is not None
    assert min(gpu.utilization or 0, gpu.samples["gpu"].mean, gpu.activity.sm_active or 0) > 0.95
    assert [one.sm_utilization for one in gpu.processes or ()] == [1.0]
    assert (gpu.memory_used_mib or 0) > 2000


@machines
def test_one_sm_at_work_is_100_percent_utilization_and_one_132nd_of_the_chip(folder: Path) -> None:
    gpu = told(folder, "-one-sm")
    assert gpu.activity is not None
    assert gpu.utilization == 1.0
    assert gpu.activity.gr_engine_active == pytest.approx(1, abs=0.01)
    assert gpu.activity.sm_active == pytest.approx(1 / 132, rel=0.01)


@machines
def test_a_shared_gpu_belongs_to_the_one_that_works(folder: Path) -> None:
    """One process works half of the time, another holds more memory and does nothing."""
    gpu = told(folder, "-shared")
    worker, holder = gpu.processes or ()
    assert worker.sm_utilization == pytest.approx(0.5, abs=0.03)
    assert holder.sm_utilization is None
    parts = shares(
        gpu.processes,
        lambda one: "worker" if one is worker else "holder",
        utilization=gpu.samples["gpu"].mean,
        memory_mib=gpu.memory_used_mib,
    )
    assert {one.owner: round(one.part, 2) for one in parts}["worker"] == 1.0
    assert sum(one.memory_mib or 0 for one in parts) == pytest.approx(gpu.memory_used_mib)


@machines
def test_under_mps_sm_time_is_told_of_the_server_and_the_clients_share_by_memory(folder: Path) -> None:
    gpu = told(folder, "-mps")
    assert [one.kind for one in gpu.processes or ()] == ["mps", "mps", "compute"]
    first, second, server = gpu.processes or ()
    assert server.sm_utilization == pytest.approx(0.5, abs=0.05)
    assert {first.sm_utilization, second.sm_utilization} == {None}
    owners = {first.pid: "first", second.pid: "second"}
    parts = shares(
        gpu.processes,
        lambda one: owners.get(one.pid, UNKNOWN_OWNER),
        utilization=gpu.samples["gpu"].mean,
        memory_mib=gpu.memory_used_mib,
    )
    part = {one.owner: one.part for one in parts}
    assert part["second"] / part["first"] == pytest.approx((second.memory_mib or 0) / (first.memory_mib or 1))
    assert part[UNKNOWN_OWNER] < 0.02  # the server's own memory


def test_memory_activity_is_the_share_of_the_bandwidth_that_a_program_measured() -> None:
    gpu = told(H100, "-memory")
    assert gpu.activity is not None
    peak = 2 * (gpu.clocks.max_memory_mhz or 0) * 1e6 * H100_BUS_BITS / 8
    assert gpu.activity.dram_active == pytest.approx(3.0154e12 / peak, rel=0.01)
    assert gpu.activity.tensor_active == 0


def test_matrix_products_are_told_as_tensor_activity() -> None:
    gpu = told(H100, "-tensor")
    assert gpu.activity is not None
    assert (gpu.activity.tensor_active or 0) > 0.9
    assert (gpu.activity.sm_occupancy or 1) < 0.2  # few warps feed the tensor cores: occupancy is not efficiency


def test_in_a_pid_namespace_of_its_own_the_others_processes_are_not_told() -> None:
    (facts,) = read_documents((H100 / "node-container.json").read_bytes(), name="x").facts
    assert facts.host_processes is False
    (own,) = facts.gpus[0].processes or ()
    assert (own.memory_mib or 0) < 1100
    assert (facts.gpus[0].memory_used_mib or 0) > 4000


def test_identifiers_are_replaced_the_same_one_by_the_same() -> None:
    text = replaced(
        f"{REAL} MIG-1b4c2d3e-1111-2222-3333-444455556666 {'ab' * 32} fe80:0000:0000:0000:0a1b:2c3d:4e5f:6a7b"
    )
    assert "1b4c2d3e" not in text
    assert "ab" * 32 not in text
    assert "0a1b" not in text
    gpu, device = text.split()[:2]
    assert (gpu[:4], device[:4], gpu[4:]) == ("GPU-", "MIG-", device[4:])
    tree = {"host": "prod-7", "gpus": [{"name": "NVIDIA L4", "processes": [{"pid": 1, "name": "secret.py"}]}]}
    assert without_names(tree) == {
        "host": "a-host",
        "gpus": [{"name": "NVIDIA L4", "processes": [{"pid": 1, "name": "a-name"}]}],
    }
    xml = f"<gpu><serial>123</serial><uuid>{REAL}</uuid><process_name>/home/x</process_name></gpu>"
    assert "123" not in without_tags(xml)
    assert "/home" not in without_tags(xml)


def test_the_recorder_records_what_a_driver_plays(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.nvml.record", "--at-rest", "--out", str(tmp_path / "out")]
    env = playing(scenarios.a100x8_mixed(), tmp_path) | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "out").rglob("node.json")
    assert file.parent.name == "nvidia-a100-sxm4-80gb-580.65.06"
    tree = json.loads(file.read_text())
    assert len(tree["gpus"]) == 8
    assert tree["host"] == "a-host"
    assert "GPU-00000000-0000" not in file.read_text()
    none = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
    )
    assert none.returncode != 0 or "look through it" in none.stdout
