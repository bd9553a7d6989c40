"""The demo's stories of the utilization rules: who speaks up, who stays silent."""

import pytest

from gpuaudit import schema
from tests.test_demo import STORIES, place, unignored

FIRES = [
    ("busy-but-inefficient", "speech/tts-train", "investigate"),
    ("interruptible-on-demand", "data-eng/nightly-embeddings", "investigate"),
    ("off-hours-idle", "ads/creative-sdxl", "likely"),
    ("off-hours-idle", "ads/ctr-nightly", "confirmed"),
    ("oversized-gpu-model", "fraud/triton-scorer", "investigate"),
    ("oversized-gpu-model", "search/embeddings", "investigate"),
    ("quota-hoarding", "robotics/gpu", "investigate"),  # no quota promises most of the GPUs
    ("unused-reservation", "reserved-a100", "confirmed"),
]
SILENT = [
    ("busy-but-inefficient", "nlp/sft-13b"),  # its kernels fill the SMs
    ("busy-but-inefficient", "vision/segmenter"),  # a Service: its users decide what it does
    ("busy-but-inefficient", "search/vllm-llama-70b"),  # bound by memory bandwidth, which it uses
    ("interruptible-on-demand", "data-eng/clip-embed-archive"),  # runs on spot already
    ("interruptible-on-demand", "speech/tts-train"),  # twelve days, and no checkpoint seen
    ("interruptible-on-demand", "nlp/eval-harness-1109"),  # it is over
    ("off-hours-idle", "notebooks/jupyter-bob"),  # a notebook loses its state
    ("off-hours-idle", "search/vllm-llama-8b"),  # works at night too, only less
    ("off-hours-idle", "ci/gpu-tests"),  # its evenings are not alike from week to week, so no hour is bare for sure
    ("oversized-gpu-model", "vision/segmenter"),  # no smaller model has its bandwidth
    ("oversized-gpu-model", "nlp/vllm-qwen-14b"),  # what it needs of the memory that vLLM reserved, nobody knows
    ("oversized-gpu-model", "speech/whisper"),
    ("quota-hoarding", "notebooks/gpu"),  # three quarters of it are in use
    ("quota-hoarding", "fraud/gpu"),  # half of it is in use
    ("unused-reservation", "train-h100"),  # in use
    ("unused-reservation", "dgx-onprem"),  # held by nobody knows whom
]


def of(rule: str) -> list[schema.FindingPart]:
    return [finding for finding in unignored() if finding.rule == rule]


@pytest.mark.parametrize(("rule", "subject", "confidence"), FIRES)
def test_a_story_is_told(rule: str, subject: str, confidence: str) -> None:
    assert {place(finding): finding.confidence for finding in of(rule)}.get(subject) == confidence


@pytest.mark.parametrize(("rule", "subject"), SILENT)
def test_a_story_stays_silent(rule: str, subject: str) -> None:
    assert [finding.message for finding in of(rule) if place(finding) == subject] == []


@pytest.mark.parametrize("rule", sorted({rule for rule, *_ in FIRES}))
def test_nobody_else_is_accused(rule: str) -> None:
    assert {place(finding) for finding in of(rule)} == {subject for one, subject, _ in FIRES if one == rule}
    assert rule in STORIES


def test_none_of_them_books_money() -> None:
    """Freed hours, smaller models and filled reservations are worth what a plan shows, not what a rule says."""
    for rule in {rule for rule, *_ in FIRES}:
        for finding in of(rule):
            assert finding.savings.ledger == "none", finding.rule
            assert finding.savings.monthly.attributed == 0
