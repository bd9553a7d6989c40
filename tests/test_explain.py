"""`explain`: the story of a finding adds up, fits the width, and can be copied; nothing hostile gets through."""

import unicodedata

import pytest

from gpuaudit import schema
from gpuaudit.audit import audit
from gpuaudit.cluster.nodes import Cluster
from gpuaudit.cluster.platform import Source
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.config import Config
from gpuaudit.errors import UserError
from gpuaudit.loader import load_rules
from gpuaudit.paths import builtin
from gpuaudit.plan.pricebook import PriceBook
from gpuaudit.report.explain import explain, explained_data
from gpuaudit.store import load
from tests.build import NOW, WINDOW, node, pod

RULES = load_rules()
COPIED = ("kubectl ", "query: ", "name = ", "gpuaudit ")


@pytest.fixture(scope="module")
def demo() -> schema.Report:
    return audit(load(builtin("snapshots") / "demo.gpuaudit"), RULES, Config(), PriceBook())


@pytest.mark.parametrize("width", [60, 80, 200])
def test_every_finding_and_action_is_explained_within_the_width(demo: schema.Report, width: int) -> None:
    for name in [finding.id for finding in demo.findings] + [action.id for action in demo.actions]:
        for line in explain(demo, name, RULES, width=width).splitlines():
            words = line.split()
            assert len(line) <= width or line.lstrip().startswith(COPIED) or len(max(words, key=len)) > width // 2


def test_an_action_is_found_by_its_number_on_the_screen(demo: schema.Report) -> None:
    for number, action in enumerate(demo.actions, start=1):
        assert explain(demo, str(number), RULES) == explain(demo, action.id, RULES)
        assert all(name in explain(demo, action.id, RULES, width=1000) for name in action.findings)


def test_the_arithmetic_leads_from_the_price_of_a_node_to_the_booked_plan(demo: schema.Report) -> None:
    for finding in demo.findings:
        told = explain(demo, finding.id, RULES, width=1000)
        attributed = finding.savings.monthly.attributed
        assert (f"${attributed:,.2f}" in told) == bool(attributed)
        if attributed:
            assert f"${demo.plan.before.monthly:,.2f}" in told
            assert "× 730 h" in told
            assert f"${demo.plan.savings_monthly.booked:,.2f}" in told


def test_an_opt_out_is_named_and_no_second_one_is_offered(demo: schema.Report) -> None:
    ignored = [finding for finding in demo.findings if finding.ignored]
    assert ignored
    for finding in ignored:
        told = explain(demo, finding.id, RULES)
        assert "Opted out" in told
        assert "[[ignore]]" not in told


@pytest.mark.parametrize("name", ["0", "999", "idle-gpu-000000000000", "", "\x1b[31m"])
def test_what_is_not_there_is_an_error_that_can_be_mended(demo: schema.Report, name: str) -> None:
    with pytest.raises(UserError):
        explain(demo, name, RULES)


def test_a_name_nearly_right_is_guessed(demo: schema.Report) -> None:
    name = demo.findings[0].id
    with pytest.raises(UserError) as refused:
        explain(demo, name[:-1], RULES)
    assert name in refused.value.hint


def test_a_system_nearly_named_is_guessed(demo: schema.Report) -> None:
    with pytest.raises(UserError) as caught:
        explain(demo, "kueu", RULES)
    assert caught.value.hint.startswith("did you mean Kueue")


def test_nothing_hostile_reaches_the_terminal() -> None:
    hostile = "\x1b]0;t\x07\x1b[2J\u202eevil\n[bold]x'; rm -rf $HOME #*?["
    fallen = node(hostile, cluster=hostile, pool=hostile, instance_type=hostile, cordoned=True)
    holder = pod(hostile, hostile, 2, cluster=hostile, namespace=hostile)
    shot = Snapshot(
        taken_at=NOW,
        window=WINDOW,
        clusters=(Cluster(name=hostile),),
        nodes=(fallen,),
        pods=(holder,),
        sources=(Source(name="s", status="ok", provides=("nodes", "pods", "workloads")),),
    )
    report = audit(shot, RULES, Config(), PriceBook())
    assert report.findings
    for finding in report.findings:
        told = explain(report, finding.id, RULES)
        assert not [char for char in told if unicodedata.category(char) in {"Cc", "Cf"} and char != "\n"]


def test_a_system_of_the_stack_is_explained_by_its_name(demo: schema.Report) -> None:
    for row in demo.stack:
        told = explain(demo, row.system.lower(), RULES, width=1000)
        assert told.startswith(f"{row.system} · {row.layer} · ")
        assert all(text in told for text in row.evidence)
    assert explained_data(demo, "kueue") == {
        "actions": [],
        "findings": [],
        "stack": [row for row in demo.stack if row.system == "Kueue"],
    }


def test_a_finding_says_what_it_makes_of_the_stack(demo: schema.Report) -> None:
    finding = next(one for one in demo.findings if one.rule == "outdated-driver")
    assert "In the stack\n  GPU Operator is" in explain(demo, finding.id, RULES, width=1000)
