"""What real machines told (tests/nvml/record.py), read again; and that a recording holds no identifier."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gpuaudit.collect.inputs.node_documents import read_documents
from gpuaudit.collect.inputs.nvidia_smi_xml import read_xml
from tests.nvml import scenarios
from tests.nvml.library import playing
from tests.nvml.record import replaced, without_names, without_tags

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "fixtures" / "captures" / "nvml"
MACHINES = sorted(path for path in FOLDER.iterdir() if path.is_dir()) if FOLDER.is_dir() else []
NOW = datetime(2026, 11, 20, tzinfo=UTC)
REAL = "GPU-1b4c2d3e-1111-2222-3333-444455556666"


@pytest.mark.parametrize("folder", MACHINES or [None], ids=lambda folder: folder.name if folder else "none recorded")
def test_a_recorded_machine_tells_the_same_twice(folder: Path | None) -> None:
    if folder is None:
        pytest.skip("no real GPU has been recorded yet: python -m tests.nvml.record, on a machine that has one")
    rest = read_documents((folder / "node.json").read_bytes(), name="x").facts[0]
    assert rest.driver
    assert rest.gpus
    busy = folder / "node-busy.json"
    if busy.exists():
        worked = read_documents(busy.read_bytes(), name="x").facts[0].gpus[0]
        assert worked.utilization is None or worked.utilization > 0.9
        assert (worked.memory_used_mib or 0) > (rest.gpus[0].memory_used_mib or 0) + 2000
    xml = folder / "nvidia-smi.xml"
    if xml.exists():
        told = read_xml(xml.read_bytes(), host="x", now=NOW)
        assert [(gpu.uuid, gpu.name, gpu.pci) for gpu in told.gpus] == [(g.uuid, g.name, g.pci) for g in rest.gpus]
        assert told.driver == rest.driver


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
