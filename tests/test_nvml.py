"""NVML through the real nvidia-ml-py, against a stand-in library in C that plays scenarios."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gpuaudit.collect.nvml.processes import container_of
from tests.nvml import scenarios
from tests.nvml.library import folder_of

ROOT = Path(__file__).parents[1]
POD = "1234abcd-0000-1111-2222-333344445555"


@pytest.fixture(scope="session")
def libraries() -> dict[str, Path]:
    return {"new": folder_of(), "old": folder_of(("-DOLD_DRIVER",))}


def node(libraries: dict[str, Path], tmp_path: Path, scenario: str, *options: str, driver: str = "new") -> Any:
    file = tmp_path / "scenario.txt"
    file.write_text(scenario)
    environment = os.environ | {"LD_LIBRARY_PATH": str(libraries[driver]), "NVML_SCENARIO": str(file)}
    done = subprocess.run(
        [sys.executable, "-m", "gpuaudit", "node", *options],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout if "terminal" in options else json.loads(done.stdout)


def test_eight_a100_with_mixed_mig(libraries: dict[str, Path], tmp_path: Path) -> None:
    facts = node(libraries, tmp_path, scenarios.a100x8_mixed())
    assert (facts["schema"], facts["driver"], facts["cuda"]) == ("gpuaudit.node/v1", "580.65.06", "13.0")
    gpus = facts["gpus"]
    assert len(gpus) == 8
    placed = [(item["profile"], item["start"], item["size"]) for item in gpus[0]["instances"]]
    assert placed == [("3g.40gb", 4, 4), ("2g.20gb", 0, 2), ("1g.10gb", 2, 1), ("1g.10gb", 3, 1)]
    assert [item["memory_used_mib"] for item in gpus[0]["instances"]] == [100, 200, 300, 400]
    possible = {profile["name"]: profile["placements"] for profile in gpus[0]["profiles"]}
    assert possible["3g.40gb"] == [[0, 4], [4, 4]]
    assert possible["1g.10gb"] == [[start, 1] for start in range(7)]
    assert gpus[2]["processes"][0] | {"name": None} == {
        "pid": 4242,
        "kind": "compute",
        "name": None,
        "container": None,
        "pod_uid": None,
        "memory_mib": 30000.0,
        "sm_utilization": 0.7,
        "gpu_instance_id": None,
        "compute_instance_id": None,
    }
    assert gpus[2]["samples"]["gpu"] == {"count": 3, "seconds": 2.0, "mean": 0.8, "max": 0.9}
    assert len(gpus[3]["nvlinks"]) == 12
    assert set(gpus[3]["peers"].values()) == {"NVLINK"}
    assert gpus[3]["serial"] is None
    assert gpus[3]["clocks"]["limited_by"] == ["GpuIdle"]


def test_the_chips_own_counters_tell_how_much_of_it_works(
    libraries: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "left"
    monkeypatch.setenv("NVML_SAMPLES_LEFT", str(left))
    (gpu,) = node(libraries, tmp_path, scenarios.h100_at_work())["gpus"]
    activity = gpu["activity"]
    assert 1 <= activity.pop("seconds") < 5
    assert activity == {
        "gr_engine_active": 1.0,
        "sm_active": 0.0075,
        "sm_occupancy": 0.0009,
        "tensor_active": 0.0,
        "dram_active": 0.015,
        "pcie_tx_mib_per_second": 3.25,
        "pcie_rx_mib_per_second": 2.5,
        "nvlink_tx_mib_per_second": None,  # no number
        "nvlink_rx_mib_per_second": None,  # not supported
    }
    assert "activity" not in gpu["unknown"]
    assert left.read_text() == "0"
    drawn = node(libraries, tmp_path, scenarios.h100_at_work(), "-o", "terminal")
    assert "busy 100 % · SMs 0.8 %" in " ".join(drawn.split())


def test_the_counters_of_each_gpu_instance(
    libraries: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "left"
    monkeypatch.setenv("NVML_SAMPLES_LEFT", str(left))
    (gpu,) = node(libraries, tmp_path, scenarios.h100_mig_at_work())["gpus"]
    first, second = gpu["instances"]
    assert (first["profile"], first["activity"]["sm_active"], first["activity"]["tensor_active"]) == (
        "3g.40gb",
        0.625,
        0.125,
    )
    assert first["activity"]["dram_active"] is None  # 250 % can be no share
    assert (second["profile"], second["activity"], gpu["activity"]) == ("2g.20gb", None, None)
    assert gpu["unknown"]["activity"] == "no permission"
    assert left.read_text() == "0"


@pytest.mark.parametrize("driver", ["new", "old"])
def test_a_gpu_without_counters_says_so_and_nobody_waits(
    libraries: dict[str, Path], tmp_path: Path, driver: str
) -> None:
    (gpu,) = node(libraries, tmp_path, scenarios.h100_mig_off(), driver=driver)["gpus"]
    assert gpu["activity"] is None
    assert gpu["unknown"]["activity"] == {"new": "not supported", "old": "function not in this driver"}[driver]


def test_a_young_process_is_not_charged_for_what_ran_before_it(libraries: dict[str, Path], tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as young:
        scenario = scenarios.h100_mig_off() + (
            f"gpu0.process0 {young.pid} 4000\ngpu0.process1 {os.getpid()} 500\n"
            f"gpu0.busy0 {young.pid} 66 6\ngpu0.busy1 {os.getpid()} 20 6\n"
        )
        (gpu,) = node(libraries, tmp_path, scenario)["gpus"]
        young.kill()
    told = {one["pid"]: one["sm_utilization"] for one in gpu["processes"]}
    assert told[young.pid] is None
    assert told[os.getpid()] in (0.2, None)  # None where the tests themselves are younger than the driver's samples
    assert "processes.sm_utilization" not in gpu["unknown"]


def test_that_no_process_computed_is_an_answer(libraries: dict[str, Path], tmp_path: Path) -> None:
    (gpu,) = node(libraries, tmp_path, scenarios.h100_mig_off() + "gpu0.process0 4242 4000\n")["gpus"]
    assert gpu["processes"][0]["sm_utilization"] is None
    assert "processes.sm_utilization" not in gpu["unknown"]


def test_serials_only_when_asked_for(libraries: dict[str, Path], tmp_path: Path) -> None:
    assert node(libraries, tmp_path, scenarios.h100_mig_off(), "--serials")["gpus"][0]["serial"]


def test_health_of_an_h100(libraries: dict[str, Path], tmp_path: Path) -> None:
    facts = node(libraries, tmp_path, scenarios.h100_mig_off())
    (gpu,) = facts["gpus"]
    assert facts["confidential_compute"] is True
    assert (gpu["mig_current"], gpu["instances"], gpu["profiles"]) == (False, [], [])
    assert gpu["clocks"]["limited_by"] == ["HwSlowdown", "SwThermalSlowdown"]
    assert gpu["faults"]["remap_failure"] is True
    assert gpu["faults"]["aggregate_uncorrected"] == 4
    assert (gpu["pcie"]["width"], gpu["pcie"]["max_width"]) == (8, 16)
    assert gpu["processes"] == []


def test_a_lost_gpu_does_not_take_the_others_along(libraries: dict[str, Path], tmp_path: Path) -> None:
    facts = node(libraries, tmp_path, scenarios.lost())
    first, second = facts["gpus"]
    assert (first["lost"], first["name"]) == (True, None)
    assert (second["lost"], second["utilization"]) == (True, None)
    assert second["memory_total_mib"] == 81920
    assert "does not answer" in facts["notes"][0]


def test_all_unsupported_is_all_unknown(libraries: dict[str, Path], tmp_path: Path) -> None:
    (gpu,) = node(libraries, tmp_path, scenarios.unsupported())["gpus"]
    for field in ("uuid", "name", "utilization", "memory_used_mib", "mig_current"):
        assert gpu[field] is None
        assert gpu["unknown"][field] == "not supported"
    assert gpu["power"]["draw_watts"] is None
    assert gpu["lost"] is False


def test_an_old_driver_lacks_symbols_and_still_tells_what_it_can(libraries: dict[str, Path], tmp_path: Path) -> None:
    facts = node(libraries, tmp_path, scenarios.a100x8_mixed(), driver="old")
    gpu = facts["gpus"][0]
    assert gpu["memory_used_mib"] == 4
    assert gpu["profiles"][0]["placements"]
    assert gpu["clocks"]["limited_by"] == ["GpuIdle"]
    assert gpu["processes"] is None
    assert gpu["unknown"]["faults.remapped"] == "function not in this driver"


def test_inside_a_mig_container_what_is_refused_is_unknown(libraries: dict[str, Path], tmp_path: Path) -> None:
    (gpu,) = node(libraries, tmp_path, scenarios.forbidden())["gpus"]
    (device,) = gpu["instances"]
    assert (device["profile"], device["uuid"], device["start"]) == ("1g.10gb", "MIG-0-7", None)
    assert gpu["processes"] is None
    assert gpu["unknown"]["profiles.placements"] == "no permission"
    assert all(profile["placements"] == [] for profile in gpu["profiles"])
    assert "instances" not in gpu["unknown"]
    refused = scenarios.forbidden().replace("gpu0.mig0.gi 7", "gpu0.mig0.gi !4")
    (gpu,) = node(libraries, tmp_path, refused)["gpus"]
    assert (gpu["instances"], gpu["unknown"]["instances"]) == ([], "no permission")


def test_a_vgpu_says_so(libraries: dict[str, Path], tmp_path: Path) -> None:
    (gpu,) = node(libraries, tmp_path, scenarios.vgpu())["gpus"]
    assert gpu["virtualization"] == "vgpu"
    assert gpu["power"]["draw_watts"] is None


def test_clients_of_mps_are_told_as_such(libraries: dict[str, Path], tmp_path: Path) -> None:
    (gpu,) = node(libraries, tmp_path, scenarios.mps())["gpus"]
    assert [(one["pid"], one["kind"]) for one in gpu["processes"]] == [(10, "compute"), (11, "mps"), (12, "mps")]


def test_a_hypervisor_says_how_many_vgpus_it_lends(libraries: dict[str, Path], tmp_path: Path) -> None:
    (gpu,) = node(libraries, tmp_path, scenarios.hypervisor())["gpus"]
    assert (gpu["virtualization"], gpu["vgpus"]) == ("host_vgpu", 3)


@pytest.mark.parametrize("driver", ["new", "old"])
def test_what_one_function_of_several_tells_is_not_called_unknown(
    libraries: dict[str, Path], tmp_path: Path, driver: str
) -> None:
    gpu = node(libraries, tmp_path, scenarios.a100x8_mixed(), driver=driver)["gpus"][0]
    assert not {"memory_used_mib", "clocks.limited_by"} & set(gpu["unknown"])


def test_values_that_no_header_promises_are_kept_as_numbers_or_dropped(
    libraries: dict[str, Path], tmp_path: Path
) -> None:
    (gpu,) = node(libraries, tmp_path, scenarios.strange())["gpus"]
    assert (gpu["architecture"], gpu["virtualization"], gpu["utilization"]) == ("99", "77", None)
    assert gpu["clocks"]["limited_by"] == ["unknown bits 0x10000000000"]


def test_without_a_driver_there_are_no_gpus_a_note_and_exit_0(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gpuaudit", "node", "-o", "json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
        check=False,
    )
    facts = json.loads(done.stdout)
    if facts["driver"] is not None:
        pytest.skip("this host has an NVIDIA driver")
    assert (done.returncode, facts["gpus"]) == (0, [])
    assert done.stderr.startswith("note: ")


@pytest.mark.parametrize(
    ("text", "container", "pod"),
    [
        ("0::/\n", None, None),
        (f"0::/kubepods.slice/kubepods-pod{POD.replace('-', '_')}.slice/cri-{'a' * 64}.scope", "a" * 64, POD),
        (f"11:memory:/kubepods/burstable/pod{POD}/{'b' * 64}\n", "b" * 64, POD),
        (f"12:devices:/docker/{'c' * 64}\n", "c" * 64, None),
    ],
)
def test_a_process_is_joined_to_its_container_by_cgroup(text: str, container: str | None, pod: str | None) -> None:
    assert container_of(text) == (container, pod)


@pytest.mark.parametrize(
    "scenario",
    [
        scenarios.a100x8_mixed,
        scenarios.h100_mig_off,
        scenarios.lost,
        scenarios.unsupported,
        scenarios.forbidden,
        scenarios.vgpu,
        scenarios.hypervisor,
        scenarios.strange,
    ],
)
def test_whatever_the_driver_says_the_document_is_of_its_schema(
    libraries: dict[str, Path], tmp_path: Path, scenario: Callable[[], str]
) -> None:
    schema = subprocess.run(
        [sys.executable, "-m", "gpuaudit", "schema", "node"], capture_output=True, cwd=ROOT, check=True
    ).stdout
    facts = node(libraries, tmp_path, scenario())
    jsonschema.validate(facts, json.loads(schema))
    drawn = node(libraries, tmp_path, scenario(), "-o", "terminal")
    assert all(f"GPU {gpu['index']}" in drawn for gpu in facts["gpus"])
