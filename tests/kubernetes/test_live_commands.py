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
from tests.kubernetes.replay import TENANT, Fault, Replay, status

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
        "hint: log in again for context nobody: kubectl --context nobody get nodes must work",
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


def test_a_namespace_that_was_asked_for_and_may_not_be_read_is_said(api: Replay) -> None:
    path = str(api.kubeconfig("limited"))
    asked = ("--kubeconfig", path, "--namespace", TENANT, "--namespace", "typo")
    seen = run("scan", *asked)
    assert seen.returncode == 0
    assert "failed: namespace typo" in " ".join(seen.stdout.split())
    strict = run("scan", *asked, "--strict", "-o", "json")
    assert strict.returncode == 3
    assert "source namespace typo failed: its pods could not be read" in strict.stderr
    assert run("scan", *asked[:4], "--strict").returncode == 0


def test_a_list_of_nodes_that_failed_is_not_no_gpus(api: Replay, tmp_path: Path) -> None:
    """What pods hold is told, as to a tenant; where that is not known either, nothing is."""
    api.faults.append(Fault("/api/v1/nodes?", answer=status(403, "forbidden")))
    path = str(api.kubeconfig("auditor"))
    report = json.loads(run("scan", "-o", "json", KUBECONFIG=path).stdout)
    assert report["cluster"]["nodes"] is None
    assert report["cluster"]["gpus"] > 0
    assert report["plan"]["before"] == {"monthly": None, "nodes": None}
    api.faults.append(Fault("/api/v1/pods?", answer=status(400, "no")))
    told = run("scan", "-o", "terminal", "-o", f"json={tmp_path / 'r.json'}", KUBECONFIG=path)
    assert "GPU nodes not known" in told.stdout
    assert "0 GPU nodes" not in told.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    assert {report["cluster"][name] for name in ("nodes", "gpu_nodes", "gpus", "mig_devices")} == {None}
    kept = run("collect", "-o", str(tmp_path / "r.gpuaudit"), KUBECONFIG=path)
    assert "GPU nodes not known" in kept.stderr


def test_pods_that_were_not_read_leave_nothing_judged_and_nothing_freed(api: Replay, tmp_path: Path) -> None:
    api.faults.append(Fault("/api/v1/pods?", answer=status(400, "no such thing")))
    path = str(api.kubeconfig("auditor"))
    seen = run("scan", "-o", "terminal", "-o", f"json={tmp_path / 'r.json'}", KUBECONFIG=path)
    screen = " ".join(seen.stdout.split())
    assert "kubernetes read in part: failed: pods (400 no such thing)" in screen
    assert "NOTHING FOUND" not in screen
    plan = json.loads((tmp_path / "r.json").read_text())["plan"]
    assert (plan["savings_monthly"]["booked"], plan["capacity_gpus"], plan["status"]) == (None, None, "none")
    kept = run("collect", "-o", str(tmp_path / "r.gpuaudit"), KUBECONFIG=path)
    assert kept.returncode == 0
    assert "kubernetes read in part: " in kept.stderr
    assert "400 no such thing" in kept.stderr


def test_a_login_that_runs_out_under_way_is_said_on_the_screen(api: Replay) -> None:
    api.faults.append(Fault("/apis/apps", answer=status(401, "Unauthorized")))
    seen = run("scan", KUBECONFIG=str(api.kubeconfig("auditor")))
    assert seen.returncode == 0
    assert "kubernetes read in part: failed: " in " ".join(seen.stdout.split())


def test_doctor_tells_failures_from_missing_rights(api: Replay) -> None:
    api.faults.append(Fault("/api/v1/pods?", answer=status(400, "broken")))
    seen = run("doctor", KUBECONFIG=str(api.kubeconfig("auditor", namespace=TENANT)))
    assert "failed: pods (400 broken)" in seen.stdout
    assert "generate rbac prints the role" not in seen.stdout
    assert "model_clients" not in seen.stdout
    busy = Fault("/", answer=(429, {"Retry-After": "0"}, b"slow down"))
    api.faults = [busy]
    for command in ("doctor", "scan"):
        told = run(command, KUBECONFIG=str(api.kubeconfig("auditor")))
        assert told.returncode == 2
        assert "try again later" in told.stderr


def test_all_contexts_that_failed_are_named(api: Replay) -> None:
    path = api.kubeconfig("nobody", "stranger")
    seen = run("scan", "--context", "nobody", "--context", "stranger", KUBECONFIG=str(path))
    assert seen.returncode == 2
    assert "context nobody at" in seen.stderr
    assert "context stranger at" in seen.stderr


def test_a_folder_is_no_place_for_a_file(api: Replay, tmp_path: Path) -> None:
    path = str(api.kubeconfig("auditor"))
    for flags in (("--save", str(tmp_path)), ("-o", f"json={tmp_path}")):
        seen = run("scan", *flags, KUBECONFIG=path)
        assert seen.returncode == 2
        assert "Is a directory" in seen.stderr
    assert api.asked == []
