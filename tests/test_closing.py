"""The closing sections: decisions add up to the booked plan, answers are values or reasons, steps are not guessed."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit import schema
from gpuaudit.audit import audit
from gpuaudit.closing.answers import answers
from gpuaudit.closing.decisions import decisions
from gpuaudit.closing.monday import monday
from gpuaudit.cluster.nodes import Cluster
from gpuaudit.cluster.platform import InstalledSystem, Service, Source
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Container, ModelClient, Workload
from gpuaudit.config import Config
from gpuaudit.plan.pricebook import PriceBook
from tests.build import NOW, WINDOW, node, pod, usage

SEEN = ("nodes", "pods", "workloads", "systems", "services", "custom_objects", "model_clients")

JUDGED = frozenset({"network", "scheduling", "utilization"})


def snapshot(**parts: Any) -> Snapshot:
    facts = parts.pop("facts", SEEN)
    known: dict[str, Any] = {
        "taken_at": NOW,
        "window": WINDOW,
        "clusters": (Cluster(name="c"),),
        "sources": (Source(name="kubernetes", status="ok", provides=facts),),
    }
    return Snapshot(**(known | parts))


def report(shot: Snapshot, **changes: Any) -> schema.Report:
    return msgspec.structs.replace(audit(shot, {}, Config(), PriceBook(None)), **changes)


def finding(
    area: str, monthly: float = 0.0, *, severity: str = "medium", rule: str = "some-rule"
) -> schema.FindingPart:
    return schema.FindingPart(
        id=f"{rule}-1",
        rule=rule,
        area=area,
        severity=severity,
        confidence="confirmed",
        subject=schema.SubjectPart(
            cluster="c", kind="Node", namespace=None, name="n", node=None, devices=[], gpus=None
        ),
        message="it is so",
        evidence=[],
        act=None,
        savings=schema.Savings(ledger="cash", monthly=schema.Amounts(attributed=monthly, standalone=None)),
        fix=schema.FixPart(generate=None, note=""),
        ignored=None,
    )


def served(**values: Any) -> schema.Serving:
    unknown = dict.fromkeys(schema.Serving.__struct_fields__)
    return schema.Serving(**(unknown | {"model": "m", "workload": "c/Deployment/n/m"} | values))


def step(shot: Snapshot, number: int, *, judged: frozenset[str] = JUDGED, **changes: Any) -> tuple[bool | None, str]:
    found = monday(shot, report(shot, **changes), judged)[number - 1]
    return found.done, found.next


def answer(shot: Snapshot, word: str, **changes: Any) -> tuple[str | None, str]:
    found = next(one for one in answers(shot, report(shot, **changes)) if word in one.question)
    return found.answer, found.because


AREAS = [
    "utilization",
    "mig",
    "serving",
    "cold_start",
    "autoscaling",
    "network",
    "observability",
    "scheduling",
    "stack",
]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(AREAS), st.integers(0, 10**9)), max_size=12), st.integers(0, 10**6))
def test_decisions_add_up_to_the_booked_plan(parts: list[tuple[str, int]], more: int) -> None:
    shot = snapshot()
    base = report(shot)
    booked = (sum(cents for _, cents in parts) + more) / 100
    plan = msgspec.structs.replace(base.plan, savings_monthly=schema.SavingsRange(booked=booked, p50=None, p95=None))
    whole = msgspec.structs.replace(base, plan=plan, findings=[finding(area, cents / 100) for area, cents in parts])
    rows = decisions(shot, whole, JUDGED)
    assert [row.decision for row in rows] == [
        "gpu_sizing",
        "model_loading",
        "networking",
        "observability",
        "scheduling",
    ]
    cents = [round((row.annual_delta_usd or 0.0) * 100) for row in rows]
    assert sum(cents) == round(booked * 100) * 12
    network = sum(amount for area, amount in parts if area == "network")
    assert rows[2].annual_delta_usd == (network * 12 / 100 if network else None)
    assert all(row.today and row.right and row.enables for row in rows)


def test_without_a_bill_nothing_is_worth_anything() -> None:
    shot = snapshot(nodes=(node("n1", provider=None, instance_type=None),))
    rows = decisions(shot, report(shot), JUDGED)
    assert [row.annual_delta_usd for row in rows] == [None] * 5


def test_an_answer_is_a_value_or_a_reason() -> None:
    shot = snapshot()
    for one in answers(shot, report(shot)):
        assert one.because
    assert answer(shot, "first token")[0] is None
    assert "scrape the engines" in answer(shot, "first token")[1]
    rows = [served(ttft_p95_seconds=0.8), served(model="slow", ttft_p95_seconds=9.4, queue_p95=12.0)]
    assert answer(shot, "first token", serving=rows)[0] == "slow 9.4 s, m 0.8 s"
    assert answer(shot, "queued", serving=rows)[0] == "p95 over the window: slow 12"
    assert answer(shot, "million tokens", serving=[served(usd_per_million_tokens=0.613)])[0] == "m $0.61"
    nameless = [served(model="", workload="a/b/Deployment/search/embeddings", queue_p95=3.0)]
    assert answer(shot, "queued", serving=nameless)[0] == "p95 over the window: search/embeddings 3"
    told = answer(shot, "million tokens", serving=[served(tokens=5.0)])
    assert (told[0], "no price" in told[1]) == (None, True)
    measured = snapshot(facts=(*SEEN, "engine_metrics"))
    assert "does not hold" in answer(measured, "first token")[1]
    assert answer(shot, "degrading")[0] is None


def test_who_uses_most_of_it() -> None:
    rows = [
        schema.UsageRow(name=name, gpu_hours=hours, share=None, mean=None, usd_monthly=None)
        for name, hours in (("a", 700.0), ("b", 200.0), ("c", 100.0), ("(no owner)", 50.0), ("(unallocated)", 900.0))
    ]
    shot = snapshot()
    part = msgspec.structs.replace(report(shot).utilization, by_owner=rows)
    told = answer(shot, "80 %", utilization=part)
    assert told[0] == "a 70 %, b 20 %"
    assert told[1] == "2 of 3 owners hold 90 % of the GPU-hours held; 50 GPU-hours have no owner"
    assert answer(shot, "80 %")[0] is None


def test_measuring_is_done_when_most_was_seen() -> None:
    blind = snapshot(nodes=(node("n1"),), pods=(pod("p", "n1"),))
    assert step(blind, 1)[0] is False
    seen = snapshot(nodes=(node("n1"),), usage=usage(("n1", "c/Deployment/n/p", 0.5)))
    assert step(seen, 1)[0] is True
    part = msgspec.structs.replace(report(seen).coverage, observed_gpu_hours_ratio=0.5)
    assert step(seen, 1, coverage=part)[0] is False
    assert step(snapshot(), 1)[0] is None


def serving_cluster(**parts: Any) -> Snapshot:
    server = Workload(id="c/Deployment/n/p", cluster="c", kind="Deployment", namespace="n", name="p", engine="vllm")
    container = Container(name="main", image="vllm/vllm-openai:v0.22.1")
    known = {"nodes": (node("n1"),), "pods": (pod("p", "n1", containers=(container,)),), "workloads": (server,)}
    return snapshot(**(known | parts))


def test_what_was_not_looked_for_is_not_known() -> None:
    assert step(snapshot(), 2)[0] is None, "no model server"
    assert step(serving_cluster(), 2)[0] is None, "no store of metrics was read"
    assert step(serving_cluster(facts=(*SEEN, "engine_metrics")), 2)[0] is False, "no OpenTelemetry"
    assert step(serving_cluster(), 3)[0] is None
    assert step(serving_cluster(), 3, findings=[finding("cold_start")])[0] is False
    assert step(serving_cluster(), 4)[0] is None, "links were not read"
    assert step(serving_cluster(facts=(*SEEN, "node_network")), 4)[0] is True
    assert step(serving_cluster(), 4, findings=[finding("network")])[0] is False
    assert step(serving_cluster(facts=(*SEEN, "node_network")), 4, findings=[finding("network", severity="info")])[0]


@pytest.mark.parametrize(
    ("parts", "done", "word"),
    [
        ({}, False, "no gateway"),
        ({"facts": ("nodes", "pods")}, None, "not known"),
        ({"services": (Service(cluster="c", namespace="ai", name="litellm", endpoints=2),)}, True, "litellm"),
        ({"services": (Service(cluster="c", namespace="ai", name="litellm", endpoints=0),)}, False, "not running"),
        (
            {
                "systems": (
                    InstalledSystem(
                        cluster="c",
                        system="gateway_api_inference_extension",
                        seen=("custom",),
                        evidence=("InferencePool trial",),
                    ),
                )
            },
            False,
            "InferencePool trial, not running",
        ),
        (
            {
                "services": (Service(cluster="c", namespace="ai", name="litellm", endpoints=2),),
                "model_clients": (
                    ModelClient(
                        cluster="c", kind="Deployment", namespace="shop", name="web", endpoints={"LLM_URL": "model"}
                    ),
                ),
            },
            False,
            "move shop/web",
        ),
        (
            {"systems": (InstalledSystem(cluster="c", system="kserve", seen=("workload",), pods_ready=1),)},
            False,
            "no gateway",
        ),
    ],
)
def test_an_interface_runs_and_is_used(parts: dict[str, Any], done: bool | None, word: str) -> None:
    found = step(serving_cluster(**parts), 5)
    assert found[0] is done
    assert word in found[1]


def test_no_model_server_needs_no_interface() -> None:
    assert step(snapshot(), 5)[0] is None


def test_what_no_rule_judged_is_not_said_to_be_right() -> None:
    known = serving_cluster(facts=(*SEEN, "node_network"))
    assert step(known, 4, judged=frozenset())[0] is None
    rows = {row.decision: row for row in decisions(known, report(known), frozenset())}
    assert rows["networking"].right.startswith("not judged")
    assert rows["scheduling"].right.startswith("not judged")
    assert {row.decision: row.right for row in decisions(known, report(known), JUDGED)}["scheduling"].startswith(
        "nothing"
    )


def test_what_was_not_read_is_not_none() -> None:
    """From a log of NCCL alone nobody knows how many GPUs or servers there are."""
    shot = snapshot(facts=("nccl_logs",))
    rows = {one.decision: one for one in decisions(shot, report(shot), frozenset())}
    for name in ("gpu_sizing", "model_loading", "networking"):
        assert rows[name].today.endswith("were not read"), rows[name]
        assert rows[name].right.startswith("not known: "), rows[name]
    assert rows["scheduling"].today.startswith("the pods were not read")
    seen = {one.decision: one.today for one in decisions(snapshot(), report(snapshot()), frozenset())}
    assert seen["model_loading"] == "no model server was seen"
    assert seen["networking"] == "no GPU nodes"
    assert seen["scheduling"].startswith("no GPU pods")
