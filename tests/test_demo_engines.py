"""The demo's serving engines: who needs the memory that it holds, and what users get."""

import pytest

from gpuaudit import store
from gpuaudit.audit import audit
from gpuaudit.config import Config
from gpuaudit.demand import memory_needs
from gpuaudit.paths import builtin
from gpuaudit.plan.pricebook import PriceBook


@pytest.fixture(scope="module")
def demo():
    return store.load(builtin("snapshots") / "demo.gpuaudit")


def test_two_servers_hold_nine_tenths_and_only_one_needs_them(demo) -> None:
    needs = {key.partition("/")[2]: need for key, need in memory_needs(demo).items()}
    small, large = needs["Deployment/nlp/vllm-qwen-14b"], needs["Deployment/search/vllm-llama-8b"]
    assert (small.kind, large.kind, small.devices, large.devices) == ("modelled", "modelled", 1, 1)
    assert small.mib < 40 * 1024 < 70 * 1024 < large.mib
    assert needs["Deployment/docs/vllm-mistral-7b"].mib < 24 * 1024
    for unknown in (
        "vision/vllm-qwen2-vl-7b",
        "search/vllm-mixtral-legacy",
        "search/vllm-llama-70b-canary",
        "speech/whisper",
    ):
        assert needs[f"Deployment/{unknown}"].kind == "unknown", unknown


def test_the_serving_section_is_filled(demo) -> None:
    rows = {row.workload.partition("/")[2]: row for row in audit(demo, {}, Config(), PriceBook()).serving}
    chat = rows["Deployment/search/vllm-llama-70b"]
    assert chat.ttft_p95_seconds == 2.3
    assert 0.2 < chat.usd_per_million_tokens < 5
    assert rows["Deployment/fraud/triton-scorer"].tokens is None
    assert rows["Deployment/speech/whisper"].requests is None
