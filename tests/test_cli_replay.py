"""`gpuaudit replay` from outside: the contract's JSON, the screen, the notes, and every wrong question."""

import gzip
import json
from pathlib import Path

import pytest

from tests.test_cli import gpuaudit, refused

TRACES = Path(__file__).resolve().parents[1].parent / "shared" / "recordings" / "traces"
needs_traces = pytest.mark.skipif(not TRACES.is_dir(), reason="the recorded traces are not here")


@pytest.fixture
def arrivals(tmp_path: Path) -> Path:
    path = tmp_path / "arrivals.csv"
    path.write_text(
        "timestamp,model,duration_seconds\n"
        "2026-11-20T00:01:40,m,10\n"  # 90 s after the first one's end
        "2026-11-20T00:00:00Z,m,10\n"
        "2026-11-20T01:00:20+01:00,n,\n"
    )
    return path


def answer(*arguments: object) -> dict[str, object]:
    done = gpuaudit("replay", *arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_json_is_the_contract(arrivals: Path) -> None:
    data = answer(arrivals, "--keep-alive", "90,0,89.999999999", "--load-seconds", "30")
    assert list(data) == ["models", "requests", "horizon_seconds", "busy_gpu_hours", "peak_concurrency", "policies"]
    assert (data["models"], data["requests"], data["horizon_seconds"], data["peak_concurrency"]) == (2, 3, 110, 1)
    assert data["busy_gpu_hours"] == pytest.approx(20 / 3600)
    policies = data["policies"]
    assert all(
        list(one) == ["policy", "keep_alive_seconds", "gpu_hours", "cold_starts", "p95_wait_seconds"]
        for one in policies
    )
    assert [one["policy"] for one in policies] == ["keep_alive"] * 3 + ["always_on", "oracle"]
    assert [one["keep_alive_seconds"] for one in policies] == [90, 0, pytest.approx(89.999999999), None, None]
    assert [one["cold_starts"] for one in policies[:4]] == [2, 3, 3, 0]
    seconds = [one["gpu_hours"] * 3600 for one in policies]
    assert seconds == pytest.approx([110 + 90 + 90 + 60, 20 + 90, 20 + 3 * 89.999999999 + 90, 220, 20 + 30])
    assert [one["p95_wait_seconds"] for one in policies] == [30, 30, 30, 0, 0]


def test_without_a_load_time_waits_are_unknown(arrivals: Path) -> None:
    assert {one["p95_wait_seconds"] for one in answer(arrivals)["policies"]} == {None}


def test_slots_limit_what_an_instance_serves(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("timestamp,model,duration_seconds\n" + "0,m,10\n" * 5 + "10,m,10\n")
    starts = [answer(path, "--slots", n, "--keep-alive", 0)["policies"][0]["cold_starts"] for n in (1, 2, 5)]
    assert starts == [5, 3, 1]


def test_the_screen_shows_policies_gaps_and_models(arrivals: Path) -> None:
    done = gpuaudit("replay", arrivals, "--load-seconds", 30, "--usd-per-gpu-hour", "3.60")
    assert done.stderr == ""
    for words in ("3 requests of 2 models over 1 m 50 s", "keep-alive 1 m", "oracle", "idle gap", "best keep-alive"):
        assert words in done.stdout
    assert "$0.05" in done.stdout  # 50 s of the oracle at $3.60 an hour
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_what_is_skipped_and_missing_is_said_on_stderr(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"timestamp,model\n1,a\n,a\nx,a\n2,\n"))
    done = gpuaudit("replay", path, "-o", "json")
    assert json.loads(done.stdout)["requests"] == 1
    assert done.stderr.splitlines()[0].startswith("note: 3 of 4 rows skipped: 1 without a model")
    assert "no column duration_seconds" in done.stderr


def test_names_of_models_cannot_move_the_cursor(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"timestamp,model\n1,\x1b[2Jevil\u202e{'x' * 500}\n9,\x1b[2Jevil\n")
    done = gpuaudit("replay", path)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 90


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--keep-alive", "-1"], "not a number of seconds"),
        (["--keep-alive", "0,,5"], "not a number of seconds"),
        (["--keep-alive", "nan"], "not a number of seconds"),
        (["--keep-alive", "1e99"], "not a number of seconds"),
        (["--keep-alive", ",".join(["1"] * 101)], "too many"),
        (["--load-seconds", "soon"], "not a number of seconds"),
        (["--slots", "0"], "not possible"),
        (["--slots", "two"], "'--slots'"),
        (["--usd-per-gpu-hour", "-1"], "no price"),
        (["--time-unit", "h"], "not known"),
        (["--duration-scale", "0"], "no number above 0"),
        (["--duration-column", "nope"], "no column 'nope'"),
        (["-o", "csv"], "output format"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_a_wrong_option_is_answered_in_two_lines(arrivals: Path, options: list[str], error: str) -> None:
    refused(gpuaudit("replay", arrivals, *options), error)


def test_a_file_that_cannot_be_used_is_answered_in_two_lines(tmp_path: Path) -> None:
    refused(gpuaudit("replay", tmp_path / "none.csv"), "No such file")
    (tmp_path / "a.csv").write_text("timestamp,model\nx,a\n")
    refused(gpuaudit("replay", tmp_path / "a.csv"), "no request")
    (tmp_path / "b.csv").write_bytes(bytes(range(256)))
    refused(gpuaudit("replay", tmp_path / "b.csv"), "it is not text")


@needs_traces
def test_the_azure_conversations_are_replayed_in_place() -> None:
    data = answer(TRACES / "azure-llm" / "AzureLLMInferenceTrace_conv.csv", "--model", "conv", "--duration-column",
                  "GeneratedTokens", "--duration-scale", "0.03", "--load-seconds", "30", "--slots", "8")  # fmt: skip
    assert (data["models"], data["requests"]) == (1, 19366)
    oracle = data["policies"][-1]["gpu_hours"]
    assert all(one["gpu_hours"] >= oracle for one in data["policies"])


@needs_traces
def test_mooncake_is_replayed_in_place() -> None:
    data = answer(TRACES / "mooncake" / "synthetic_trace.jsonl", "--model", "m", "--time-unit", "ms")
    assert data["requests"] == 3993
    assert data["horizon_seconds"] == pytest.approx(1022.025)
