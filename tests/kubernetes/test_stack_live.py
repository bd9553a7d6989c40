"""The recorded cluster's stack, read live: what runs, what was only installed, what a narrow right leaves unknown."""

from gpuaudit import schema
from gpuaudit.audit import audit
from gpuaudit.config import Config
from gpuaudit.loader import load_rules
from gpuaudit.plan.pricebook import PriceBook
from tests.kubernetes.reading import live
from tests.kubernetes.replay import TENANT, Replay


def report(api: Replay, *users: str, **settings: str) -> schema.Report:
    return audit(live(api, *users, **settings), load_rules(), Config(), PriceBook(None))


def rows(found: schema.Report) -> dict[str, schema.StackRow]:
    return {row.system: row for row in found.stack}


def test_what_runs_and_in_which_version(api: Replay) -> None:
    found = rows(report(api))
    versions = {name: row.version for name, row in found.items() if row.version}
    assert versions["Karpenter"] == "1.6.2"
    assert (versions["Kueue"], versions["KEDA"]) == ("v0.13.1", "2.17.2")
    assert versions["Prometheus"] == "v3.5.0", "the server's, not its operator's"
    assert versions["Network Operator"] == "v25.4.0"
    assert {"v0.8.5", "v0.11.0"} <= set((versions["vLLM"] or "").split(", "))
    present = {name for name, row in found.items() if row.status == "present"}
    assert present >= {"vLLM", "NIM", "Triton", "SGLang", "KServe", "Volcano", "Argo Workflows", "Grafana", "EFA"}


def test_a_crd_is_not_running(api: Replay) -> None:
    found = rows(report(api))
    for name in ("KAI", "Run:ai", "llm-d"):
        assert found[name].status == "absent"
        assert "running" in found[name].evidence[0]
    assert any("CRD" in text and "scheduling.run.ai" in text for text in found["KAI"].evidence)
    assert any("inferencepools" in text or "InferencePool" in text for text in found["llm-d"].evidence)
    assert found["Dynamo"].status == found["TGI"].status == "absent"


def test_what_is_there_and_wrong(api: Replay) -> None:
    found = rows(report(api))
    assert found["Cluster Autoscaler"].status == "misconfigured"
    assert "Karpenter" in found["Cluster Autoscaler"].evidence[0]
    assert found["Karpenter"].status != "absent"
    for name in ("MIG", "SR-IOV", "Network Operator", "GPU Operator"):
        assert found[name].status == "misconfigured", name
        assert found[name].evidence[0]


def test_the_gateway_is_missing(api: Replay) -> None:
    step = report(api).monday[4]
    assert step.done is False
    assert "no gateway in front of" in step.next


def test_without_the_right_to_look_nothing_is_absent(api: Replay) -> None:
    found = report(api, "limited", context_namespace=TENANT)
    assert {row.status for row in found.stack} <= {"unknown", "present"}
    assert [step.done for step in found.monday].count(True) == 0
    assert len(found.decisions) == 5
