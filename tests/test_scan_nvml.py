"""`scan --nvml`: this host's driver in an audit, alone, beside files, and as a node of a live cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.captures import listed, node, pod, write
from tests.kubernetes.replay import replay_server
from tests.nvml import scenarios
from tests.nvml.library import playing

ROOT = Path(__file__).resolve().parents[1]
NOWHERE = {"KUBECONFIG": "/nonexistent", "HOME": "/nonexistent"}


def scan(*options: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpuaudit", "scan", "--no-progress", *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=env,
        check=False,
    )


def report(*options: str, env: dict[str, str]) -> dict[str, Any]:
    done = scan("-o", "json", *options, env=env)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def sources(found: dict[str, Any]) -> dict[str, Any]:
    return {source["name"]: source for source in found["coverage"]["sources"]}


def test_without_a_cluster_there_is_a_report_of_this_host(tmp_path: Path) -> None:
    env = playing(scenarios.a100x8_mixed(), tmp_path) | NOWHERE
    found = report("--nvml", env=env)
    assert (found["cluster"]["gpus"], found["cluster"]["gpu_nodes"], found["cluster"]["mig_devices"]) == (8, 1, 5)
    assert sources(found)["kubernetes"]["status"] == "absent"
    assert sources(found)["node facts"]["status"] == "ok"
    assert found["findings"] == []  # a moment confirms nothing
    assert found["bill"]["monthly"] is None  # what it costs is not known, and nothing is
    screen = scan("--nvml", env=env)
    assert screen.returncode == 0
    assert "8 GPUs" in screen.stdout


def test_it_has_to_be_asked_for_where_there_is_no_cluster(tmp_path: Path) -> None:
    for options in ((), ("--no-nvml",)):
        done = scan(*options, env=playing(scenarios.a100x8_mixed(), tmp_path) | NOWHERE)
        assert done.returncode == 2
        assert "kubeconfig" in done.stderr


def test_without_a_driver_and_a_cluster_nothing_can_be_audited(tmp_path: Path) -> None:
    done = scan("--nvml", env=os.environ | NOWHERE | {"LD_LIBRARY_PATH": str(tmp_path)})
    if done.returncode == 0:
        pytest.skip("this host has an NVIDIA driver")
    assert done.returncode == 2
    assert "no NVIDIA driver to ask" in done.stderr
    assert done.stderr.count("error: ") == done.stderr.count("hint: ") == 1


def test_beside_files_it_is_the_node_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    write(tmp_path / "lists", nodes=listed(node("gpu-1", gpus=8), pod("train", "gpu-1")))
    env = playing(scenarios.a100x8_mixed(), tmp_path) | {"GPUAUDIT_NODE_NAME": "gpu-1"}
    where = ("--input", str(tmp_path / "lists"))
    found = report("--nvml", *where, env=env)
    assert (found["cluster"]["gpu_nodes"], found["cluster"]["mig_devices"]) == (1, 5)
    assert found["cluster"]["gpus"] == 8
    for options in ((), ("--no-nvml",)):  # the same files give the same report on every machine
        assert "node facts" not in sources(report(*options, *where, env=env))


def test_beside_a_snapshot_too(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    write(tmp_path / "lists", nodes=listed(node("gpu-1", gpus=8)))
    env = playing(scenarios.a100x8_mixed(), tmp_path) | {"GPUAUDIT_NODE_NAME": "gpu-1"}
    kept = tmp_path / "kept.gpuaudit"
    scan("--input", str(tmp_path / "lists"), "--save", str(kept), env=env)
    assert report("--nvml", "--input", str(kept), env=env)["cluster"]["mig_devices"] == 5


def test_a_node_of_the_live_cluster_tells_of_itself_unless_told_not_to(tmp_path: Path) -> None:
    env = playing(scenarios.a100x8_mixed(), tmp_path)
    with replay_server(tmp_path) as api:
        env |= {"KUBECONFIG": str(api.kubeconfig("auditor"))}
        name = _node_with_eight_cards(env, tmp_path)
        here = env | {"GPUAUDIT_NODE_NAME": name}
        assert "node facts" in sources(report(env=here))
        assert "node facts" not in sources(report("--no-nvml", env=here))
        assert "node facts" not in sources(report(env=env))
        added = report("--nvml", env=env)
        assert "in no node list" in sources(added)["node facts"]["detail"]


def _node_with_eight_cards(env: dict[str, str], folder: Path) -> str:
    from gpuaudit.store import load

    scan("--save", str(folder / "lab.gpuaudit"), env=env)
    snapshot = load(folder / "lab.gpuaudit")
    return next(one.name for one in snapshot.nodes if one.gpus == 8 and not any(card.mig for card in one.cards))


def test_asked_for_without_a_driver_it_is_a_failed_source(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    write(tmp_path / "lists", nodes=listed(node("gpu-1", gpus=8)))
    env = os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}
    found = sources(report("--nvml", "--input", str(tmp_path / "lists"), env=env))
    if "this host" not in found:
        pytest.skip("this host has an NVIDIA driver")
    assert found["this host"]["status"] == "failed"
    assert scan("--nvml", "--strict", "--input", str(tmp_path / "lists"), env=env).returncode == 3
