"""Facts and loading: what a rule may need exists and says how to get it; the cold-start table is whole."""

import pytest

from gpuaudit.knowledge import facts, loading
from gpuaudit.loader import load_rules


def test_facts_are_unique_and_say_how() -> None:
    rows = facts.all_facts()
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert row.name.isidentifier()
        assert row.what
        assert row.how
        assert "\n" not in row.how
        assert facts.fact(row.name) is row


COUNTED_ON = """
nodes pods workloads events utilization sm_active gpu_util power memory_used tensor_active dram_active pod_attribution
history prices queues quotas services node_facts engine_metrics node_network
"""


@pytest.mark.parametrize("name", COUNTED_ON.split())
def test_the_names_that_rules_count_on(name: str) -> None:
    assert facts.fact(name).name == name


def test_an_unknown_fact_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        facts.fact("no_such_fact")


def test_every_need_of_a_rule_is_a_fact() -> None:
    known = {row.name for row in facts.all_facts()}
    missing = {name: rule.needs - known for name, rule in load_rules().items() if not rule.needs <= known}
    assert missing == {}


def test_loading() -> None:
    table = loading.loading()
    assert loading.bytes_per_param("BF16") == 2.0
    assert loading.bytes_per_param("no-such") is None
    assert all(row.gb > 0 and row.source for row in table.weights)
    for row in table.storage:
        assert row.source
        assert row.gb_per_second is None or row.gb_per_second > 0
    assert next(row for row in table.storage if "gp3 baseline" in row.name).gb_per_second == pytest.approx(
        0.131, abs=1e-3
    )
    for row in table.measured:
        assert row.load_s > 0
        assert row.vllm_ready_s is None or row.vllm_ready_s > row.load_s
        assert row.source in loading.sources() or ":" in row.source
    low, high = table.vllm_startup.engine_overhead_s_runai
    assert 0 < low < high
    assert table.node_provisioning.confidence == "low"
    assert table.formula.default_loader_gb_s > 0


def test_a_model_weighs_its_parameters() -> None:
    for row in loading.loading().weights:
        size = loading.bytes_per_param(row.dtype)
        if size and row.params_b:
            assert row.gb == pytest.approx(row.params_b * size, rel=0.1), row.model
