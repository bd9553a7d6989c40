"""The table of language models: names found, geometry as published, and flags that are kept where they are read."""

import pytest

from gpuaudit.knowledge import kubernetes, loading, models, systems

KIB = 1024


@pytest.mark.parametrize(
    ("name", "family", "kib_per_token"),
    [
        ("meta-llama/Meta-Llama-3-8B-Instruct", "Llama 3 8B", 128),
        ("neuralmagic/Meta-Llama-3.1-8B-Instruct-FP8", "Llama 3.1 8B", 128),
        ("/models/Llama-3.3-70B-Instruct/", "Llama 3.1 to 3.3 70B", 320),
        ("meta-llama/Llama-3.1-405B-Instruct", "Llama 3.1 405B", 504),
        ("llama3.1:8b", "Llama 3.1 8B", 128),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "Llama 3.1 to 3.3 70B", 320),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", "Qwen2.5 32B", 256),
        ("Qwen/Qwen2.5-14B-Instruct-AWQ", "Qwen2.5 14B", 192),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", "Qwen3 30B-A3B", 96),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "Mixtral 8x7B", 128),
        (
            "models--meta-llama--Llama-3.1-8B-Instruct/snapshots/0e9e39f249a16976918f6564b8830bc894c89659",
            "Llama 3.1 8B",
            128,
        ),
    ],
)
def test_known_names(name, family, kib_per_token) -> None:
    found = models.find(name)
    assert found is not None
    assert found.name == family
    assert found.kv_bytes_per_token(2.0) == kib_per_token * KIB


@pytest.mark.parametrize("name", ["", "/", "acme/own", "Llama-guard", "qwen", "x" * 5000, "llama-3.1-8bit", "gpt-4"])
def test_other_names_are_unknown(name) -> None:
    assert models.find(name) is None


def test_heads_fewer_than_devices_are_kept_on_each() -> None:
    llama, deepseek = models.find("Llama-3.1-8B"), models.find("deepseek-ai/DeepSeek-V3")
    assert llama.kv_bytes_per_token(2.0, tensor_parallel=16) == 256 * KIB
    assert deepseek.kv_bytes_per_token(2.0, tensor_parallel=8) == 8 * 61 * 576 * 2
    assert models.find("google/gemma-2-9b-it").kv_bytes_per_token(2.0) is None


@pytest.mark.parametrize(
    ("texts", "dtype"),
    [
        (["Llama-3.1-8B-Instruct-FP8"], "fp8"),
        (["awq_marlin", "llama"], "int4"),
        (["qwen3-8b-nvfp4"], "nvfp4"),
        (["llama-8b-quantized-w8a8"], "int8"),
        (["bfloat16", "llama-3-8b"], None),
        (["float32"], "fp32"),
    ],
)
def test_data_types(texts, dtype) -> None:
    assert models.dtype_of(*texts) == dtype


def test_the_table_is_whole() -> None:
    known = models.models()
    for row in known.model:
        assert row.source in known.sources, row.name
        assert row.attention == "mixed" or (row.params_b and row.layers and row.context), row.name
    for one in known.preallocator:
        assert systems.by_key(one.system), one.system
    assert all(loading.bytes_per_param(row.dtype) for row in known.dtype)


def test_flags_that_decide_are_kept_where_containers_are_read() -> None:
    known = models.models()
    wanted = [flag for row in (*known.unsettling, *known.preallocator) for flag in row.flags]
    wanted += [*known.flags.tensor_parallel, *known.flags.pipeline_parallel, *known.flags.max_model_len]
    wanted += [*known.flags.kv_dtype, *known.flags.quantization]
    assert [flag for flag in wanted if not kubernetes.keeps_flag(flag)] == []
