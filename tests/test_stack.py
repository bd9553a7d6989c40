"""The stack's verdicts: what is absent could have been seen, what is elsewhere is unknown, a CRD alone runs nothing."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaudit import schema
from gpuaudit.cluster.nodes import Cluster, Interface, Node
from gpuaudit.cluster.platform import CustomObject, InstalledSystem, Metric, Source
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.knowledge.systems import STACK_ROWS, all_systems
from gpuaudit.outcome import Judged
from gpuaudit.rule import Finding, Severity, Subject
from gpuaudit.stack import stack_part
from tests.build import NOW, WINDOW, node

SEEN = ("nodes", "pods", "workloads", "systems", "custom_objects")


def snapshot(*systems: InstalledSystem, facts: tuple[str, ...] = SEEN, **parts: Any) -> Snapshot:
    known: dict[str, Any] = {
        "taken_at": NOW,
        "window": WINDOW,
        "clusters": (Cluster(name="c"),),
        "systems": systems,
        "sources": (Source(name="kubernetes", status="ok", provides=facts),),
    }
    return Snapshot(**(known | parts))


def system(key: str, *seen: str, **facts: Any) -> InstalledSystem:
    return InstalledSystem(cluster="c", system=key, seen=seen, evidence=(f"something of {key}",), **facts)  # type: ignore[arg-type]


def row(name: str, shot: Snapshot, findings: list[Judged] | None = None) -> schema.StackRow:
    return next(one for one in stack_part(shot, findings or []) if one.system == name)


def test_every_row_is_always_there() -> None:
    names = [one.system for one in STACK_ROWS]
    for shot in (snapshot(), snapshot(facts=()), snapshot(clusters=())):
        assert [one.system for one in stack_part(shot, [])] == names
        assert all(one.evidence for one in stack_part(shot, []))


def test_absent_only_where_it_could_have_been_seen() -> None:
    outside = {"cost attribution", "chargeback"}
    for one in stack_part(snapshot(), []):
        assert one.status == ("unknown" if one.system in outside else "absent"), one.system
    for missing in ("systems", "workloads", "pods"):
        left = tuple(fact for fact in SEEN if fact != missing)
        assert row("Kueue", snapshot(facts=left)).status == "unknown"
    assert {one.status for one in stack_part(snapshot(facts=()), [])} == {"unknown"}


@pytest.mark.parametrize(
    ("record", "status"),
    [
        (system("keda", "workload", pods_wanted=2, pods_ready=2, ready=True), "present"),
        (system("keda", "workload", pods_wanted=28, pods_ready=27, ready=False), "present"),
        (system("keda", "workload", "custom", pods_wanted=2, pods_ready=0, ready=False), "misconfigured"),
        (system("keda", "workload", pods_wanted=0, pods_ready=0, ready=False), "misconfigured"),
        (system("keda", "workload", pods_wanted=1), "unknown"),
        (system("keda", "workload", "image", pods_wanted=1), "present"),
        (system("keda", "custom", in_use=True), "absent"),
        (system("keda", "crd"), "absent"),
        (system("keda", "label"), "absent"),
        (system("kai", "scheduler", "crd", in_use=True), "misconfigured"),
        (system("vllm", "image", ready=True, in_use=True), "present"),
        (system("vllm", "image", ready=False), "misconfigured"),
        (system("vllm", "image"), "present"),
        (system("karpenter", "crd", "managed", provider_managed=True), "provider_managed"),
        (InstalledSystem(cluster="c", system="keda", ready=True, in_use=True), "present"),
    ],
)
def test_what_runs_counts_and_not_what_was_installed(record: InstalledSystem, status: str) -> None:
    name = next(one.system for one in STACK_ROWS if record.system in one.keys)
    assert row(name, snapshot(record)).status == status


def test_a_trace_of_an_installation_says_that_it_is_not_running() -> None:
    told = row("KAI", snapshot(system("kai", "custom", "crd", in_use=True)))
    assert "CRD is served, but it is not running" in told.evidence[0]
    told = row("Run:ai", snapshot(system("kai", "crd")))
    assert (told.status, "not running" in told.evidence[0]) == ("absent", True)
    told = row("llm-d", snapshot(system("gateway_api_inference_extension", "custom")))
    assert (told.status, "no endpoint picker is running" in told.evidence[0]) == ("absent", True)


def test_two_autoscalers_are_a_mistake_and_a_provider_runs_its_own() -> None:
    both = (
        system("karpenter", "workload", pods_wanted=1, pods_ready=1),
        system("cluster_autoscaler", "workload", pods_wanted=1, pods_ready=1),
    )
    told = row("Cluster Autoscaler", snapshot(*both))
    assert told.status == "misconfigured"
    assert "beside Karpenter" in told.evidence[0]
    assert row("Cluster Autoscaler", snapshot(both[1])).status == "present"
    assert row("Karpenter", snapshot(*both)).status == "present"
    google = node("n1", provider="gcp", instance_type="a3-highgpu-8g")
    shown = CustomObject(
        cluster="c", api_group="", kind="ConfigMap", name="cluster-autoscaler-status", namespace="kube-system"
    )
    assert row("Cluster Autoscaler", snapshot(nodes=(google,))).status == "unknown"
    told = row("Cluster Autoscaler", snapshot(nodes=(google,), custom_objects=(shown,)))
    assert told.status == "provider_managed"


def test_what_is_collected_elsewhere_is_unknown() -> None:
    hosted = system("saas_monitoring", "workload", pods_wanted=3, pods_ready=3)
    for name in ("Prometheus", "Grafana", "OpenTelemetry"):
        assert row(name, snapshot()).status == "absent"
        assert row(name, snapshot(hosted)).status == "unknown"
    managed = system("managed_prometheus", "workload", pods_wanted=3, pods_ready=3)
    assert row("Prometheus", snapshot(managed)).status == "provider_managed"
    assert row("Grafana", snapshot(managed)).status == "unknown"
    answered = Source(name="prometheus", status="ok", detail="14 days", provides=("utilization",))
    seen = Source(name="kubernetes", status="ok", provides=SEEN)
    assert row("Prometheus", snapshot(sources=(seen, answered))).status == "present"
    metric = Metric(name="DCGM_FI_DEV_GPU_UTIL", source="prometheus", series=8)
    assert row("DCGM exporter", snapshot(metrics=(metric,))).status == "present"


def test_cost_is_attributed_by_a_tool_or_a_dashboard() -> None:
    assert (
        row("cost attribution", snapshot(system("opencost", "workload", pods_wanted=1, pods_ready=1))).status
        == "present"
    )
    board = CustomObject(
        cluster="c",
        api_group="",
        kind="ConfigMap",
        name="boards",
        namespace="monitoring",
        fields={"dashboard.gpu.json": '{"titles": ["GPU cost per team", "x"], "expressions": []}'},
    )
    shot = snapshot(custom_objects=(board,), facts=(*SEEN, "dashboards"))
    assert row("cost attribution", shot).status == "present"
    assert row("chargeback", shot).status == "present"
    broken = CustomObject(cluster="c", api_group="", kind="ConfigMap", name="b", fields={"dashboard.x": '{"titles": ['})
    assert row("chargeback", snapshot(custom_objects=(broken,))).status == "unknown"


def test_a_device_plugin_by_itself_is_no_operator() -> None:
    alone = InstalledSystem(
        cluster="c",
        system="gpu_operator",
        seen=("workload",),
        pods_wanted=3,
        pods_ready=3,
        evidence=("DaemonSet kube-system/nvidia-device-plugin-daemonset: 3 of 3 ready",),
    )
    own = node("n1", provider=None, instance_type=None)
    assert row("GPU Operator", snapshot(alone, nodes=(own,))).status == "absent"
    assert row("GPU Operator", snapshot(alone, nodes=(node("n1"),))).status == "provider_managed"


def ported(name: str, **port: Any) -> Node:
    return node(name, provider=None, instance_type=None, interfaces=(Interface(name="p0", speed_gbps=400, **port),))


@pytest.mark.parametrize(
    ("port", "roce", "pfc"),
    [
        ({"kind": "roce", "pfc_priorities": (3,), "ecn": True}, "present", "present"),
        ({"kind": "roce", "pfc_priorities": (), "ecn": False}, "present", "misconfigured"),
        ({"kind": "roce", "pfc_priorities": (), "ecn": True}, "present", "absent"),  # lossy by design
        ({"kind": "roce", "pfc_priorities": (3,), "ecn": None}, "present", "present"),
        ({"kind": "roce", "pfc_priorities": (), "ecn": None}, "present", "unknown"),
        ({"kind": "roce"}, "present", "unknown"),
        ({"kind": "infiniband"}, "absent", "absent"),
    ],
)
def test_only_roce_needs_to_be_lossless(port: dict[str, Any], roce: str, pfc: str) -> None:
    shot = snapshot(nodes=(ported("n1", **port),))
    assert (row("RoCE", shot).status, row("PFC", shot).status) == (roce, pfc)


def test_a_clouds_own_switches_are_not_blamed() -> None:
    port = Interface(name="p0", kind="roce", speed_gbps=400, pfc_priorities=(), ecn=False)
    shot = snapshot(nodes=(node("n1", provider="oci", instance_type="BM.GPU.H100.8", interfaces=(port,)),))
    assert row("PFC", shot).status == "provider_managed"


@pytest.mark.parametrize(
    ("kind", "status"), [("infiniband", "misconfigured"), ("efa", "unknown"), ("omnipath", "unknown")]
)
def test_only_verbs_need_a_module_for_gpudirect(kind: str, status: str) -> None:
    shot = snapshot(nodes=(msgspec.structs.replace(ported("n1", kind=kind), peermem=False, dma_buf=False),))
    assert row("GPUDirect RDMA", shot).status == status


def test_a_fabric_that_is_not_told_is_unknown() -> None:
    shot = snapshot(nodes=(node("n1", provider=None, instance_type=None),))
    names = ("RoCE", "PFC", "InfiniBand", "GPUDirect RDMA")
    assert {row(name, shot).status for name in names} == {"unknown"}
    assert row("EFA", shot).status == "absent"


def judged(rule: str, kind: str, confidence: str = "confirmed", ignored: Any = None) -> Judged:
    finding = Finding(
        subject=Subject(cluster="c", kind=kind, name="x"),
        message="it is wrong",
        confidence=confidence,  # type: ignore[arg-type]
    )
    return Judged(id=f"{rule}-1", rule=rule, area="network", finding=finding, severity=Severity.MEDIUM, ignored=ignored)


def test_findings_make_a_row_misconfigured() -> None:
    runs = system("network_operator", "workload", pods_wanted=1, pods_ready=1)
    shot = snapshot(runs)
    told = row("Network Operator", shot, [judged("operator-not-ready", "NicClusterPolicy")])
    assert (told.status, told.evidence[0]) == ("misconfigured", "operator-not-ready: it is wrong")
    assert row("Network Operator", shot, [judged("operator-not-ready", "ClusterPolicy")]).status == "present"
    unsure = judged("operator-not-ready", "NicClusterPolicy", confidence="investigate")
    assert row("Network Operator", shot, [unsure]).status == "present"
    absent = row("Network Operator", snapshot(), [judged("operator-not-ready", "NicClusterPolicy")])
    assert absent.status == "absent"
    told = row("GPU Operator", snapshot(system("gpu_operator", "workload", "custom", pods_wanted=1, pods_ready=1)),
               [judged("outdated-driver", "Driver")])  # fmt: skip
    assert told.status == "present"
    assert any("outdated-driver" in text for text in told.evidence)


def test_several_clusters_make_one_row() -> None:
    there = system("kueue", "workload", pods_wanted=1, pods_ready=1, version="v0.14.4")
    shot = snapshot(there, clusters=(Cluster(name="c"), Cluster(name="d")))
    told = row("Kueue", shot)
    assert (told.status, told.version) == ("present", "v0.14.4")
    assert [text.split(":")[0] for text in told.evidence] == ["c", "d"]


SIGNS = ["workload", "image", "scheduler", "resource", "custom", "crd", "label", "managed"]


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            InstalledSystem,
            cluster=st.just("c"),
            system=st.sampled_from([one.key for one in all_systems()]),
            version=st.none() | st.text(max_size=5),
            ready=st.none() | st.booleans(),
            in_use=st.none() | st.booleans(),
            provider_managed=st.booleans(),
            seen=st.lists(st.sampled_from(SIGNS), unique=True, max_size=4).map(tuple),
            pods_wanted=st.none() | st.integers(0, 9),
            pods_ready=st.none() | st.integers(0, 9),
            evidence=st.lists(st.text(max_size=9), max_size=3).map(tuple),
        ),
        max_size=6,
        unique_by=lambda one: one.system,
    ),
    st.sets(st.sampled_from(SEEN)).map(tuple),
)
def test_whatever_was_seen_each_row_has_one_state(systems: list[InstalledSystem], facts: tuple[str, ...]) -> None:
    rows = stack_part(snapshot(*systems, facts=facts), [])
    assert len(rows) == len(STACK_ROWS)
    seen = {one.system for one in systems}
    for one, known in zip(rows, STACK_ROWS, strict=True):
        assert one.status in ("present", "provider_managed", "misconfigured", "absent", "unknown")
        if one.status == "absent" and not seen & set(known.keys) and known.layer == "serving":
            assert set(facts) >= {"systems", "workloads", "pods"}


def test_the_queues_of_run_ai_are_not_kais() -> None:
    both = (system("runai", "workload", pods_wanted=1, pods_ready=1), system("kai", "custom"))
    assert row("Run:ai", snapshot(*both)).status == "present"
    told = row("KAI", snapshot(*both))
    assert (told.status, "Run:ai's here" in told.evidence[0]) == ("absent", True)
