"""What serving engines told, read from files: the same as a Prometheus rolls up; single moments; a recorded engine."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaudit.cluster.serving import Served
from gpuaudit.cluster.workloads import Workload
from gpuaudit.collect.engines.by_model import by_model
from gpuaudit.collect.engines.gathered import Gathered, Of
from gpuaudit.collect.engines.quantiles import quantile
from gpuaudit.collect.metrics.store import increase, thinned
from gpuaudit.knowledge import engines
from tests.engine_story import CHAT, HOURS, PODS, counter, gauge, pod, vllm
from tests.metrics.history import START, openmetrics, part, read

RECORDED = Path(__file__).resolve().parents[2].parent / "shared" / "recordings" / "inference-metrics"


def told(*texts, hours=HOURS):
    made = part(read(*texts), hours=hours, workloads=[CHAT])
    return {(one.workload, one.engine, one.model): one for one in made.served}


def test_files_tell_what_a_prometheus_rolls_up() -> None:
    lines = []
    for replica in ("prom-0", "prom-1"):
        lines += vllm(pod(PODS["a"], prometheus_replica=replica), reset=30.0)
        lines += vllm(pod(PODS["b"], prometheus_replica=replica), rate=300.0)
    row = told(lines)[(CHAT, "vllm", "llama")]
    assert row.requests == pytest.approx(400 * HOURS, rel=2e-3)
    assert row.error_ratio == pytest.approx(0.02, rel=1e-3)
    assert row.generated_tokens == pytest.approx(80_000 * HOURS, rel=2e-3)
    assert (row.ttft_p50_seconds, row.ttft_p95_seconds) == (pytest.approx(0.1, rel=1e-3), pytest.approx(3.0, rel=1e-3))
    assert (row.waiting_p95, row.waiting_max, row.running_p95) == (40, 20, 8)
    assert row.kv_peaks == pytest.approx([0.512, 0.536, 0.560], abs=1e-3)
    assert (row.kv_blocks, row.kv_block_tokens, row.kv_dtype, row.memory_utilization) == (5000, 16, "auto", 0.9)
    assert (row.days, row.pods) == (pytest.approx(3.0, abs=0.05), 2)


def test_the_order_of_lines_and_files_does_not_matter() -> None:
    lines = vllm(pod(PODS["a"]), reset=30.0)
    assert told(lines) == told(list(reversed(lines)))
    half = len(lines) // 2
    whole, parts = told(lines)[(CHAT, "vllm", "llama")], told([*lines[half:], *lines[:half]])[(CHAT, "vllm", "llama")]
    assert parts.requests == pytest.approx(whole.requests)


def test_what_lies_outside_the_window_does_not_count() -> None:
    row = told(vllm(pod(PODS["a"])), hours=24)[(CHAT, "vllm", "llama")]
    assert row.requests == pytest.approx(100 * 24, rel=0.05)
    assert len(row.kv_peaks) == 1


def test_a_single_moment_gives_latencies_and_no_counts() -> None:
    lines = [line for line in vllm(pod(PODS["a"])) if line.endswith(str(START.timestamp() + HOURS * 3600))]
    row = told(lines)[(CHAT, "vllm", "llama")]
    assert (row.days, row.requests, row.generated_tokens, row.waiting_p95) == (None, None, None, None)
    assert row.ttft_p95_seconds == pytest.approx(3.0, rel=1e-3)
    assert (row.running_max, row.kv_peak, row.kv_peaks) == (4, 0.25, ())


def test_numbers_that_are_none_and_bounds_that_are_none_are_left_out() -> None:
    of = pod(PODS["a"], model_name="m")
    lines = openmetrics("vllm:kv_cache_usage_perc", of, gauge(lambda t: "NaN" if t < 40 else 7.5))
    lines += openmetrics("vllm:time_to_first_token_seconds_bucket", of | {"le": "soon"}, counter(5.0))
    lines += openmetrics("vllm:generation_tokens_total", of, counter(5.0))
    (row,) = told(lines).values()
    assert (row.kv_peak, row.kv_peaks, row.ttft_p95_seconds) == (None, (), None)


def test_a_recorded_engine_is_read() -> None:
    if not RECORDED.is_dir():
        pytest.skip("no recordings beside this checkout")
    store = read((RECORDED / "kubeai__vllm-metrics.txt").read_text().splitlines())
    rows = {one.model: one for one in part(store).served}
    row = rows["neuralmagic/Meta-Llama-3.1-8B-Instruct-FP8"]
    assert (row.workload, row.engine, row.days, row.requests) == ("", "vllm", None, None)
    assert (row.running_max, row.waiting_max, row.kv_blocks, row.kv_block_tokens) == (3, 2, 4574, 16)
    assert row.kv_max == pytest.approx(0.0026235242675994863)
    assert row.ttft_p95_seconds == pytest.approx(0.07, abs=0.01)
    assert row.memory_utilization == 0.9


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=200),
    st.integers(1, 4000),
)
def test_thinning_keeps_what_a_counter_rose_by(values, step) -> None:
    times = np.arange(len(values), dtype=np.int64) * step * 1000
    _, kept = thinned("vllm:generation_tokens_total", times, np.array(values))
    assert increase(kept) == pytest.approx(increase(np.array(values)), rel=1e-9, abs=1e-6)
    assert len(kept) <= len(values)


def test_errors_of_the_web_server_belong_to_the_only_model_and_prove_no_engine() -> None:
    lines = vllm(pod(PODS["a"]))
    for name, path, status, rate in (
        (PODS["a"], "/v1/chat/completions", "5xx", 3.0),
        (PODS["a"], "/v1/completions", "429", 1.0),
        (PODS["a"], "/v1/chat/completions", "2xx", 96.0),
        (PODS["a"], "/metrics", "5xx", 50.0),
        ("shop-7d9f8b6c5d-x2x4z", "/v1/orders", "5xx", 70.0),
    ):
        lines += openmetrics("http_requests_total", pod(name, handler=path, status=status), counter(rate))
    rows = told(lines)
    assert set(rows) == {(CHAT, "vllm", "llama")}
    row = rows[(CHAT, "vllm", "llama")]
    assert row.errors == pytest.approx(4 * HOURS, rel=2e-3)
    assert row.requests == pytest.approx(104 * HOURS, rel=2e-3)
    assert row.error_ratio == pytest.approx(6 / 104, rel=2e-3)


def test_load_adds_up_over_groups_and_not_over_pieces() -> None:
    signal = next(one for one in engines.signals() if one.signal == "waiting" and one.engine == "vllm")
    gathered, of = Gathered(), Of("c", "w", "vllm", "m")
    for group, value in (("a", 3.0), ("a", 5.0), ("b", 2.0)):
        gathered.load(of, signal, "p95", value, group=group)
        gathered.load(of, signal, "max", value)
    (row,) = gathered.served()
    assert (row.waiting_p95, row.waiting_max) == (7.0, 5.0)


def test_a_page_without_labels_belongs_to_the_only_workload_of_its_model() -> None:
    def workload(name, engine="vllm", model="org/Llama", cluster="c"):
        known = {
            "cluster": cluster,
            "kind": "Deployment",
            "namespace": "n",
            "name": name,
            "engine": engine,
            "model": model,
        }
        return Workload(id=f"{cluster}/Deployment/n/{name}", **known)

    page = Served(cluster="c", workload="", engine="vllm", model="llama")
    own = workload("a")
    assert by_model([page], [own])[0].workload == own.id
    others = (
        [],
        [own, workload("b")],
        [workload("a", engine="sglang")],
        [workload("a", cluster="d")],
        [workload("a", model=None)],
    )
    assert {by_model([page], known)[0].workload for known in others} == {""}
    history = msgspec.structs.replace(page, days=3.0)
    assert by_model([history], [own])[0].workload == ""
    told = msgspec.structs.replace(page, workload=own.id)
    assert [row.workload for row in by_model([told, page], [own])] == [own.id, ""]


@pytest.mark.parametrize(
    ("buckets", "q", "expected"),
    [
        ({}, 0.5, None),
        ({float("inf"): 5.0}, 0.5, None),
        ({1.0: 0.0, float("inf"): 0.0}, 0.5, None),
        ({1.0: 10.0, 2.0: 10.0}, 0.5, None),  # the bucket of all is missing
        ({1.0: 10.0, float("inf"): 10.0}, 0.5, 0.5),
        ({1.0: 10.0, 2.0: 20.0, float("inf"): 20.0}, 0.75, 1.5),
        ({1.0: 0.0, float("inf"): 10.0}, 0.95, 1.0),  # above the last bound: at least that
        ({1.0: 10.0, 2.0: 9.0, float("inf"): 10.0}, 0.95, 0.95),  # scraped while it rose
    ],
)
def test_quantiles(buckets, q, expected) -> None:
    assert quantile(q, buckets) == (None if expected is None else pytest.approx(expected))
