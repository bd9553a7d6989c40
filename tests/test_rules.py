"""Every rule against its cases (tests/rules/*.yaml), and what every rule must have."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from gpuaudit.knowledge import facts
from gpuaudit.outcome import Judged
from gpuaudit.paths import builtin
from tests.rule_cases import CLUSTER, RULES, cases, run

FOLDER = Path(__file__).parent / "rules"
CASES = cases(FOLDER)


@pytest.mark.parametrize(("rule", "case"), CASES, ids=[f"{rule}: {case['name']}" for rule, case in CASES])
def test_case(rule: str, case: dict[str, Any]) -> None:
    outcome = run(rule, case)
    assert list(outcome.missing) == case.get("missing", [])
    found = [judged for judged in outcome.findings if judged.ignored is None]
    assert len(outcome.findings) - len(found) == case.get("ignored", 0)
    wanted = case.get("expect", [])
    assert [_name(judged) for judged in found] == [line["subject"] for line in wanted]
    for judged, line in zip(found, wanted, strict=True):
        _check(judged, line)


def _name(judged: Judged) -> str:
    subject = judged.finding.subject
    return f"{subject.kind}/{subject.namespace or ''}/{subject.name}"


def _check(judged: Judged, line: dict[str, Any]) -> None:
    finding = judged.finding
    told = {
        "confidence": finding.confidence,
        "severity": judged.severity.value,
        "gpus": finding.subject.gpus,
        "node": finding.subject.node,
        "devices": list(finding.subject.devices),
        "releases": list(finding.releases),
        "act": finding.act.kind if finding.act else None,
    }
    for key in told.keys() & line.keys():
        assert told[key] == (pytest.approx(line[key]) if key == "gpus" and line[key] else line[key]), key
    text = " ".join([finding.message, str(finding.act), *(f"{e.name} {e.value}" for e in finding.evidence)])
    for words in line.get("mentions", []):
        assert str(words) in text
    assert finding.subject.cluster == CLUSTER
    assert finding.message
    assert finding.evidence
    assert finding.refutation


@pytest.mark.parametrize("name", RULES)
def test_rule_is_complete(name: str) -> None:
    rule = RULES[name]
    paragraphs = rule.page.split("\n\n")
    assert len(paragraphs) == 3, "what is so / why it costs / what to do"
    assert "\n" not in paragraphs[0]
    assert rule.area in ("utilization", "mig", "serving", "cold_start", "autoscaling", "network", "observability",
                         "scheduling", "stack")  # fmt: skip
    for need in rule.needs:
        assert facts.fact(need)


@pytest.mark.parametrize("name", RULES)
def test_rule_has_cases_the_silent_ones_first(name: str) -> None:
    told = [case for rule, case in CASES if rule == name]
    silent = [not case.get("expect") for case in told]
    assert any(silent)
    assert not all(silent)
    assert silent[0], "what must not be accused comes first"


def test_rule_files_import_only_what_rules_may() -> None:
    allowed = ("gpuaudit.rule", "gpuaudit.cluster", "gpuaudit.demand", "gpuaudit.knowledge")
    for path in sorted(builtin("rules").glob("*/*.py")):
        for line in path.read_text().splitlines():
            if line.startswith(("from gpuaudit", "import gpuaudit")):
                assert line.split()[1].startswith(allowed), f"{path.name}: {line}"


@pytest.mark.parametrize("name", RULES)
def test_options_are_typed(name: str) -> None:
    for parameter in list(inspect.signature(RULES[name].check).parameters.values())[1:]:
        assert parameter.annotation is not parameter.empty
