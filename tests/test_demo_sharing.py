"""The demo's cut and shared GPUs: each rule of MIG and sharing has its story, and those who do well stay silent."""

import pytest

from tests.test_demo import place, unignored

FIRES = {
    "mig-opportunity": {"fraud/triton-scorer", "search/embeddings"},
    "mig-state": {"serve-a100"},
    "multi-gpu-on-mig": {"sandbox/llm-on-slices"},
    "oversized-mig-profile": {"search/spellcheck"},
    "oversubscribed-replicas": {"notebooks-shared"},
    "shared-without-isolation": {"notebooks-shared"},
    "sharing-opportunity": {"docs/langdetect"},
    "unused-mig-device": {"mig-a100"},
}


@pytest.mark.parametrize("rule", sorted(FIRES))
def test_who_speaks_up(rule: str) -> None:
    assert {place(finding) for finding in unignored() if finding.rule == rule} == FIRES[rule]


def test_what_is_left_out_has_its_reason() -> None:
    finding = next(one for one in unignored() if one.rule == "mig-opportunity")
    reasons = {item.name: str(item.value) for item in finding.evidence if item.name.startswith("left out: ")}
    assert "revision is 51 h old" in reasons["left out: Deployment/search/vllm-llama-70b-canary"]
    assert "reserves memory in advance" in reasons["left out: Deployment/speech/whisper"]
    assert "several devices" in reasons["left out: Deployment/nlp/vllm-qwen-32b"]
    assert "only the whole GPU" in reasons["left out: Deployment/ads/ranker-triton"]


def test_free_devices_that_are_a_reserve_are_not_accused() -> None:
    (finding,) = [one for one in unignored() if one.rule == "unused-mig-device"]
    assert "1g.10gb" in finding.message
    assert "3g.40gb" not in finding.message
    assert finding.confidence == "confirmed"


def test_students_may_share() -> None:
    (finding,) = [one for one in unignored() if one.rule == "shared-without-isolation"]
    assert not any("jupyter" in str(item.value) for item in finding.evidence)
