"""How much memory a replica needs: read off in use, worked out from the KV cache, or unknown with the reason."""

import pytest

from gpuaudit.demand import memory_needs
from tests.rule_cases import CLUSTER, snapshot_of

GIB = 1024.0
VLLM = ["vllm", "serve", "meta-llama/Llama-3.1-8B-Instruct", "--max-model-len", "8192"]
WORKLOAD = "Deployment/nlp/chat"
KV = {
    "workload": f"{CLUSTER}/{WORKLOAD}",
    "engine": "vllm",
    "model": "chat",
    "days": 14.0,
    "pods": 1,
    "kv_peaks": [0.1] * 13 + [0.2],
    "kv_blocks": 24000,  # x 16 tokens x 128 KiB = 46.9 GiB
    "kv_block_tokens": 16,
    "kv_dtype": "auto",
}


def need(*, args=VLLM, engine="vllm", model=None, served=KV, gpus=1, memory=71 * GIB, workload=WORKLOAD, **usage):
    """Return the need of one workload with one pod."""
    lines = usage.pop("lines", [{"memory": memory, "util": 0.4}])
    case = {
        "nodes": [{"name": "n1"}],
        "pods": [
            {"of": workload, "node": "n1", "gpus": gpus, "container": {"args": args, "env": usage.pop("env", {})}}
        ],
        "workloads": {workload: {"engine": engine, "model": model or next(iter(args[2:3]), None)}},
        "usage": [{"device": f"n1/0-{gpus - 1}", "of": workload} | line for line in lines],
        "served": [served] if served else [],
        **usage,
    }
    return memory_needs(snapshot_of(case))[f"{CLUSTER}/{workload}"]


def moving(low, high):
    """Memory in use that moves, so that nothing looks reserved."""
    return [{"memory": low, "util": 0.4, "to": "-7d"}, {"memory": high, "util": 0.4, "from": "-7d"}]


def test_memory_that_moves_is_its_own_upper_bound():
    found = need(engine=None, args=["python"], served=None, lines=moving(20 * GIB, 30 * GIB))
    assert (found.kind, found.mib, found.devices, found.peaks) == ("measured", 30 * GIB, 1, 14)
    assert found.exceeded == pytest.approx(1 / 15)
    assert "14 daily peaks" in found.because


def test_vllm_needs_what_it_holds_less_the_cache_it_never_used():
    found = need()
    pool = 24000 * 16 * 128 / 1024
    assert (found.kind, found.devices, found.peaks) == ("modelled", 1, 14)
    assert found.mib == pytest.approx(71 * GIB - pool + 0.2 * 1.1 * pool)


def test_a_cache_that_was_full_is_needed_whole():
    assert need(served=KV | {"kv_peaks": [0.97] * 14}).mib == 71 * GIB


def test_one_longest_sequence_must_fit():
    longest = need(args=[*VLLM[:-1], "131072"], served=KV | {"kv_peaks": [0.001] * 14})
    assert longest.mib == pytest.approx(71 * GIB - 24000 * 16 * 128 / 1024 + 131072 * 128 / 1024)
    assert "one sequence" in longest.because


def test_without_a_length_it_is_the_models_own():
    assert need(args=VLLM[:3], served=KV | {"kv_peaks": [0.001] * 14}).mib == pytest.approx(
        71 * GIB - 24000 * 16 * 128 / 1024 + 131072 * 128 / 1024
    )


def test_tensor_parallel_counts_all_devices():
    args = ["vllm", "serve", "meta-llama/Llama-3.3-70B-Instruct", "--tensor-parallel-size", "4", "--max-model-len=32k"]
    found = need(args=args, gpus=4, memory=73 * GIB, served=KV | {"kv_blocks": 25000, "kv_peaks": [0.5] * 14})
    pool = 25000 * 16 * 320 / 1024
    assert found.devices == 4
    assert found.mib == pytest.approx(4 * 73 * GIB - pool + 0.55 * pool)


def test_prefix_hits_are_said_to_be_at_risk():
    assert "prefix hit rate of 40%" in need(served=KV | {"prefix_hits": 40.0, "prefix_queries": 100.0}).because


def test_sglang_without_blocks_keeps_a_generous_allowance():
    args = [
        "sglang.launch_server",
        "-m",
        "x",
        "--model-path",
        "meta-llama/Llama-3.1-8B-Instruct",
        "--context-length",
        "8192",
    ]
    told = {"engine": "sglang", "kv_blocks": None, "kv_block_tokens": None}
    found = need(args=args, engine="sglang", model="meta-llama/Llama-3.1-8B-Instruct", served=KV | told)
    exact = need()
    assert found.kind == "modelled"
    assert exact.mib < found.mib < 71 * GIB


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"served": None}, "the use of its KV cache was not measured"),
        ({"served": KV | {"days": None}}, "one moment only"),
        ({"served": KV | {"pods": 0}}, "0 of 1 pods only"),
        ({"args": [*VLLM, "--enable-sleep-mode"]}, "sleep mode"),
        ({"args": [*VLLM, "--enable-lora"]}, "LoRA"),
        ({"args": [*VLLM, "--cpu-offload-gb", "20"]}, "offloading"),
        ({"args": [*VLLM, "--speculative-config", "{}"]}, "draft model"),
        ({"args": [*VLLM, "--data-parallel-size", "2"]}, "data parallelism"),
        ({"args": [*VLLM, "--config", "/etc/vllm.yaml"]}, "configuration file"),
        ({"args": [*VLLM, "--kv-cache-dtype", "exotic"]}, "data type exotic"),
        ({"args": [*VLLM, "--tensor-parallel-size", "2"]}, "divided among 1 devices"),
        ({"args": ["vllm", "serve", "acme/our-own-model"]}, "geometry of the model acme/our-own-model"),
        ({"args": ["vllm", "serve", "Qwen/Qwen2-VL-7B-Instruct"]}, "images or sound"),
        ({"args": ["vllm", "serve", "google/gemma-2-9b-it"]}, "window of tokens"),
        ({"args": ["vllm", "serve", "Qwen/Qwen3-Embedding-8B"]}, "does not generate"),
        ({"args": ["vllm", "serve", "acme/Llama-3.1-8B-262k"]}, "is not known"),
        ({"served": KV | {"kv_blocks": 40000}}, "the numbers do not fit"),
        ({"served": KV | {"kv_dtype": "fp8"}, "args": [*VLLM, "--kv-cache-dtype", "bfloat16"]}, "two ways"),
        ({"workload": "LeaderWorkerSet/nlp/chat"}, "share one model"),
        ({"engine": "tgi", "served": None}, "tgi reserves memory in advance (1, the default)"),
    ],
)
def test_what_is_not_told_leaves_the_need_of_a_server_unknown(changes, words):
    if "workload" in changes:
        changes = changes | {"served": KV | {"workload": f"{CLUSTER}/{changes['workload']}"}}
    found = need(**changes)
    assert (found.kind, found.mib, found.exceeded) == ("unknown", None, None)
    assert words in found.because


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lines": [{"memory": 61 * GIB, "util": 0.4}]}, "JAX"),  # three quarters, never moving
        ({"lines": [{"memory": 61 * GIB, "util": 0.4}], "env": {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.77"}}, "JAX"),
        ({"lines": [{"memory": float("nan"), "util": 0.4}]}, "not measured for 1 of 1 pods"),
        ({"lines": [{"memory": 20 * GIB, "util": 0.4, "from": "-10h"}]}, "watched for 10 h only"),
        ({"lines": [{"memory": 20 * GIB, "util": 0.0}]}, "did no work"),
        ({"lines": []}, "was not measured"),
    ],
)
def test_memory_that_says_nothing_leaves_the_need_unknown(changes, words):
    found = need(engine=None, args=["python"], served=None, **changes)
    assert (found.kind, found.mib) == ("unknown", None)
    assert words in found.because


def test_a_framework_told_to_take_memory_as_needed_is_measured():
    off = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    found = need(engine=None, args=["python"], served=None, lines=[{"memory": 61 * GIB, "util": 0.4}], env=off)
    assert found.kind == "measured"


def test_a_constant_that_no_one_reserves_is_measured():
    found = need(engine=None, args=["python"], served=None, lines=[{"memory": 30 * GIB, "util": 0.4}])
    assert (found.kind, found.mib) == ("measured", 30 * GIB)


def test_a_pod_that_moved_counts_the_devices_it_holds():
    lines = [{"memory": 20 * GIB, "util": 0.4}, {"device": "n1/5", "memory": 30 * GIB, "util": 0.4, "to": "-7d"}]
    found = need(engine=None, args=["python"], served=None, lines=lines, workload="StatefulSet/nlp/chat")
    assert found.mib == 30 * GIB
