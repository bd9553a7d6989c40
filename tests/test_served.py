"""The serving section: what engines told, and what it cost by the chargeback's own shares."""

from datetime import timedelta

import msgspec
import pytest

from gpuaudit.audit import audit
from gpuaudit.cluster.serving import Served
from gpuaudit.config import Config
from gpuaudit.plan.pricebook import HOURS_PER_MONTH, PriceBook
from gpuaudit.report.terminal import Screen, render_screen
from tests.rule_cases import CLUSTER, NOW, snapshot_of

CHAT = f"{CLUSTER}/Deployment/nlp/chat"
TOLD = {
    "workload": CHAT,
    "engine": "vllm",
    "model": "llama",
    "days": 14.0,
    "requests": 1e6,
    "aborts": 2e4,
    "ttft_p50_seconds": 0.5,
    "ttft_p95_seconds": 2.5,
    "waiting_p95": 3.0,
    "prompt_tokens": 9e8,
    "generated_tokens": 1e8,
}
CASE = {
    "nodes": [{"name": "n1", "purchase": "on_demand", "region": "us-east-1"}],
    "pods": [{"of": "Deployment/nlp/chat", "node": "n1", "gpus": 2}],
    "workloads": {"Deployment/nlp/chat": {"engine": "vllm", "model": "org/llama"}},
    "usage": [
        {"device": "n1/0-1", "of": "Deployment/nlp/chat", "util": 0.5},
        {"device": "n1/2-7", "util": 0.0},
    ],
}


def report(*served, **case):
    snapshot = snapshot_of(CASE | {"served": list(served)} | case)
    return audit(snapshot, {}, Config(), PriceBook())


def test_a_row_has_what_the_engine_told_and_the_workloads_part_of_the_bill() -> None:
    made = report(TOLD)
    (row,) = made.serving
    assert (row.model, row.workload, row.requests, row.error_ratio) == ("llama", CHAT, 1e6, 0.02)
    assert (row.ttft_p50_seconds, row.ttft_p95_seconds, row.queue_p95, row.tokens) == (0.5, 2.5, 3.0, 1e9)
    assert row.gpu_hours == pytest.approx(2 * 14 * 24, rel=1e-3)
    (owner,) = [one for one in made.utilization.by_namespace if one.name == "nlp"]
    window = owner.usd_monthly * 14 * 24 / HOURS_PER_MONTH
    assert row.usd_per_million_tokens == pytest.approx(window / 1000, rel=1e-3)
    assert row.usd_per_thousand_requests == pytest.approx(window / 1000, rel=1e-3)


def test_hours_that_nobody_watched_cost_nothing_per_token() -> None:
    whole, half = report(TOLD).serving[0], report(TOLD | {"days": 7.0}).serving[0]
    assert half.usd_per_million_tokens == pytest.approx(whole.usd_per_million_tokens / 2, rel=0.01)


@pytest.mark.parametrize(
    ("told", "empty"),
    [
        ({"days": None}, ("usd_per_million_tokens", "usd_per_thousand_requests")),
        ({"requests": 0.0}, ("usd_per_thousand_requests", "error_ratio")),
        ({"prompt_tokens": None}, ("tokens", "usd_per_million_tokens")),
        ({"generated_tokens": None}, ("tokens", "usd_per_million_tokens")),
        ({"prompt_tokens": 0.0, "generated_tokens": 0.0}, ("usd_per_million_tokens",)),
        ({"aborts": None}, ("error_ratio",)),
        ({"workload": ""}, ("gpu_hours", "usd_per_million_tokens", "usd_per_thousand_requests")),
    ],
)
def test_what_is_not_known_is_null(told, empty) -> None:
    row = next(one for one in report(TOLD | told).serving if one.requests is not None)
    assert all(getattr(row, name) is None for name in empty)


def test_a_node_without_a_price_leaves_the_cost_unknown() -> None:
    node = {"name": "n1", "purchase": "owned", "instance_type": "dgx", "provider": None}
    (row,) = report(TOLD, nodes=[node]).serving
    assert row.gpu_hours is not None
    assert (row.usd_per_million_tokens, row.usd_per_thousand_requests) == (None, None)


def test_models_that_share_a_workload_share_its_cost_unknown() -> None:
    rows = report(TOLD, TOLD | {"model": "qwen"}).serving
    assert [(row.model, row.gpu_hours, row.usd_per_million_tokens) for row in rows] == [
        ("llama", None, None),
        ("qwen", None, None),
    ]


def test_requests_do_not_stand_twice() -> None:
    gateway = TOLD | {"workload": f"{CLUSTER}/Deployment/nlp/gateway", "engine": "epp"}
    around = TOLD | {"engine": "ray_serve", "model": "app"}
    rows = report(TOLD, gateway, around, gateway | {"model": "elsewhere"}).serving
    assert [(row.model, row.workload) for row in rows] == [("elsewhere", gateway["workload"]), ("llama", CHAT)]


def test_a_silent_engine_has_a_row_without_numbers() -> None:
    (row,) = report().serving
    assert (row.model, row.workload, row.requests, row.ttft_p95_seconds) == ("org/llama", CHAT, None, None)
    assert row.gpu_hours == pytest.approx(2 * 14 * 24, rel=1e-3)


def test_the_screen_names_the_slowest_model_without_a_verdict() -> None:
    slow = TOLD | {"model": "org/slow\x1b[31m", "ttft_p95_seconds": 9.4}
    screen = render_screen(report(TOLD, slow), Screen(width=100))
    assert "Users         slow[31m p95 first token 9.4 s · 2 % of requests failed · 1 more" in screen
    assert "Users" not in render_screen(report(), Screen(width=100))


def test_ratio_of_errors() -> None:
    row = msgspec.convert({"cluster": CLUSTER, **TOLD}, Served)
    assert row.error_ratio == 0.02
    assert msgspec.structs.replace(row, errors=5e6).error_ratio == 1.0
    assert msgspec.structs.replace(row, errors=None, aborts=None).error_ratio is None
    assert msgspec.structs.replace(row, first=NOW - timedelta(days=1)).key == (CLUSTER, CHAT, "vllm", "llama")


def test_a_model_and_a_workload_that_nobody_names_are_unknown() -> None:
    (silent,) = report(workloads={"Deployment/nlp/chat": {"engine": "vllm"}}).serving
    assert (silent.model, silent.workload) == (None, CHAT)
    (told, _) = report(
        TOLD | {"model": "", "workload": ""}, workloads={"Deployment/nlp/chat": {"engine": "vllm"}}
    ).serving
    assert (told.model, told.workload, told.requests) == (None, None, 1e6)
