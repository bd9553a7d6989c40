"""The demo's stack: what is out of care speaks up, what is merely not the newest stays silent."""

from tests.test_demo import report


def subjects(rule: str) -> set[str]:
    return {finding.subject.name for finding in report().findings if finding.rule == rule}


def test_drivers_past_their_end() -> None:
    assert subjects("outdated-driver") == {"R570"}


def test_engines_out_of_care() -> None:
    assert subjects("outdated-engine") == {"vllm-mixtral-legacy"}
