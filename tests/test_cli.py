"""The command line from outside: exit codes, stdout and stderr, wrong input."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gpuaudit.cluster.nodes import Cluster
from gpuaudit.cluster.platform import Source
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.usage import NOBODY
from gpuaudit.store import load, save
from tests.build import NOW, WINDOW, node, pod, usage

FACTS = ("nodes", "pods", "workloads", "utilization", "history", "pod_attribution", "power", "memory_used")


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool of five nodes: one busy, one half seen, three empty on demand for the whole window."""
    path = tmp_path_factory.mktemp("snapshots") / "small.gpuaudit"
    empty = [(f"e{i}", NOBODY, 0.0) for i in (1, 2, 3)]
    save(
        Snapshot(
            taken_at=NOW,
            window=WINDOW,
            clusters=(Cluster(name="c", uid="u"),),
            nodes=tuple(node(name) for name in ("e1", "e2", "e3", "n1", "n2")),
            pods=(pod("w", "n1"),),
            sources=(Source(name="files", status="ok", provides=FACTS),),
            usage=usage(*empty, ("n1", "c/Deployment/n/w", 0.8)),
        ),
        path,
    )
    return path


def gpuaudit(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("GPUAUDIT_")}
    return subprocess.run(
        [sys.executable, "-m", "gpuaudit", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd or Path(__file__).parents[1],
        env=known
        | {"PYTHONIOENCODING": "utf-8", "KUBECONFIG": "/no/such/kubeconfig", "HOME": "/no/such/home"}
        | environment,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], words: str, code: int = 2) -> None:
    """Check that it ended in one error line and one hint line, with that code and no traceback."""
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], done.stderr
    assert words in lines[0]
    assert len(lines[1]) > len("hint: ")
    assert done.stdout == ""


def test_a_scan_prints_the_screen_on_stdout_and_nothing_else(snapshot: Path) -> None:
    done = gpuaudit("scan", "--input", snapshot, "--quiet", COLUMNS="100")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "BILL" in done.stdout
    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) <= 40


def test_json_on_stdout_is_the_contract(snapshot: Path) -> None:
    report = json.loads(gpuaudit("scan", "--input", snapshot, "-o", "json").stdout)
    assert report["schema"] == "gpuaudit.report/v1"
    assert report["taken_at"] == "2026-11-23T12:00:00Z"
    assert list(report) == [
        *("schema", "tool_version", "taken_at", "window", "cluster", "clusters", "coverage", "utilization", "bill"),
        *("serving", "answers", "actions", "findings", "plan", "tiers", "decisions", "stack", "monday", "objects"),
    ]
    assert report["plan"]["savings_monthly"] == {
        "booked": report["plan"]["savings_monthly"]["booked"],
        "p50": None,
        "p95": None,
    }


@pytest.mark.parametrize("form", ["json", "terminal"])
def test_the_same_input_gives_the_same_bytes_whatever_the_seed_zone_or_command(form: str) -> None:
    demo = Path(__file__).parents[1] / "fixtures" / "snapshots" / "demo.gpuaudit"
    told = {
        gpuaudit("demo", "-o", form, PYTHONHASHSEED="1", TZ="Asia/Tokyo").stdout,
        gpuaudit("demo", "-o", form, PYTHONHASHSEED="2", TZ="America/Lima", LANG="C").stdout,
        gpuaudit("scan", "--input", demo, "-o", form).stdout,
    }
    assert len(told) == 1
    assert "prod-use1" in told.pop()


def test_outputs_go_where_they_are_sent(snapshot: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    kept = tmp_path / "kept.gpuaudit"
    done = gpuaudit("scan", "--input", snapshot, "-o", "terminal", "-o", f"json={file}", "--save", kept)
    assert done.returncode == 0, done.stderr
    assert json.loads(file.read_text())["schema"] == "gpuaudit.report/v1"
    assert load(kept).nodes == load(snapshot).nodes
    again = tmp_path / "again.gpuaudit"
    assert gpuaudit("collect", "--input", kept, "-o", again).returncode == 0
    assert again.read_bytes() == kept.read_bytes()
    assert "BILL" in done.stdout


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--fail-on", "high"], 1, "gate reached"),
        (["--fail-on", "usd=1000000"], 0, ""),
        (["--fail-on", "usd=1"], 1, "gate reached: booked"),
        (["--fail-on", "high", "--min-coverage", "0.99"], 3, "gate not evaluable"),
        (["--min-coverage", "0.99"], 0, ""),
        (["--fail-on", "high", "--ignore", "empty-gpu-node", "--ignore", "unallocated-gpu"], 0, ""),
    ],
)
def test_gates(snapshot: Path, options: list[str], code: int, words: str) -> None:
    base = [] if "--min-coverage" in options else ["--min-coverage", "0.5"]
    done = gpuaudit("scan", "--input", snapshot, "-o", "json", *base, *options)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert json.loads(done.stdout)["schema"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scan"], "nothing to read"),
        (["scna"], "scna"),
        (["scan", "--inptu", "x"], "--inptu"),
        (["scan", "--input", "{s}", "-o", "pdf"], "'pdf'"),
        (["scan", "--input", "{s}", "-o", "json="], "no file"),
        (["scan", "--input", "{s}", "-o", "json", "-o", "terminal"], "two outputs go to stdout"),
        (["scan", "--input", "{s}", "-o", "json=/no/such/folder/x"], "cannot write"),
        (["scan", "--input", "{s}", "--save", "/no/such/folder/x"], "cannot write"),
        (["scan", "--input", "{s}", "--fail-on", "new"], "baseline"),
        (["scan", "--input", "{s}", "--fail-on", "usd=lots"], "usd=lots"),
        (["scan", "--input", "{s}", "--fail-on", "terrible"], "terrible"),
        (["scan", "--input", "{s}", "--only", "idel-gpu"], "idel-gpu"),
        (["scan", "--input", "{s}", "--window", "soon"], "window"),
        (["scan", "--input", "{s}", "--now", "later"], "now"),
        (["scan", "--input", "{s}", "--top", "0"], "top"),
        (["scan", "--input", "{s}", "--min-coverage", "80"], "min_coverage"),
        (["scan", "--input", "{s}", "--config", "/no/such.toml"], "/no/such.toml"),
        (["scan", "--input", "{s}", "--prices", "/no/such.toml"], "/no/such.toml"),
        (["scan", "--input", "{s}", "--rules", "/no/such"], "/no/such"),
        (["scan", "--input", "/no/such/file"], "/no/such/file"),
        (["collect", "-o", "/no/such/folder/x", "--input", "{s}"], "cannot write"),
        (["collect", "-o", "-", "--input", "{s}"], "not to stdout"),
        (["scan", "--save", "-", "--input", "{s}"], "not to stdout"),
        (["explain", "idle-gpu-000000000000", "--from", "{s}"], "no finding or action"),
        (["explain", "1", "--from", "/no/such/file"], "cannot read"),
        (["rules", "no-such-rule"], "no-such-rule"),
        (["rules", "utilization"], "area"),
        (["prices", "--gpu", "zzz"], "zzz"),
        (["prices", "--provider", "zzz"], "zzz"),
        (["prices", "--template", "--gpu", "h100"], "--template"),
        (["schema", "nothing"], "nothing"),
        (["node", "--root", "/no/such"], "/no/such/sys"),
        (["node", "--every", "1s"], "too short"),
        (["generate", "probe", "--every", "1s"], "too short"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
def test_what_a_user_can_mend_ends_in_one_error_and_one_hint(
    snapshot: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    words_given = [argument.replace("{s}", str(snapshot)) for argument in arguments]
    refused(gpuaudit(*words_given, cwd=tmp_path, HOME=str(tmp_path), KUBECONFIG=""), words)


def test_a_time_before_all_nodes_is_refused(tmp_path: Path) -> None:
    """A window in which nothing was there would cost nothing and show no waste."""
    meta = {"name": "n1", "uid": "u", "creationTimestamp": "2026-05-04T10:00:00Z"}
    card = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "status": {"capacity": {"nvidia.com/gpu": "8"}}}
    (tmp_path / "nodes.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [card]}))
    for command in (["scan"], ["collect", "-o", str(tmp_path / "x.gpuaudit")]):
        given = [*command, "--input", str(tmp_path), "--now"]
        refused(gpuaudit(*given, "2026-05-04T09:00:00Z"), "before any GPU node was made (the first one 2026-05-04)")
        assert gpuaudit(*given, "2026-05-05T09:00:00Z").returncode == 0


def test_a_config_file_and_the_environment_are_heard(snapshot: Path, tmp_path: Path) -> None:
    (tmp_path / "gpuaudit.toml").write_text(
        '[[ignore]]\nrule = "empty-gpu-node"\nreason = "launch in May"\nexpires = 2027-01-01\n'
    )
    report = json.loads(gpuaudit("scan", "--input", snapshot, cwd=tmp_path, GPUAUDIT_OUTPUT="json").stdout)
    ignored = [finding for finding in report["findings"] if finding["ignored"]]
    assert {finding["rule"] for finding in ignored} == {"empty-gpu-node"}
    assert ignored[0]["ignored"] == {"by": "config [[ignore]]", "reason": "launch in May", "expires": "2027-01-01"}
    assert report["plan"]["savings_monthly"]["booked"] == 0
    assert sum(row["usd_monthly"] or 0 for row in report["utilization"]["by_owner"]) == pytest.approx(
        report["bill"]["monthly"]
    )


def test_the_ignore_flag_silences_but_lists(snapshot: Path) -> None:
    report = json.loads(gpuaudit("scan", "--input", snapshot, "-o", "json", "--ignore", "empty_gpu_node").stdout)
    ignored = {finding["rule"]: finding["ignored"]["by"] for finding in report["findings"] if finding["ignored"]}
    assert ignored == {"empty-gpu-node": "--ignore"}
    assert report["plan"]["savings_monthly"]["booked"] == 0


def test_both_a_blind_and_a_reached_gate_are_said(snapshot: Path) -> None:
    done = gpuaudit("scan", "--input", snapshot, "-o", "json", "--fail-on", "high", "--min-coverage", "0.99")
    assert done.returncode == 3
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["gate not evaluable", "gate reached"]


def test_an_unknown_key_or_rule_option_is_refused(snapshot: Path, tmp_path: Path) -> None:
    for text in ("windwo = '7d'", "[rules.idle-gpu]\nbellow = 0.1", "[rules.idel-gpu]\nbelow = 0.1"):
        (tmp_path / "gpuaudit.toml").write_text(text)
        refused(gpuaudit("scan", "--input", snapshot, cwd=tmp_path), "")


def test_explain_tells_the_whole_story_from_a_report_or_a_snapshot(snapshot: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    gpuaudit("scan", "--input", snapshot, "-o", f"json={file}")
    finding = next(f for f in json.loads(file.read_text())["findings"] if f["savings"]["monthly"]["attributed"])
    told = gpuaudit("explain", finding["id"], "--from", file).stdout
    for part in ("Evidence", "Arithmetic", "What would refute it", "What to do", "[[ignore]]"):
        assert part in told
    assert gpuaudit("explain", finding["id"], "--from", snapshot).stdout == told
    assert "the sum of" in gpuaudit("explain", "1", "--from", file).stdout
    data = json.loads(gpuaudit("explain", finding["id"], "--from", file, "-o", "json").stdout)
    assert data["findings"] == [finding]
    assert finding["id"] in data["actions"][0]["findings"]


def test_the_snippet_that_explain_prints_silences_the_finding(snapshot: Path, tmp_path: Path) -> None:
    report = json.loads(gpuaudit("scan", "--input", snapshot, "-o", "json").stdout)
    for finding in report["findings"]:
        told = gpuaudit("explain", finding["id"], "--from", snapshot).stdout
        snippet = re.search(r"\[\[ignore\]\].*?expires = \S+", told, re.DOTALL)
        assert snippet
        (tmp_path / "gpuaudit.toml").write_text(snippet.group(0))
        again = json.loads(gpuaudit("scan", "--input", snapshot, "-o", "json", cwd=tmp_path).stdout)
        assert next(f for f in again["findings"] if f["id"] == finding["id"])["ignored"]


def test_a_closed_pipe_is_no_error(snapshot: Path) -> None:
    command = f"{sys.executable} -m gpuaudit prices | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_pipe_hides_no_gate(snapshot: Path) -> None:
    scan = f"{sys.executable} -m gpuaudit scan --input {snapshot} -o json --fail-on high --min-coverage 0.1"
    done = subprocess.run(["bash", "-c", f"{scan} | true; exit ${{PIPESTATUS[0]}}"], capture_output=True, check=False)
    assert done.returncode == 1


@pytest.mark.parametrize(("redirected", "code"), [(">&-", 0), ("2>&- >/dev/null", 0), (">/dev/full", 2)])
def test_streams_that_cannot_be_written(snapshot: Path, redirected: str, code: int) -> None:
    scan = f"{sys.executable} -m gpuaudit scan --input {snapshot} --quiet {redirected}"
    done = subprocess.run(["bash", "-c", scan], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_a_bug_crashes_loudly_and_not_as_a_gate(snapshot: Path, tmp_path: Path) -> None:
    area = tmp_path / "rules" / "own"
    area.mkdir(parents=True)
    (area / "broken.py").write_text(
        "from gpuaudit.rule import Severity, rule\n\n\n@rule(Severity.LOW, needs=())\ndef broken(snapshot):\n"
        '    """Break."""\n    raise ZeroDivisionError\n    yield\n'
    )
    done = gpuaudit("scan", "--input", snapshot, "--rules", tmp_path / "rules")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("hint: ")


def test_an_encoding_without_the_signs_is_served_in_ascii(snapshot: Path) -> None:
    done = gpuaudit("scan", "--input", snapshot, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "GPU-hours" in done.stdout


def test_rules_are_listed_as_data_and_as_pages() -> None:
    rows = json.loads(gpuaudit("rules", "--format", "json").stdout)
    assert set(rows[0]) == {"name", "area", "severity", "needs", "options", "page"}
    names = {row["name"] for row in rows}
    assert {"idle-gpu", "lost-gpu", "stranded-gpu"} <= names
    assert all(f"### {name}" in gpuaudit("rules", "--format", "markdown").stdout for name in names)
    assert "[rules.idle-gpu]" in gpuaudit("rules", "idle-gpu").stdout


def test_schemas_are_json_and_the_report_fits_its_own(snapshot: Path) -> None:
    import jsonschema

    for kind in ("report", "snapshot", "config"):
        assert json.loads(gpuaudit("schema", kind).stdout)["$schema"]
    report = json.loads(gpuaudit("scan", "--input", snapshot, "-o", "json").stdout)
    jsonschema.validate(report, json.loads(gpuaudit("schema", "report").stdout))


def test_prices_say_source_and_date() -> None:
    rows = json.loads(gpuaudit("prices", "--gpu", "h100", "--provider", "aws", "-o", "json").stdout)
    assert rows
    assert all(row["price_source"] and row["price_date"] for row in rows)
    assert "unknown" in gpuaudit("prices").stdout
