"""Whole clusters as their platforms show them: every rule runs, nobody is accused, and the reports render."""

from collections.abc import Callable
from functools import cache
from types import ModuleType

import pytest

from gpuaudit import schema
from gpuaudit.audit import audit
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.config import Config
from gpuaudit.loader import load_rules
from gpuaudit.plan.pricebook import PriceBook
from gpuaudit.report.json import decode, render
from gpuaudit.report.terminal import Screen, render_screen
from gpuaudit.stack import stack_part
from gpuaudit.store import dumps, load_stream
from tests.clusters import aks_infiniband, eks_efa, gke_tcpx, infiniband, working
from tests.clusters.building import Site, Tree
from tests.sharing_clusters import kai, runai

CLUSTERS = (infiniband, eks_efa, gke_tcpx, aks_infiniband)
# What is true of these clusters and may be said of them: (rule, subject's name) by cluster. None of it must be.
MAY_BE_SAID = {
    "dc1": {("no-gpu-quota", "research"), ("no-gpu-quota", "nlp")},
    "train-use1": {
        ("no-autoscaler", "mixtral"),
        ("no-gpu-quota", "search"),
        ("missing-inference-signal", "mixtral"),
        ("hot-but-rare", "mixtral"),
        ("no-pdb", "mixtral"),
        ("interruptible-on-demand", "llm-pretrain"),
    },
    "ml-uc1": {("no-gpu-quota", "research"), ("interruptible-on-demand", "pretrain")},
    "train-eu": {("no-gpu-quota", "research"), ("interruptible-on-demand", "pretrain")},
}
WORKLOADS = {"dc1": 2, "train-use1": 2, "ml-uc1": 1, "train-eu": 1}


@cache
def snapshot(cluster: ModuleType) -> Snapshot:
    found: Snapshot = cluster.site().snapshot()
    return found


@cache
def report(cluster: ModuleType, *, measured: bool = False) -> schema.Report:
    found = cluster.site().snapshot(working.samples) if measured else snapshot(cluster)
    return audit(found, load_rules(), Config(), PriceBook(None))


def rows(cluster: ModuleType) -> dict[str, schema.StackRow]:
    return {row.system: row for row in report(cluster).stack}


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda cluster: cluster.__name__)
def test_the_collector_reads_it_whole(cluster: ModuleType) -> None:
    found = snapshot(cluster)
    name = found.clusters[0].name
    assert {"nodes", "pods", "workloads", "systems", "custom_objects", "queues"} <= found.facts
    assert len({pod.workload for pod in found.pods}) == WORKLOADS[name]
    assert all(pod.gpus for pod in found.pods)
    assert all(node.gpus in (4, 8) for node in found.gpu_nodes)


@pytest.mark.parametrize("measured", [False, True], ids=["unmeasured", "measured"])
@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda cluster: cluster.__name__)
def test_nobody_is_accused_wrongly(cluster: ModuleType, measured: bool) -> None:
    found = report(cluster, measured=measured)
    silent = {row.rule for row in found.coverage.not_evaluated}
    assert ({"idle-gpu", "underused-gpu", "stalled-job", "straggler-gpu", "unhealthy-gpu"} <= silent) != measured
    said = {(finding.rule, finding.subject.name) for finding in found.findings}
    assert said <= MAY_BE_SAID[found.cluster.name]
    assert all(finding.severity in ("low", "info", "medium") for finding in found.findings)


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda cluster: cluster.__name__)
def test_its_reports_render(cluster: ModuleType) -> None:
    found = report(cluster)
    text = render(found)
    assert render(decode(text.encode(), "report")) == text
    for width in (80, 100, 200):
        screen = Screen(width=width)
        assert len(render_screen(found, screen).splitlines()) <= 40
        whole = render_screen(found, screen, show_all=True)
        words = " ".join(whole.split())
        assert all(row.system in words for row in found.stack)


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda cluster: cluster.__name__)
def test_a_stored_snapshot_says_the_same(cluster: ModuleType) -> None:
    from io import BytesIO

    again = load_stream(BytesIO(dumps(snapshot(cluster))), name="again")
    assert audit(again, load_rules(), Config(), PriceBook(None)) == report(cluster)


def test_infiniband_without_prices_stays_unpriced() -> None:
    found = report(infiniband)
    assert found.bill.monthly is None
    assert found.plan.savings_monthly.booked is None
    assert {node.node for node in found.bill.unpriced_nodes} == set(infiniband.NODES)
    assert found.cluster.gpus == 32
    told = rows(infiniband)
    assert told["InfiniBand"].status == "present"
    assert (told["Network Operator"].status, told["Network Operator"].version) == ("present", "v25.7.0")
    assert (told["GPU Operator"].status, told["Volcano"].status) == ("present", "present")
    assert (told["RoCE"].status, told["PFC"].status, told["EFA"].status) == ("absent", "absent", "absent")
    assert told["GPUDirect RDMA"].status != "absent", "a label that is not there says nothing"
    assert {told[name].status for name in ("Karpenter", "Cluster Autoscaler", "Prometheus")} == {"absent"}


def test_efa_on_eks() -> None:
    told = rows(eks_efa)
    assert (told["EFA"].status, told["EFA"].version) == ("present", "v0.5.13")
    assert told["GPU Operator"].status == "provider_managed"
    assert {told[name].status for name in ("RoCE", "PFC", "InfiniBand")} == {"absent"}
    assert told["GPUDirect RDMA"].status != "absent"
    assert (told["Kueue"].status, told["vLLM"].version) == ("present", "v0.22.1")
    assert told["Prometheus"].status == "absent"
    assert "not running" in told["Prometheus"].evidence[0]
    assert report(eks_efa).bill.monthly


def test_infiniband_on_aks() -> None:
    told = rows(aks_infiniband)
    managed = {name for name, row in told.items() if row.status == "provider_managed"}
    assert managed == {"Cluster Autoscaler", "Prometheus"}
    assert {told[name].status for name in ("GPU Operator", "Network Operator", "InfiniBand", "Kueue")} == {"present"}
    assert (told["RoCE"].status, told["EFA"].status, told["Grafana"].status) == ("absent", "absent", "unknown")


def test_tcpx_on_gke() -> None:
    told = rows(gke_tcpx)
    managed = {name for name, row in told.items() if row.status == "provider_managed"}
    assert managed == {"GPU Operator", "Cluster Autoscaler", "Prometheus", "DCGM exporter"}
    assert told["Grafana"].status == "unknown", "dashboards of a managed store lie outside"
    assert {told[name].status for name in ("RoCE", "InfiniBand", "EFA", "PFC")} == {"absent"}
    assert "TCPX" in told["GPUDirect RDMA"].evidence[0]


@pytest.mark.parametrize(("objects", "name"), [(kai, "KAI"), (runai, "Run:ai")])
def test_a_scheduler_without_a_status_is_not_said_to_be_down(objects: Callable[[], list[Tree]], name: str) -> None:
    site = Site("shared", "v1.33.4")
    site.add(*objects())
    told = {row.system: row for row in stack_part(site.snapshot(), [])}
    assert told[name].status in ("present", "unknown")
    assert told[{"KAI": "Run:ai", "Run:ai": "KAI"}[name]].status == "absent"
