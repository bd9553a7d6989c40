"""The recorded cluster: what `kubectl get` printed gives exactly the counts that are known of it."""

import gzip
import json
from collections import Counter
from functools import cache
from typing import Any

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod
from gpuaudit.collect.builder import InventoryBuilder
from gpuaudit.collect.inventory import Inventory
from tests.kubernetes.replay import capture, names


@cache
def truth() -> dict[str, Any]:
    return json.loads(capture("inventory.json"))


@cache
def dump() -> Inventory:
    builder = InventoryBuilder("lab")
    for name in names("dump/"):
        content = capture(name)
        builder.add_text(gzip.decompress(content) if name.endswith(".gz") else content)
    return builder.finish()


def requested(inventory: Inventory | Snapshot) -> Counter[tuple[str | None, str]]:
    """Devices asked for by pods bound to a node that have not ended."""
    found: Counter[tuple[str | None, str]] = Counter()
    for pod in inventory.pods:
        if pod.node and not pod.ended:
            for name, amount in pod.requests.items():
                found[pod.node, name] += int(amount)
    return found


def check_nodes(inventory: Inventory | Snapshot) -> None:
    """Every node's cards, place and resources are as known."""
    asked = requested(inventory)
    nodes = {node.name: node for node in inventory.nodes}
    for row in truth()["nodes"]:
        node = nodes.pop(row["node"])
        resources = {
            item.name: {
                "capacity": item.capacity,
                "allocatable": item.allocatable,
                "requested": asked[node.name, item.name],
                "free": (item.allocatable or 0) - asked[node.name, item.name],
            }
            for item in node.resources
            if item.name.startswith("nvidia.com/")
        }
        told = (node.pool or "", node.instance_type or "", node.provider or "", node.gpus, resources)
        assert told == (row["pool"], row["instance_type"], row["provider"], row["physical_gpus"], row["resources"])
        purchase = {"": "unknown", "on-demand": "on_demand", "spot": "spot"}[row["capacity_type"]]
        assert node.purchase == purchase
        assert bool(node.agents.get("dcgm_exporter")) == row["dcgm_exporter"]
    assert not nodes


def state(pod: Pod) -> str:
    """How the known counts call a pod's state."""
    reasons = {container.waiting_reason for container in pod.containers}
    if pod.ended:
        return pod.phase
    if pod.gates:
        return "Gated"
    if pod.deleted:
        return "Terminating"
    if "CrashLoopBackOff" in reasons:
        return "Crash"
    if reasons & {"ImagePullBackOff", "ErrImagePull"}:
        return "ImagePull"
    return pod.unschedulable_reason or pod.phase


def test_nodes_equal_the_known_counts() -> None:
    check_nodes(dump())
    assert sum(node.gpus for node in dump().nodes) == truth()["totals"]["physical_gpus"]
    assert sum(bool(node.cards) for node in dump().nodes) == truth()["totals"]["gpu_nodes"]


def test_pools_equal_the_known_counts() -> None:
    for name, row in truth()["pools"].items():
        nodes = [node for node in dump().nodes if (node.pool or "(none)") == name]
        assert (len(nodes), sum(node.gpus for node in nodes)) == (row["nodes"], row["physical_gpus"])


ROOTS = {  # controllers that another object owns: their known counts stand under the root
    "Deployment/docs-prod/llama-70b": "NIMService/docs-prod/llama-70b",
    "Deployment/vision-prod/detector-predictor": "InferenceService/vision-prod/detector",
    "StatefulSet/research/llama-405b": "LeaderWorkerSet/research/llama-405b",
    "StatefulSet/research/llama-405b-0": "LeaderWorkerSet/research/llama-405b",
}


def known_root(workload: str) -> str:
    """The root under which a known controller's pods stand here."""
    return (
        "CronJob/docs-prod/ocr-batch"
        if workload.startswith("Job/docs-prod/ocr-batch-")
        else ROOTS.get(workload, workload)
    )


def check_workloads(inventory: Inventory | Snapshot, cluster: str) -> None:
    """Every workload asks for, holds and waits for as much as known, its pods are in the known states."""
    expected: dict[tuple[str, str], Counter[str]] = {}
    for row in truth()["workloads"]:
        counts = expected.setdefault((known_root(row["workload"]), row["resource"]), Counter())
        counts.update({key: row[key] for key in ("pods", "requested", "holding", "pending")} | row["states"])
    found: dict[tuple[str, str], Counter[str]] = {}
    for pod in inventory.pods:
        for holding in pod.holdings:
            if holding.kind != "dra":  # counted apart
                counts = found.setdefault((pod.workload.removeprefix(f"{cluster}/"), holding.resource), Counter())
                pending = 0 if pod.node or pod.ended else holding.count
                counts.update(
                    {"pods": 1, "requested": holding.count, "holding": holding.count * pod.holds, "pending": pending}
                )
                counts[state(pod)] += 1
    assert {key: +counts for key, counts in found.items()} == {key: +counts for key, counts in expected.items()}


def test_workloads_equal_the_known_counts() -> None:
    check_workloads(dump(), "lab")


def test_the_dra_pod_holds_one_of_four_cards() -> None:
    (pod,) = (pod for pod in dump().pods if pod.name == "dra-inference")
    assert [(h.kind, h.gpus, h.devices) for h in pod.holdings] == [
        ("dra", 1.0, ("GPU-0a1b2c3d-0000-4000-8000-000000000001",))
    ]
    node = next(node for node in dump().nodes if node.name == pod.node)
    assert [card.uuid for card in node.cards][1] == pod.holdings[0].devices[0]


def test_cold_starts_equal_the_known_seconds() -> None:
    """Created until Ready, from the times that are kept."""
    pods = {f"{pod.namespace}/{pod.name}": pod for pod in dump().pods}
    rows = [row for row in truth()["cold_starts"] if row["pod"] in pods]
    assert len(rows) > 40
    for row in rows:
        pod = pods[row["pod"]]
        assert pod.ready_at
        assert pod.created
        assert (pod.ready_at - pod.created).total_seconds() == row["created_to_ready_seconds"]


def test_physical_holdings_never_exceed_the_cards() -> None:
    for node in dump().nodes:
        held = [pod.gpus for pod in dump().pods if pod.node == node.name and pod.holds]
        assert sum(amount or 0 for amount in held) <= node.gpus + 1e-9
        assert None not in held


def test_unmet_demand() -> None:
    found = {(w.workload.removeprefix("lab/"), w.gpus and round(w.gpus, 3), w.reason) for w in dump().waiting}
    assert found == {
        ("Deployment/speech-prod/diarize", 0.143, "Unschedulable"),
        ("Job/research/ablation", 8.0, "QuotaExhausted"),
        ("Job/research/sweep", 24.0, "Unschedulable"),
        ("VolcanoJob/research/vj-train", 8.0, "Unschedulable"),
    }


def test_the_other_pods_weigh_on_their_nodes() -> None:
    nodes = {node.name: node for node in dump().nodes}
    crowded = nodes[truth()["aliases"]["p4d-8"]]
    assert crowded.cpu_requested_cores
    assert crowded.cpu_requested_cores >= 88
    assert any(tenant.workload == "lab/Deployment/platform/feature-builder" for tenant in crowded.tenants)
    assert all(
        tenant.daemon == ("/DaemonSet/" in tenant.workload) for node in nodes.values() for tenant in node.tenants
    )


def test_systems_and_their_versions() -> None:
    found = {system.system: system for system in dump().systems}
    assert (found["gpu_operator"].version, found["gpu_operator"].ready) == ("v25.3.2", True)
    assert (found["karpenter"].version, found["keda"].version) == ("1.6.2", "2.17.2")
    assert found["network_operator"].ready is False
    assert found["kai"].ready is None  # a queue of it is there, nothing of it runs
    assert "runai" not in found
    assert {"v0.11.0", "v0.8.5"} <= set((found["vllm"].version or "").split(", "))
