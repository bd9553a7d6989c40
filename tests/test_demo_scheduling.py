"""The demo's stories of scheduling: what speaks up, and what stays silent beside it."""

import pytest

from tests.test_demo import place, unignored

SPEAKS = {
    ("queued-while-idle", "bio/fold-large"): "medium",
    ("fragmented-gpus", "research-a10g"): "medium",
    ("default-scheduler-for-gangs", "bio/protein-lm"): "low",
    ("small-shm", "bio/imaging-train"): "medium",
    ("quota-blocked-workload", "vision/dino-sweep"): "low",
    ("blocking-pdb", "docs/vllm-mistral-7b"): "medium",
    ("no-gpu-quota", "nlp/nlp"): "low",
    ("unattributed-namespace", "sandbox/sandbox"): "low",
    ("untainted-gpu-node", "research-a10g"): "low",
}
SILENT = (
    ("queued-while-idle", "nlp/pretrain-next"),
    ("fragmented-gpus", "train-h100"),
    ("default-scheduler-for-gangs", "nlp/pretrain-7b"),
    ("default-scheduler-for-gangs", "nlp/pretrain-next"),
    ("small-shm", "bio/protein-lm"),
    ("quota-blocked-workload", "nlp/pretrain-next"),
    ("blocking-pdb", "search/vllm-llama-70b"),
    ("no-gpu-quota", "fraud/fraud"),
    ("no-gpu-quota", "notebooks/notebooks"),
    ("unattributed-namespace", "nlp/nlp"),
    ("untainted-gpu-node", "train-h100"),
)


@pytest.mark.parametrize(("rule", "subject"), SPEAKS)
def test_speaks_up(rule: str, subject: str) -> None:
    found = [finding.severity for finding in unignored() if (finding.rule, place(finding)) == (rule, subject)]
    assert found == [SPEAKS[rule, subject]]


@pytest.mark.parametrize(("rule", "subject"), SILENT)
def test_stays_silent(rule: str, subject: str) -> None:
    assert not [finding for finding in unignored() if (finding.rule, place(finding)) == (rule, subject)]
