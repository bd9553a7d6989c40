"""No rule accuses a well-run cluster that shares its GPUs by HAMi, KAI or Run:ai: counts there are no cards."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from gpuaudit.audit import audit
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.inputs.files import collect_files
from gpuaudit.config import Config
from gpuaudit.loader import load_rules
from gpuaudit.plan.pricebook import PriceBook
from tests.kubernetes.objects import Tree
from tests.sharing_clusters import NOW, hami, history, kai, runai

CLUSTERS: dict[str, Callable[[], list[Tree]]] = {
    "hami": hami,
    "hami, newer annotation": lambda: hami(newer=True),
    "kai": kai,
    "runai": runai,
}
METRICS = {"no metrics": None, "metrics without pods": False, "metrics that name the holding pod": True}


def collected(folder: Path, objects: list[Tree], pods: bool | None, *, load: float = 1.0) -> Snapshot:
    """Return the snapshot that files of these objects and metrics give."""
    (folder / "objects.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    if pods is not None:
        (folder / "metrics.txt").write_text(history(pods, load=load))
    return collect_files([str(folder)], now=NOW, window=timedelta(days=14))


@pytest.mark.parametrize("metrics", METRICS)
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_nobody_is_accused(cluster: str, metrics: str, tmp_path: Path) -> None:
    snapshot = collected(tmp_path, CLUSTERS[cluster](), METRICS[metrics])
    assert bool(snapshot.usage) == (METRICS[metrics] is not None)
    report = audit(snapshot, load_rules(), Config(), PriceBook(None))
    assert [(one.rule, one.subject.name, one.message) for one in report.findings] == []


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_four_cards_are_four_gpus(cluster: str, tmp_path: Path) -> None:
    snapshot = collected(tmp_path, CLUSTERS[cluster](), pods=False)
    assert sum(node.gpus for node in snapshot.gpu_nodes) == 4
    held = [snapshot.held_gpus(node) for node in snapshot.gpu_nodes]
    assert all(amount is not None and 1 < amount <= 2 for amount in held)


def test_fractions_are_found_with_their_device(tmp_path: Path) -> None:
    snapshot = collected(tmp_path, kai(), pods=True)
    parts = [holding for pod in snapshot.pods for holding in pod.holdings if holding.kind == "fraction"]
    assert len(parts) == 8
    assert {holding.gpus for holding in parts} == {0.5}
    assert {device for holding in parts for device in holding.devices} == {
        f"GPU-gpu-{number}-{card}" for number in (1, 2) for card in range(2)
    }


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_quiet_cards_are_nobodys_whole_gpus(cluster: str, tmp_path: Path) -> None:
    """Who shares a card by a scheduler is no candidate for MIG, and holds no GPUs in excess."""
    snapshot = collected(tmp_path, CLUSTERS[cluster](), pods=True, load=0.05)
    report = audit(snapshot, load_rules(), Config(), PriceBook(None))
    assert not {row.rule for row in report.coverage.not_evaluated} & {"mig-opportunity", "excess-gpus-in-pod"}
    assert [(one.rule, one.subject.name, one.message) for one in report.findings] == []
