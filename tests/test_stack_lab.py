"""The recorded cluster's stack: old engines and drivers are found by name, what is sound is left alone."""

import pytest

from tests.test_rules_lab import LAB, outcomes

pytestmark = pytest.mark.skipif(not LAB.is_dir(), reason="no recorded cluster beside this checkout")


def subjects(rule: str) -> set[str]:
    return {judged.finding.subject.name for judged in outcomes()[rule].findings}


def test_the_old_engine_is_found_and_the_new_ones_are_not() -> None:
    found = subjects("outdated-engine")
    assert "llama-405b" in found
    assert not found & {"vllm-llama-8b", "vllm-llama-70b", "docs-llm", "dra-inference", "sglang-rewriter", "embeddings"}
    assert "captioner" not in found, "its image was never pulled"
    text = next(j.finding.message for j in outcomes()["outdated-engine"].findings if "405b" in j.finding.message)
    assert "0.8.5" in text
    assert "0.11.0 runs beside it" in text


def test_the_drivers_branch_has_ended_and_is_told_once() -> None:
    (found,) = outcomes()["outdated-driver"].findings
    assert found.finding.subject.name == "R570"
    assert "2026-02-28" in found.finding.message
