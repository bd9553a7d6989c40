"""The recorded cluster: what was planted for these rules comes out as meant; good examples raise nothing."""

import gzip
import json
from dataclasses import fields
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gpuaudit.cluster.platform import Source
from gpuaudit.cluster.snapshot import Snapshot, Window
from gpuaudit.collect.builder import InventoryBuilder
from gpuaudit.config import Config
from gpuaudit.outcome import Outcome, evaluate
from gpuaudit.plan.optouts import OptOuts
from gpuaudit.plan.owners import with_owners
from tests.rule_cases import RULES

LAB = Path(__file__).resolve().parents[1].parent / "shared" / "lab"
pytestmark = pytest.mark.skipif(not LAB.is_dir(), reason="no recorded cluster beside this checkout")


@cache
def ground_truth() -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((LAB / "inventory.json").read_text())
    return truth


@cache
def outcomes() -> dict[str, Outcome]:
    builder = InventoryBuilder("lab")
    for path in sorted((LAB / "dump").iterdir()):
        content = path.read_bytes()
        builder.add_text(gzip.decompress(content) if path.suffix == ".gz" else content)
    inventory = builder.finish()
    assert inventory.newest is not None
    known = {field.name for field in fields(Snapshot)} & {field.name for field in fields(inventory)}
    snapshot = Snapshot(
        taken_at=inventory.newest,
        window=Window(start=inventory.newest - timedelta(days=14), end=inventory.newest),
        sources=(Source(name="files", status="ok", provides=inventory.provides),),
        **{name: getattr(inventory, name) for name in known},
    )
    snapshot = with_owners(snapshot, Config().ownership)
    found = evaluate(snapshot, RULES, options={}, opted_out=OptOuts(snapshot, Config()).of)
    return {outcome.rule.name: outcome for outcome in found}


def planted() -> list[dict[str, Any]]:
    return [row for row in ground_truth()["planted"] if set(row["rules"]) & set(RULES)] if LAB.is_dir() else []


def said(rule: str) -> list[str]:
    """Everything that each finding of the rule says, in one text."""
    texts = []
    for judged in outcomes()[rule].findings:
        finding = judged.finding
        subject = finding.subject
        names = f"{subject.kind}/{subject.namespace}/{subject.name} {subject.node} {' '.join(subject.devices)}"
        proof = " ".join(f"{item.name} {item.value}" for item in finding.evidence)
        texts.append(f"{names} {finding.message} {proof}")
    return texts


def name_of(planted_object: str) -> str:
    """The object's own name, a node's short one spelled out."""
    first = planted_object.split(" on ", maxsplit=1)[0].split(" (", maxsplit=1)[0]
    short = first.rpartition("/")[2]
    name: str = ground_truth()["aliases"].get(short, short)
    return name


@pytest.mark.parametrize("row", planted(), ids=lambda row: row["problem"][:50])
def test_planted(row: dict[str, Any]) -> None:
    rules = sorted(set(row["rules"]) & set(RULES))
    if row["expect"] == "needs_metrics":
        assert all(outcomes()[rule].missing for rule in rules)
        return
    texts = [text for rule in rules for text in said(rule)]
    if row["expect"] == "silent":
        assert not any(name_of(good) in text for good in row["objects"] for text in texts)
        return
    assert row["expect"] == "found"
    for planted_object in row["objects"]:
        assert any(name_of(planted_object) in text for text in texts), planted_object


@pytest.mark.parametrize("alias", ["mig-1", "mig-2", "mig-3", "g5-4", "p4d-1", "p5-1", "p5-4"])
def test_good_examples_raise_nothing(alias: str) -> None:
    name = ground_truth()["aliases"][alias]
    for rule in RULES:
        planted = rule == "unused-mig-device" and alias in ("mig-1", "mig-2")
        if RULES[rule].area in ("utilization", "mig") and not planted:
            assert not any(name in text for text in said(rule)), rule


def test_the_blocking_workload_is_the_subject() -> None:
    subjects = [judged.finding.subject for judged in outcomes()["stranded-gpu"].findings]
    builder = next(subject for subject in subjects if subject.name == "feature-builder")
    assert (builder.kind, builder.namespace) == ("Deployment", "platform")
    assert builder.node == ground_truth()["aliases"]["p4d-8"]


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("default-scheduler-for-gangs", "ablation"),  # Kueue lets it in as a whole
        ("default-scheduler-for-gangs", "llama-405b"),  # a LeaderWorkerSet
        ("default-scheduler-for-gangs", "batch-infer"),  # workers of Ray
        ("default-scheduler-for-gangs", "vj-train"),  # Volcano
        ("quota-blocked-workload", "sweep"),  # waits for room
        ("small-shm", "llm-pretrain"),  # has a volume in memory
        ("blocking-pdb", "vllm-llama-8b"),  # allows one
        ("no-gpu-quota", "fraud-prod"),
        ("no-gpu-quota", "research"),
        ("unattributed-namespace", "research"),
    ],
)
def test_what_scheduling_rules_leave_alone(rule: str, name: str) -> None:
    assert not any(judged.finding.subject.name == name for judged in outcomes()[rule].findings)


def test_why_work_waits() -> None:
    reasons = {
        judged.finding.subject.name: next(e.value for e in judged.finding.evidence if e.name == "reason")
        for judged in outcomes()["queued-while-idle"].findings
    }
    assert reasons == {"ablation": "quota", "diarize": "not offered", "sweep": "fragmentation", "vj-train": "cpu"}
