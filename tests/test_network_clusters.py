"""The network's rules on whole clusters: silent where the network is as it should be, and right where it is not."""

from collections.abc import Callable
from types import ModuleType

import msgspec
import pytest

from gpuaudit.cluster.node_facts import PortFacts
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.network.fabric import fabric_of
from gpuaudit.outcome import Outcome, evaluate
from tests.clusters import eks_efa, gke_tcpx, infiniband
from tests.clusters.building import Site, Tree
from tests.clusters.variants import ask, dgx, setting, with_hosts, with_pods
from tests.rule_cases import RULES

NETWORK = {name: rule for name, rule in RULES.items() if rule.area == "network"}
EFA = {"vpc.amazonaws.com/efa": "1"}
Said = dict[str, list[tuple[str, str, str]]]


def outcomes(snapshot: Snapshot) -> dict[str, Outcome]:
    found = evaluate(snapshot, NETWORK, options={}, opted_out=lambda *_: None)
    return {one.rule.name: one for one in found}


def said(snapshot: Snapshot) -> Said:
    """Subject, confidence and sentence by rule."""
    return {
        name: [(one.finding.subject.name, one.finding.confidence, one.finding.message) for one in found.findings]
        for name, found in outcomes(snapshot).items()
        if found.findings
    }


@pytest.mark.parametrize("cluster", [infiniband, eks_efa, gke_tcpx], ids=lambda cluster: cluster.__name__)
def test_a_network_as_it_should_be_is_left_alone(cluster: ModuleType) -> None:
    snapshot = cluster.site().snapshot()
    assert said(snapshot) == {}
    missing = {name for name, found in outcomes(snapshot).items() if found.missing}
    assert missing == {"gpu-nic-affinity", "link-down-or-degraded", "link-errors", "roce-not-lossless"}


@pytest.mark.parametrize(
    ("cluster", "kind", "gbps"),
    [(infiniband, "infiniband", None), (eks_efa, "efa", 3200.0), (gke_tcpx, "tcpx", 1000.0)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_links_the_training_nodes(cluster: ModuleType, kind: str, gbps: float | None) -> None:
    found = fabric_of(cluster.site().snapshot())[0 if cluster is not eks_efa else -2]
    assert (found.kind, found.gbps_per_node) == (kind, gbps)
    assert found.lossless is None
    assert not found.lossless_matters
    assert found.exposed


def test_hosts_that_tell_of_infiniband_change_nothing_but_what_is_known() -> None:
    hosts = [dgx(name) for name in infiniband.NODES]
    snapshot = with_hosts(infiniband.site().snapshot(), *hosts)
    assert said(snapshot) == {}
    assert {name for name, found in outcomes(snapshot).items() if found.missing} == {"link-errors"}
    found = fabric_of(snapshot)[0]
    assert (found.kind, found.gbps_per_node, found.gpudirect, found.lossless) == ("infiniband", 3200.0, True, None)


def test_a_host_whose_facts_are_old_accuses_nobody() -> None:
    down = PortFacts(device="mlx5_3", kind="infiniband", state="DOWN", physical_state="Polling")
    from datetime import timedelta

    from tests.clusters.building import NOW

    old = NOW - timedelta(days=3)
    hosts = [dgx(name, taken_at=old, ports=[down] if name == infiniband.NODES[0] else []) for name in infiniband.NODES]
    assert said(with_hosts(infiniband.site().snapshot(), *hosts)) == {}


def test_a_rail_that_is_down_under_a_gang() -> None:
    down = PortFacts(device="mlx5_3", kind="infiniband", state="DOWN", physical_state="Polling")
    hosts = [dgx(name, ports=[down] if name == infiniband.NODES[0] else []) for name in infiniband.NODES]
    found = said(with_hosts(infiniband.site().snapshot(), *hosts))
    assert list(found) == ["link-down-or-degraded"]
    subject, confidence, message = found["link-down-or-degraded"][0]
    assert (subject, confidence) == (infiniband.NODES[0], "likely")
    assert "mlx5_3 is down and up on 3 siblings" in message


def test_dma_buf_is_enough_and_neither_is_not() -> None:
    assert said(with_hosts(infiniband.site().snapshot(),
                           *(dgx(name, peermem=False, dma_buf=True) for name in infiniband.NODES))) == {}  # fmt: skip
    neither = with_hosts(
        infiniband.site().snapshot(), *(dgx(name, peermem=False, dma_buf=False) for name in infiniband.NODES)
    )
    assert set(said(neither)) == {"no-gpudirect-rdma"}


def good(cluster: ModuleType) -> Site:
    site: Site = cluster.site()
    return site


@pytest.mark.parametrize(
    ("cluster", "pods", "change", "rules"),
    [
        (eks_efa, "llm-pretrain", ask(**EFA), {"rdma-not-requested"}),
        (eks_efa, "llm-pretrain", ask(**{"vpc.amazonaws.com/efa": None}), {"rdma-not-requested"}),
        (eks_efa, "llm-pretrain", setting(NCCL_NET="Socket"), {"nccl-socket-fallback"}),
        (eks_efa, "llm-pretrain", setting(NCCL_IB_DISABLE="1"), set()),
        (infiniband, "pretrain", setting(NCCL_IB_DISABLE="1"), {"nccl-socket-fallback"}),
        (infiniband, "pretrain", setting(NCCL_NET_GDR_LEVEL="LOC"), {"no-gpudirect-rdma"}),
        (infiniband, "pretrain", ask(**{"rdma/ib": None}), {"rdma-not-requested"}),
        (gke_tcpx, "pretrain", setting(NCCL_IB_DISABLE="1"), set()),
    ],
    ids=["one EFA of 32", "no EFA", "socket transport", "NCCL_IB_DISABLE on EFA", "NCCL_IB_DISABLE on InfiniBand",
         "GPUDirect off", "no rdma/ib", "NCCL_IB_DISABLE on TCPX"],
)  # fmt: skip
def test_a_job_that_does_not_use_it(
    cluster: ModuleType, pods: str, change: Callable[[Tree], None], rules: set[str]
) -> None:
    assert set(said(with_pods(good(cluster), pods, change).snapshot())) == rules


def test_a_job_on_gke_without_its_daemon_and_its_networks() -> None:
    def strip(item: Tree) -> None:
        item["metadata"] = item["metadata"] | {"annotations": {}}
        worker = item["spec"]["containers"][-1] | {"env": [{"name": "WORLD_SIZE", "value": "16"}]}
        item["spec"] = item["spec"] | {"containers": [worker]}

    found = said(with_pods(good(gke_tcpx), "pretrain", strip).snapshot())
    assert set(found) == {"multi-node-without-rdma"}
    assert found["multi-node-without-rdma"][0][1] == "investigate"


def test_a_gang_over_two_zones() -> None:
    site = good(eks_efa)
    for item in site.objects:
        if item["kind"] == "Node" and item["metadata"]["name"] == eks_efa.P5[0]:
            item["metadata"]["labels"]["topology.kubernetes.io/zone"] = "us-east-1b"
    assert set(said(site.snapshot())) == {"spread-over-zones"}


def test_an_nvlink_domain_over_nodes_needs_no_network() -> None:
    site = with_pods(good(eks_efa), "llm-pretrain", ask(**{"vpc.amazonaws.com/efa": None}))
    for item in site.objects:
        if item["kind"] == "Node":
            item["metadata"]["labels"]["nvidia.com/gpu.clique"] = "2f9b.32766"
    assert said(site.snapshot()) == {}


def test_the_snapshot_stores_what_hosts_tell() -> None:
    from io import BytesIO

    from gpuaudit.store import dumps, load_stream

    snapshot = with_hosts(infiniband.site().snapshot(), *(dgx(name) for name in infiniband.NODES))
    assert load_stream(BytesIO(dumps(snapshot)), name="x").nodes == snapshot.nodes
    assert msgspec.json.encode(snapshot.nodes)
