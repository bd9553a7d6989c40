"""scan, collect, doctor and generate against a live cluster, from the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from gpuaudit.store import load
from tests.kubernetes.broken_answers import slow
from tests.kubernetes.reading import PODS, run, the_source
from tests.kubernetes.replay import TENANT, Fault, Replay

# What a shell starts in the background ignores Ctrl-C, and so does all that it starts: these tests as well.
INTERRUPTIBLE = (
    sys.executable,
    "-c",
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('gpuaudit', run_name='__main__', alter_sys=True)",
)


def test_scan_and_collect_from_the_command_line(api: Replay, tmp_path: Path) -> None:
    config = str(api.kubeconfig("auditor"))
    kept = tmp_path / "lab.gpuaudit"
    done = run("collect", "--kubeconfig", config, "-o", str(kept), "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    stored = run("scan", "--input", str(kept), "-o", "json", "--quiet")
    direct = run("scan", "-o", "json", "--now", json.loads(stored.stdout)["taken_at"], KUBECONFIG=config)
    assert (direct.returncode, stored.returncode) == (0, 0)
    assert json.loads(direct.stdout)["findings"] == json.loads(stored.stdout)["findings"]
    assert json.loads(direct.stdout)["cluster"]["gpus"] == 185


def test_doctor_says_what_is_seen_and_what_is_not(api: Replay) -> None:
    whole = json.loads(run("doctor", "-o", "json", KUBECONFIG=str(api.kubeconfig("auditor"))).stdout)
    assert whole["clusters"][0]["status"] == "ok"
    assert not any(rule["missing"] for rule in whole["rules"] if rule["name"] == "lost-gpu")
    assert {fact["name"]: fact["given"] for fact in whole["facts"]}["nodes"]
    done = run("doctor", KUBECONFIG=str(api.kubeconfig("limited", namespace=TENANT)))
    assert done.returncode == 0
    assert f"only in {TENANT}: " in done.stdout
    assert "there will be no bill" in done.stdout
    assert "lost-gpu: wants nodes" in done.stdout
    none = run("doctor", KUBECONFIG=str(api.kubeconfig("nobody")))
    assert none.returncode == 2
    assert "401" in none.stdout
    assert "RULES" not in none.stdout
    assert none.stderr.splitlines() == [
        "error: nothing can be read here",
        "hint: log in again for context nobody: kubectl get nodes must work",
    ]


def test_a_server_that_is_too_busy_is_called_so(api: Replay) -> None:
    config = str(api.kubeconfig("throttled"))
    for command in ("scan", "doctor"):
        done = run(command, "--max-time", "3s", KUBECONFIG=config)
        assert done.returncode == 2
        assert "429" in done.stdout + done.stderr
        error, hint = done.stderr.splitlines()[-2:]
        assert error.startswith("error: ")
        assert "is used" not in error  # nothing was read that could be
        assert hint.startswith("hint: the API server has too much to do, or limits this account")


def test_what_weighs_most_is_named_first(api: Replay) -> None:
    config = str(api.kubeconfig("limited"))
    assert "pods is forbidden" in run("doctor", KUBECONFIG=config).stdout
    done = run("scan", KUBECONFIG=config)
    assert "not allowed: pods, nodes, namespaces, " in done.stderr


def test_a_full_disk_is_said(api: Replay) -> None:
    config = str(api.kubeconfig("auditor"))
    done = run("collect", "-o", "/dev/full", "--quiet", KUBECONFIG=config)
    assert (done.returncode, done.stderr.splitlines()) == (
        2,
        [
            "error: cannot write the snapshot /dev/full: No space left on device",
            "hint: make room there, or choose another place",
        ],
    )


def test_generate_prints_whole_documents(tmp_path: Path) -> None:
    done = run("generate", "rbac")
    assert [item["kind"] for item in yaml.safe_load_all(done.stdout)] == [
        "Namespace",
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
    ]
    assert run("generate", "rbac", "--dir", str(tmp_path / "d")).returncode == 0
    assert (tmp_path / "d" / "rbac.yaml").read_text() == done.stdout
    wrong = run("generate", "everything")
    assert (wrong.returncode, wrong.stderr.splitlines()[1]) == (2, "hint: it can be: probe, rbac")


def test_interrupted_keeps_what_was_collected(api: Replay, tmp_path: Path) -> None:
    """Ctrl-C while pods are being read."""
    api.faults.append(Fault(PODS, act=slow(30)))
    kept = tmp_path / "kept.gpuaudit"
    command = [*INTERRUPTIBLE, "collect", "--kubeconfig", str(api.kubeconfig("auditor")), "-o", str(kept)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(300):
        if PODS in api.paths():
            break
        time.sleep(0.1)
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert "what was collected is kept" in errors
    assert "Traceback" not in errors
    snapshot = load(kept)
    assert len(snapshot.nodes) == 35
    assert "stopped by hand" in the_source(snapshot).detail
    assert "pods" not in the_source(snapshot).provides


def test_an_interrupted_scan_keeps_it_in_the_cache(api: Replay, tmp_path: Path) -> None:
    api.faults.append(Fault(PODS, act=slow(30)))
    environment = {**os.environ, "KUBECONFIG": str(api.kubeconfig("auditor")), "XDG_CACHE_HOME": str(tmp_path)}
    process = subprocess.Popen([*INTERRUPTIBLE, "scan"], stderr=subprocess.PIPE, text=True, env=environment)
    while PODS not in api.paths():
        time.sleep(0.1)
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert str(tmp_path / "gpuaudit" / "interrupted.gpuaudit") in errors
    assert len(load(tmp_path / "gpuaudit" / "interrupted.gpuaudit").nodes) == 35


def test_nothing_readable_is_one_error_line_and_one_hint(api: Replay) -> None:
    done = run("scan", KUBECONFIG=str(api.kubeconfig("nobody")))
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


def test_progress_is_on_stderr_only_and_can_be_silenced(api: Replay) -> None:
    done = run("scan", "-o", "json", "--no-progress", KUBECONFIG=str(api.kubeconfig("auditor")))
    assert json.loads(done.stdout)["cluster"]["gpus"] == 185
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("collect", "-o", "/nonexistent/x.gpuaudit"),
        ("scan", "-o", "json=/nonexistent/x.json"),
        ("scan", "--save", "/nonexistent/x.gpuaudit"),
    ],
    ids=" ".join,
)
def test_where_nothing_can_be_written_nothing_is_read(api: Replay, arguments: tuple[str, ...]) -> None:
    seen = run(*arguments, "--kubeconfig", str(api.kubeconfig("auditor")))
    assert seen.returncode == 2
    assert "error: cannot write" in seen.stderr
    assert "hint: " in seen.stderr
    assert api.asked == []
