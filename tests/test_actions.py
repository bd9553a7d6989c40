"""The actions of the first screen: each subject once, under its highest shelf; no finding lost, none counted twice."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.outcome import Judged
from gpuaudit.plan.actions import SHELVES, actions
from gpuaudit.rule import Act, ActKind, Finding, Risk, Severity, Subject
from tests.build import NOW, WINDOW

EMPTY = Snapshot(taken_at=NOW, window=WINDOW)
KINDS: tuple[ActKind, ...] = ("release_gpus", "configure", "resize")


def judged(
    number: int,
    name: str,
    rule: str = "idle-gpu",
    *,
    act: ActKind = "release_gpus",
    confidence: str = "confirmed",
    risk: Risk | None = None,
) -> Judged:
    subject = Subject(cluster="c", kind="Deployment", namespace="ml", name=name, gpus=1.0)
    finding = Finding(
        subject=subject, message=f"{name} by {rule}", confidence=confidence, act=Act(kind=act, target=name, risk=risk)
    )  # type: ignore[arg-type]
    return Judged(id=f"{rule}-{number:012x}", rule=rule, area="x", severity=Severity.MEDIUM, finding=finding)


@pytest.fixture
def shot() -> Snapshot:
    return EMPTY


def made(shot: Snapshot, found: list[Judged], attributed: dict[str, int] | None = None) -> list:
    return actions(shot, found, attributed=attributed or {}, owner_of=lambda _: "", hurts=lambda _: False)


def test_one_subject_is_one_row_that_names_the_other_rules(shot: Snapshot) -> None:
    found = [
        judged(1, "a"),
        judged(2, "a", "underused-gpu", act="resize"),
        judged(3, "b", "small-shm", act="configure"),
    ]
    rows = made(shot, found)
    assert {row.text: len(row.findings) for row in rows} == {
        "a by idle-gpu (also underused-gpu)": 2,
        "b by small-shm": 1,
    }


def test_a_suspicion_does_not_pull_a_certainty_down(shot: Snapshot) -> None:
    rows = made(shot, [judged(1, "a", "a-rule", confidence="investigate"), judged(2, "a", "z-rule")])
    assert [(row.shelf, row.findings[0]) for row in rows] == [("plan", f"z-rule-{2:012x}")]


def test_an_act_says_what_running_work_suffers(shot: Snapshot) -> None:
    """Settings differ: a label disturbs nobody, a GPU that is cut anew empties its node."""
    found = [
        judged(1, "a", "a-rule", act="configure"),
        judged(2, "b", "b-rule", act="configure", risk="restart"),
        judged(3, "c", "c-rule", act="configure", risk="drain"),
        judged(4, "d", "d-rule", act="resize"),
    ]
    told = {row.text[0]: (row.risk, row.effort) for row in made(shot, found)}
    assert told == {"a": ("none", "S"), "b": ("restart", "S"), "c": ("drain", "M"), "d": ("restart", "M")}


def test_of_several_acts_in_one_row_the_gravest_risk_is_said(shot: Snapshot) -> None:
    [row] = made(shot, [judged(1, "a", act="configure"), judged(2, "b", act="configure", risk="reboot")])
    assert (row.risk, row.effort) == ("reboot", "M")


def test_nothing_found_is_no_action(shot: Snapshot) -> None:
    assert made(shot, []) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(string.ascii_lowercase[:5]),
            st.sampled_from(["r1", "r2", "r3"]),
            st.sampled_from(KINDS),
            st.sampled_from(["confirmed", "likely", "investigate"]),
            st.integers(0, 10_000),
        ),
        max_size=25,
    )
)
def test_every_finding_is_in_one_action_and_the_money_adds_up(drawn: list[tuple[str, str, ActKind, str, int]]) -> None:
    found = [judged(n, name, rule, act=act, confidence=sure) for n, (name, rule, act, sure, _) in enumerate(drawn)]
    cents = {one.id: line[4] for one, line in zip(found, drawn, strict=True)}
    rows = made(EMPTY, found, cents)
    named = [name for row in rows for name in row.findings]
    assert sorted(named) == sorted(one.id for one in found)
    assert round(sum(row.booked_monthly for row in rows) * 100) == sum(cents.values())
    assert [SHELVES.index(row.shelf) for row in rows] == sorted(SHELVES.index(row.shelf) for row in rows)
    subjects = {one.id: one.finding.subject.name for one in found}
    for name in set(subjects.values()):
        assert sum(any(subjects[one] == name for one in row.findings) for row in rows) == 1
