"""The demo's stack: what is out of care speaks up, what is merely not the newest stays silent."""

from tests.test_demo import report


def subjects(rule: str) -> set[str]:
    return {finding.subject.name for finding in report().findings if finding.rule == rule}


def test_drivers_past_their_end() -> None:
    assert subjects("outdated-driver") == {"R570"}


def test_engines_out_of_care() -> None:
    assert subjects("outdated-engine") == {"vllm-mixtral-legacy"}


def test_servers_that_leave_most_of_a_gpu_unused() -> None:
    assert subjects("inefficient-server") == {"prompt-lab"}


def test_models_called_past_the_gateway() -> None:
    (found,) = [one for one in report().findings if one.rule == "hardcoded-model-endpoint"]
    assert (found.subject.name, found.severity) == ("docs", "info")
    assert "help-center and ticket-summaries" in found.message
    assert "though" in found.message, "a gateway runs"
    assert not any(word in str(found) for word in ("answer-box", "copywriter"))


def test_the_stack_looks_like_a_cluster_that_is_lived_in() -> None:
    rows = {row.system: row for row in report().stack}
    assert len(rows) == 32
    running = {name for name, row in rows.items() if row.status == "present"}
    assert running >= {"GPU Operator", "Karpenter", "vLLM", "Triton", "EFA", "Kueue", "KEDA", "Prometheus"}
    assert rows["Cluster Autoscaler"].status == "misconfigured"
    assert "beside Karpenter" in rows["Cluster Autoscaler"].evidence[0]
    assert (rows["Volcano"].status, "not running" in rows["Volcano"].evidence[0]) == ("absent", True)
    assert rows["MIG"].status in ("present", "misconfigured"), "as the stories of MIG have it"
    assert rows["chargeback"].status == "unknown"
    assert all(row.evidence for row in rows.values())


def test_the_closing_sections_speak_of_this_cluster() -> None:
    found = report()
    booked = found.plan.savings_monthly.booked
    assert booked
    worth = [row.annual_delta_usd for row in found.decisions]
    assert round(sum(value or 0.0 for value in worth), 2) == round(booked * 12, 2)
    steps = [step.done for step in found.monday]
    assert steps[0] is True, "the GPUs are measured"
    assert steps[4] is False, "a gateway runs, and two applications go past it"
    told = {one.question: one for one in found.answers}
    assert "nlp" in str(told["Who uses 80 % of the GPU time?"].answer)
    assert all(one.because for one in found.answers)
