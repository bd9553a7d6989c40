"""The node probe's pods and ConfigMaps of a live cluster, over real sockets: merged, pinned to their node, bounded."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from gpuaudit.cluster.node_facts import FabricFacts, GpuFacts, HostFacts, InstanceFacts, NvlinkFacts, PortFacts
from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.kubernetes.connection import connections
from gpuaudit.collect.kubernetes.examining import examine
from gpuaudit.manifests import generate
from gpuaudit.report.node_lines import node_lines
from tests.kubernetes.reading import live, right_of, the_source
from tests.kubernetes.replay import TENANT, Fault, Replay, plain, status

NOW = datetime(2026, 11, 23, 16, 46, 13, tzinfo=UTC)
SPACE = "gpuaudit-probe"
LABELS = {"app.kubernetes.io/name": "gpuaudit-probe"}
NEVER = "no-such-node"


@pytest.fixture
def machines(api: Replay) -> list[Node]:
    """Two nodes of the recorded cluster with whole cards."""
    nodes = [node for node in live(api).nodes if node.gpus == 8 and not any(card.mig for card in node.cards)]
    api.asked.clear()
    return nodes[:2]


def facts(node: str, *, age: timedelta = timedelta(minutes=5), **values: Any) -> HostFacts:
    gpus = tuple(
        GpuFacts(
            index=n, uuid=f"GPU-{node}-{n}", numa=n // 4, mig_current=False, utilization=0.5, memory_used_mib=100.0
        )
        for n in range(8)
    )
    ports = (PortFacts(device="mlx5_0", kind="roce", state="ACTIVE", rate_gbps=200, pfc_priorities=(3,)),)
    known = {"driver": "580.65.06", "gpus": gpus, "fabric": FabricFacts(ports=ports, dma_buf=True)}
    return HostFacts(tool_version="1", taken_at=NOW - age, host="probe-x", node=node, **(known | values))


def add(api: Replay, node: str, *documents: HostFacts, name: str = "", space: str = SPACE, log: bytes = b"") -> None:
    """Let a probe's pod run on a node and log these documents."""
    name = name or f"gpuaudit-probe-{node[-5:]}"
    api.extra.setdefault("pods", []).append(
        {
            "metadata": {
                "name": name,
                "namespace": space,
                "uid": name,
                "labels": LABELS,
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "gpuaudit-probe", "uid": "d"}
                ],
            },
            "spec": {"nodeName": node, "containers": [{"name": "probe", "image": "x"}]},
            "status": {"phase": "Running"},
        }
    )
    lines = [line for one in documents for line in node_lines(one)]
    api.logs[(space, name)] = log + "\n".join([*lines, ""]).encode()


def publish(api: Replay, one: HostFacts, *, space: str = SPACE, text: str | None = None) -> None:
    api.extra.setdefault("configmaps", []).append(
        {
            "metadata": {"name": f"gpuaudit-node-{one.node}", "namespace": space, "labels": LABELS},
            "data": {"facts": "\n".join(node_lines(one)) if text is None else text},
        }
    )


def of(snapshot: Snapshot, name: str) -> Node:
    return next(node for node in snapshot.nodes if node.name == name)


def logs_read(api: Replay) -> list[str]:
    return [path.split("/")[6] for path in api.paths() if path.endswith("/log")]


def test_what_the_probes_log_is_merged_into_their_nodes(api: Replay, machines: list[Node]) -> None:
    for node in machines:
        add(api, node.name, facts(node.name, age=timedelta(hours=2), driver="old"), facts(node.name))
    found = live(api)
    for before in machines:
        node = of(found, before.name)
        assert node.probe_taken_at == NOW - timedelta(minutes=5)
        assert [card.uuid for card in node.cards] == [f"GPU-{node.name}-{n}" for n in range(8)]
        assert [card.model for card in node.cards] == [card.model for card in before.cards]
        assert (node.driver_version, node.dma_buf, node.interfaces[0].pfc_priorities) == ("580.65.06", True, (3,))
    assert the_source(found, "node probe").detail == "2 of 2 pods told of their node"
    assert {"node_facts", "node_network"} <= found.facts
    assert "utilization" not in found.facts  # a moment says nothing of the window
    assert found.usage.devices["source"].eq("node facts").sum() == 16


def test_reading_them_takes_the_rights_that_are_generated_and_no_others(api: Replay, machines: list[Node]) -> None:
    add(api, machines[0].name, facts(machines[0].name))
    live(api)
    allowed: set[tuple[str, str, str]] = set()
    for tree in (tree for one in generate(["rbac", "probe"]) for tree in yaml.safe_load_all(one.text)):
        if tree["kind"] == "ClusterRole" or (tree["kind"], tree["metadata"].get("namespace")) == ("Role", SPACE):
            allowed |= {
                (group, name, verb)
                for rule in tree["rules"]
                for group in rule.get("apiGroups", ())
                for name in rule["resources"]
                for verb in rule["verbs"]
            }
    asked = [path for path in api.paths() if path not in ("/api", "/apis", "/version")]
    asked = [path for path in asked if not (path.startswith("/api") and path.count("/") < 3)]
    rights = {right_of(path) for path in asked if len(path.strip("/").split("/")) > (2 if path[:5] == "/api/" else 3)}
    assert ("", "pods/log", "get") in rights
    assert rights <= allowed
    assert [path for path in api.paths() if path.endswith("/log")] == [
        f"/api/v1/namespaces/{SPACE}/pods/gpuaudit-probe-{machines[0].name[-5:]}/log"
    ]


def test_a_long_document_in_parts_among_noise(api: Replay, machines: list[Node]) -> None:
    name = machines[0].name
    links = tuple(NvlinkFacts(link=n, active=True, errors={"replay": 7919 * (n + 3) ** 9}) for n in range(18))
    gpus = tuple(GpuFacts(index=n, uuid=f"GPU-{name}-{n}", nvlinks=links) for n in range(8))
    ports = tuple(
        PortFacts(device=f"mlx5_{n}", counters={f"counter_{k}": (n + 2) ** 17 * (k + 3) ** 9 for k in range(90)})
        for n in range(16)
    )
    one = facts(name, gpus=gpus, fabric=FabricFacts(ports=ports))
    assert len(node_lines(one)) > 1
    add(api, name, one, log=b'note: hello\n{"schema":"gpuaudit.node/v1", "cut\n\x00\xff\n')
    assert len(of(live(api), name).interfaces) == 16


def test_of_stale_ones_nothing_is_taken_but_who_the_cards_are(api: Replay, machines: list[Node]) -> None:
    name = machines[0].name
    lost = tuple(GpuFacts(index=n, uuid=f"GPU-{name}-{n}", lost=True, mig_current=True) for n in range(8))
    add(api, name, facts(name, age=timedelta(days=2), gpus=lost))
    found = live(api)
    node = of(found, name)
    assert [card.state for card in node.cards] == [card.state for card in machines[0].cards]
    assert node.interfaces == machines[0].interfaces
    assert node.cards[0].uuid == f"GPU-{name}-0"
    source = the_source(found, "node facts")
    assert source.status == "partial"
    assert f"stale, overriding nothing: {name}" in source.detail
    assert not {"node_facts", "node_network"} & set(source.provides)


def test_a_pod_speaks_of_its_own_node_only_and_is_believed_in_one_namespace_only(
    api: Replay, machines: list[Node]
) -> None:
    mine, other = machines[0].name, machines[1].name
    broken = tuple(GpuFacts(index=n, uuid=f"GPU-{mine}-{n}", lost=True) for n in range(8))
    add(api, other, facts(mine, gpus=broken), name="liar")
    add(api, mine, facts(mine, gpus=broken), name="stranger", space="tenant-a")
    found = live(api)
    assert all(card.state != "lost" for node in (of(found, mine), of(found, other)) for card in node.cards)
    detail = the_source(found, "node probe").detail
    assert "0 of 1 pods told" in detail
    assert f"{other}: it tells of another node than it runs on" in detail
    assert "tenant-a are not believed" in detail
    assert logs_read(api) == ["liar"]
    trusted = live(api, probe_namespace="tenant-a")
    assert all(card.state == "lost" for card in of(trusted, mine).cards)


def test_the_cards_of_another_node_do_not_move_by_their_uuid(api: Replay, machines: list[Node]) -> None:
    mine, other = machines[0].name, machines[1].name
    add(api, mine, facts(mine))
    add(api, other, facts(other, gpus=tuple(GpuFacts(index=n, uuid=f"GPU-{mine}-{n}", lost=True) for n in range(8))))
    assert all(card.state != "lost" for card in of(live(api), mine).cards)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (b"", "its log holds no document"),
        (b"x" * 3_000_000, "its log holds no document"),
        (b'{"schema": "gpuaudit.node/v1", "gpus": ' + b"[" * 50_000, ""),
        (b"\x1b[2J{}\n" * 1000, "its log holds no document"),
    ],
)
def test_logs_without_a_document_are_named(api: Replay, machines: list[Node], log: bytes, reason: str) -> None:
    add(api, machines[0].name, log=log)
    source = the_source(live(api), "node probe")
    assert source.status == "failed"
    assert reason in source.detail
    assert len(source.detail) < 400


def test_a_log_beyond_all_bounds_is_not_read(api: Replay, machines: list[Node]) -> None:
    add(api, machines[0].name, name="endless")
    api.faults.append(Fault(f"/api/v1/namespaces/{SPACE}/pods/endless", answer=plain(200, "x" * (9 << 20))))
    assert "an answer larger than" in the_source(live(api), "node probe").detail


def test_without_the_right_to_read_logs_it_says_where_that_comes_from(api: Replay, machines: list[Node]) -> None:
    add(api, machines[0].name, facts(machines[0].name), name="shut")
    api.faults.append(Fault(f"/api/v1/namespaces/{SPACE}/pods/shut", answer=status(403, "no")))
    found = live(api)
    assert "generate probe prints the Role" in the_source(found, "node probe").detail
    assert the_source(found).status == "ok"


def test_configmaps_tell_without_a_log_and_those_of_gone_nodes_do_not(api: Replay, machines: list[Node]) -> None:
    mine, other = machines[0].name, machines[1].name
    for name in (mine, NEVER):
        publish(api, facts(name))
    publish(api, facts(other), space="tenant-a")
    add(api, mine, facts(mine))
    add(api, other, facts(other, driver="from the log"))
    found = live(api)
    assert logs_read(api) == [f"gpuaudit-probe-{other[-5:]}"]
    assert (of(found, mine).driver_version, of(found, other).driver_version) == ("580.65.06", "from the log")
    assert not any(node.name == NEVER for node in found.nodes)
    assert f"of nodes that are gone, and left out: {NEVER}" in the_source(found, "node facts").detail
    assert the_source(found, "node probe").detail == "2 of 2 pods told of their node"


def test_a_configmap_that_is_none_is_counted_as_broken(api: Replay, machines: list[Node]) -> None:
    publish(api, facts(machines[0].name), text="x" * 2_500_000)
    publish(api, facts(machines[1].name), text="{}")
    source = the_source(live(api))
    assert source.status == "partial"
    assert "2 objects could not be read: ConfigMap" in source.detail


def test_real_placements_win_over_the_tables(api: Replay) -> None:
    before = next(node for node in live(api).nodes if any(card.mig for card in node.cards))
    told = tuple(
        GpuFacts(
            index=card.index,
            mig_current=True,
            instances=(InstanceFacts(gpu_instance_id=5, compute_instance_id=0, profile="2g.20gb", start=4, size=2),),
        )
        for card in before.cards
    )
    add(api, before.name, facts(before.name, gpus=told))
    node = of(live(api), before.name)
    assert {(part.profile, part.start, part.size) for card in node.cards for part in card.mig} == {("2g.20gb", 4, 2)}


def test_a_tenant_is_not_troubled_by_what_it_may_not_see(api: Replay) -> None:
    found = live(api, "limited", namespace=(TENANT,))
    assert not any(source.name == "node probe" for source in found.sources)


def test_doctor_sees_the_probe(api: Replay, machines: list[Node]) -> None:
    (connection,) = connections((), api.kubeconfig("auditor"))

    def given() -> frozenset[str]:
        return examine(connection, seconds=60, probe_namespace=SPACE).facts

    assert not {"node_facts", "node_network"} & given()
    add(api, machines[0].name, facts(machines[0].name))
    assert {"node_facts", "node_network"} <= given()
