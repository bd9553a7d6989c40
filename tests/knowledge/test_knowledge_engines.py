"""The table of serving engines: whole, and true to what was recorded."""

import re

import pytest

from gpuaudit.knowledge import engines, systems
from tests.knowledge.test_knowledge_metrics import SHARED


def test_engines_are_complete() -> None:
    found = engines.engines()
    assert set(found) >= {
        "vllm",
        "nim",
        "tgi",
        "triton",
        "sglang",
        "trtllm",
        "dynamo",
        "ray_serve",
        "kserve",
        "llamacpp",
    }
    for name, engine in found.items():
        assert engine.source in engines.sources(), name
        assert systems.by_key(engine.system) is not None, name
        assert engine.detect or name == "ollama"
        if engine.prefix:
            assert engine.detect[0].startswith(engine.prefix), name


def test_a_recorded_engine_is_recognised() -> None:
    folder = SHARED / "recordings" / "inference-metrics"
    if not folder.is_dir():
        pytest.skip("no recordings beside this checkout")
    names = set(re.findall(r"^([a-z_:]+)", (folder / "kubeai__vllm-metrics.txt").read_text(), re.MULTILINE))
    found = {key for key, engine in engines.engines().items() if engine.detect and set(engine.detect) <= names}
    assert found == {"vllm"}
    assert any(name in names for name in engines.engines()["vllm"].kv_cache_usage)
