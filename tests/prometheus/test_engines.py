"""What serving engines told a real Prometheus comes back as it was put in."""

import pytest

from gpuaudit.collect.prometheus.engine_plan import EngineDialect, EnginePlan
from gpuaudit.collect.prometheus.plan import Hours
from gpuaudit.knowledge import engines, queries
from tests.engine_story import CHAT, HOURS, PODS, counter, gauge, pod, vllm
from tests.metrics.history import SM, START, labels, ms, openmetrics, steady
from tests.prometheus.reading import reading
from tests.prometheus.server import blocks, serving


def told(lines, folder, **more):
    """Return the rows by (workload, engine, model), the reading and the asker."""
    dcgm = openmetrics(SM, labels(pod=PODS["a"]), steady(0.5, hours=HOURS))
    with serving(blocks([*lines, *dcgm], folder)) as url:
        found, asker = reading(url, hours=HOURS, workloads=[CHAT], **more)
    assert found.troubles == ()
    return {(one.workload, one.engine, one.model): one for one in found.part.served}, asker


@pytest.fixture(scope="module", params=[False, True], ids=["pod", "exported_pod"])
def chat(request, tmp_path_factory):
    """Two pods of one Deployment, one of which restarts, read by two replicas of Prometheus and two jobs."""
    lines = []
    for replica in ("prom-0", "prom-1"):
        for job in ("nlp/engines", "nlp/pods"):
            ha = {"prometheus_replica": replica, "job": job, "exported": request.param}
            lines += vllm(pod(PODS["a"], **ha), reset=30.0)
            lines += vllm(pod(PODS["b"], **ha), rate=300.0)
    return told(lines, tmp_path_factory.mktemp("chat"))[0][(CHAT, "vllm", "llama")]


def test_counts_are_the_increases_resets_undone(chat) -> None:
    assert chat.requests == pytest.approx(400 * HOURS, rel=2e-3)
    assert chat.aborts == pytest.approx(8 * HOURS, rel=2e-3)
    assert chat.errors is None  # nobody counted HTTP errors
    assert chat.error_ratio == pytest.approx(0.02, rel=1e-3)
    assert chat.generated_tokens == pytest.approx(80_000 * HOURS, rel=2e-3)
    assert chat.prompt_tokens == pytest.approx(400_000 * HOURS, rel=2e-3)
    assert chat.preemptions == pytest.approx(8 * HOURS, rel=2e-3)
    assert chat.prefix_hits is None


def test_quantiles_are_those_of_all_pods_buckets(chat) -> None:
    assert chat.ttft_p50_seconds == pytest.approx(0.1, rel=1e-3)
    assert chat.ttft_p95_seconds == pytest.approx(3.0, rel=1e-3)
    assert chat.duration_p50_seconds == pytest.approx(1.0, rel=1e-3)
    assert chat.duration_p95_seconds == 5.0  # above the last bound: at least that
    assert chat.queue_p95_seconds is None


def test_load_adds_up_over_pods_and_peaks_are_of_one(chat) -> None:
    assert (chat.running_p95, chat.running_max) == (8, 4)
    assert (chat.waiting_p95, chat.waiting_max) == (40, 20)


def test_each_day_has_its_kv_peak(chat) -> None:
    assert chat.kv_peaks == pytest.approx([0.512, 0.536, 0.560], abs=1e-3)
    assert chat.kv_peak == pytest.approx(0.560, abs=1e-3)
    assert (chat.days, chat.pods) == (3.0, 2)
    assert chat.first == START


def test_the_cache_is_told_by_its_configuration(chat) -> None:
    assert (chat.kv_blocks, chat.kv_block_tokens, chat.kv_dtype, chat.memory_utilization) == (5000, 16, "auto", 0.9)


def test_an_older_vllm_is_read_by_its_old_names(tmp_path) -> None:
    rows, _ = told(vllm(pod(PODS["a"]), old=True), tmp_path)
    assert rows[(CHAT, "vllm", "llama")].kv_peak == pytest.approx(0.560, abs=1e-3)


def test_a_day_seen_in_part_is_no_day_but_its_peak_counts(tmp_path) -> None:
    lines = vllm(pod(PODS["a"]), hours=30.0, start=42 * 3600.0)
    row = told(lines, tmp_path)[0][(CHAT, "vllm", "llama")]
    assert len(row.kv_peaks) == 1
    assert row.days == pytest.approx(30 / 24, abs=0.1)


def test_whom_nothing_names_is_nobodys(tmp_path) -> None:
    lines = vllm({"instance": "10.0.0.1:8000", "job": "static"})
    lines += vllm(pod("stranger-5c7d9f8b6c-x2x4z", "elsewhere") | {"model_name": "x"}, rate=1.0)
    rows, _ = told(lines, tmp_path)
    assert {key[0] for key in rows} == {""}


def test_hostile_names_of_models_come_through_as_text(tmp_path) -> None:
    name = "org/m\\\\odel \\\"{}}$1'; drop\\n" + "x" * 400
    lines = openmetrics("vllm:num_requests_running", pod(PODS["a"], model_name=name), gauge(lambda t: 1))
    lines += openmetrics("vllm:generation_tokens_total", pod(PODS["a"], model_name=name), counter(10.0))
    (row,) = told(lines, tmp_path)[0].values()
    assert row.model.startswith("org/m\\odel \"{}}$1'; drop\n")
    assert len(row.model) == 200
    assert row.generated_tokens == pytest.approx(10 * HOURS, rel=2e-3)


def test_engines_of_other_makes_are_read_by_their_own_names(tmp_path) -> None:
    lines = openmetrics("nv_inference_request_success", pod(PODS["a"], model="resnet", version="1"), counter(90.0))
    lines += openmetrics("nv_inference_request_failure", pod(PODS["a"], model="resnet", version="1"), counter(10.0))
    lines += openmetrics("nv_inference_pending_request_count", pod(PODS["a"], model="resnet"), gauge(lambda t: 2))
    cache = pod(PODS["a"], model="trt")
    for kind, value in (("fraction", 0.25), ("max", 6239), ("tokens_per", 64)):
        lines += openmetrics(
            "nv_trt_llm_kv_cache_block_metrics", cache | {"kv_cache_block_type": kind}, gauge(lambda t, v=value: v)
        )
    tgi = pod("tgi-0", "nlp")
    lines += openmetrics("tgi_queue_size", tgi, gauge(lambda t: 3)) + openmetrics(
        "tgi_request_count", tgi, counter(50.0)
    )
    lines += openmetrics("tgi_request_generated_tokens_sum", tgi, counter(5000.0))
    sglang = pod("sgl-0", "nlp", model_name="qwen")
    for name, points in (
        ("sglang:num_running_reqs", gauge(lambda t: 7)),
        ("sglang:token_usage", gauge(lambda t: 0.125)),
        ("sglang:max_total_num_tokens", gauge(lambda t: 471258)),
        ("sglang:num_requests_total", counter(40.0)),
        ("sglang:num_aborted_requests_total", counter(4.0)),
    ):
        lines += openmetrics(name, sglang, points)
    rows, _ = told(lines, tmp_path)
    triton, trt = rows[(CHAT, "triton", "resnet")], rows[(CHAT, "triton", "trt")]
    assert triton.requests == pytest.approx(100 * HOURS, rel=2e-3)  # failures stand apart
    assert triton.error_ratio == pytest.approx(0.1, rel=1e-3)
    assert (triton.ttft_p95_seconds, triton.generated_tokens, triton.waiting_p95) == (None, None, 2)
    assert (trt.kv_peak, trt.kv_blocks, trt.kv_block_tokens) == (0.25, 6239, 64)
    assert rows[("", "tgi", "")].generated_tokens == pytest.approx(5000 * HOURS, rel=2e-3)
    row = rows[("", "sglang", "qwen")]
    assert (row.kv_peak, row.kv_tokens, row.running_max) == (0.125, 471258, 7)
    assert row.error_ratio == pytest.approx(0.1, rel=1e-3)


def test_a_server_that_allows_few_samples_is_asked_in_pieces(tmp_path) -> None:
    lines = vllm(pod(PODS["a"]), reset=30.0) + vllm(pod("other-0", "elsewhere"), rate=7.0)
    dcgm = openmetrics(SM, labels(pod=PODS["a"]), steady(0.5, hours=2))
    with serving(blocks([*lines, *dcgm], tmp_path), "--query.max-samples=1000") as url:
        found, asker = reading(url, hours=HOURS, workloads=[CHAT])
    assert found.troubles == ()
    assert asker.halved > 0
    row = next(one for one in found.part.served if one.workload == CHAT)
    assert row.requests == pytest.approx(100 * HOURS, rel=5e-3)
    assert row.ttft_p95_seconds == pytest.approx(3.0, rel=5e-3)
    assert (row.waiting_p95, row.waiting_max, row.running_p95) == (20, 20, 4)
    assert row.kv_peaks == pytest.approx([0.512, 0.536, 0.560], abs=1e-3)


def test_the_number_of_questions_does_not_depend_on_pods(tmp_path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    few.mkdir(), many.mkdir()
    one = openmetrics("vllm:num_requests_running", pod(PODS["a"], model_name="m"), gauge(lambda t: 1))
    more = [
        line
        for i in range(40)
        for line in openmetrics("vllm:num_requests_running", pod(f"chat-7d9f8b6c5d-x2x{i:02}"), gauge(lambda t: 1))
    ]
    assert told(one, few)[1].requests == told([*one, *more], many)[1].requests


def test_every_question_goes_through_a_proxy() -> None:
    every = frozenset(one.name for one in engines.signals())
    known = engines.attribution()
    dialect = EngineDialect(
        every, frozenset((*known.pod, *known.namespace, *engines.model_labels(), "cluster")), ('cluster="prod-use1"',)
    )
    hours = Hours(ms(0), ms(14 * 24 * 3600))
    from urllib.parse import quote_plus

    plan = EnginePlan(dialect, hours, [])
    asked = [q for query in queries.templates() if query.signals for _, q in plan.questions(query)]
    assert asked
    assert max(len(quote_plus(question.text)) for question in asked) < queries.limits().get_bytes - 200
