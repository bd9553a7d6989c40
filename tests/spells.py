"""Snapshots from spells of a device: who held it in which hours before now, and how busy it was."""

from datetime import UTC, datetime, timedelta

from gpuaudit.cluster.nodes import Card, Node, Resource
from gpuaudit.cluster.platform import Source
from gpuaudit.cluster.snapshot import Snapshot, Window
from gpuaudit.cluster.usage import DEVICE_VALUES, HOURLY_VALUES, Usage, conform_devices, conform_hourly
from gpuaudit.cluster.workloads import Holding, Pod

NOW = datetime(2026, 11, 23, tzinfo=UTC)
WINDOW = Window(start=NOW - timedelta(days=14), end=NOW)
FACTS = ("nodes", "pods", "utilization", "pod_attribution", "history")

Hour = tuple[int, float]  # hours before now, utilization
Spell = tuple[list[dict[str, object]], dict[str, object]]  # hourly rows, device row


def usage(rows: list[dict[str, object]], devices: list[dict[str, object]]) -> Usage:
    """Fill what is not given with NaN, one GPU, 30-second samples."""
    nan = float("nan")
    full = [{"cluster": "c", **dict.fromkeys(HOURLY_VALUES, nan), "samples": 120.0, **row} for row in rows]
    base = {"cluster": "c", "node": "n1", "profile": "", "namespace": "ml", "pod": "p", "metric": "sm_active"}
    base |= {"source": "prometheus", **dict.fromkeys(DEVICE_VALUES, nan), "gpus": 1.0, "interval_seconds": 30.0}
    whole = [{**base, "card": one["device"], "shared": False, **one} for one in devices]
    return Usage(
        hourly=conform_hourly({key: [row[key] for row in full] for key in full[0]}),
        devices=conform_devices({key: [row[key] for row in whole] for key in whole[0]}),
    )


def spell(
    device: str, owner: str, hours: list[Hour], **facts: object
) -> tuple[list[dict[str, object]], dict[str, object]]:
    rows = [
        {"device": device, "owner": owner, "hour": NOW - timedelta(hours=h), "util_mean": u, "util_max": u}
        for h, u in hours
    ]
    first = NOW - timedelta(hours=max(h for h, _ in hours))
    last = NOW - timedelta(hours=min(h for h, _ in hours)) + timedelta(minutes=59, seconds=30)
    return rows, {"device": device, "owner": owner, "first": first, "last": last, **facts}


def snapshot(*spells: Spell, **facts: object) -> Snapshot:
    known: dict[str, object] = {
        "taken_at": NOW,
        "window": WINDOW,
        "nodes": (node("n1"),),
        "sources": (Source(name="s", status="ok", provides=FACTS),),
        "usage": usage([row for rows, _ in spells for row in rows], [one for _, one in spells]) if spells else Usage(),
    }
    return Snapshot(**(known | facts))  # type: ignore[arg-type]


def node(name: str, gpus: int = 8, **facts: object) -> Node:
    known: dict[str, object] = {
        "cluster": "c",
        "name": name,
        "pool": "a",
        "zone": "z",
        "provider": "aws",
        "ready": True,
        "created": NOW - timedelta(days=60),
        "resources": (Resource(name="nvidia.com/gpu", capacity=gpus, allocatable=gpus),),
        "cards": tuple(Card(index=i, model="h100-80gb-sxm") for i in range(gpus)),
    }
    return Node(**(known | facts))  # type: ignore[arg-type]


def pod(name: str, on: str, gpus: float | None = 8, owner: str = "c/Job/ml/j", **facts: object) -> Pod:
    known: dict[str, object] = {
        "cluster": "c",
        "namespace": "ml",
        "name": name,
        "node": on,
        "phase": "Running",
        "workload": owner,
        "scheduled": NOW - timedelta(days=30),
        "holdings": (Holding(kind="whole", resource="nvidia.com/gpu", count=gpus or 1, gpus=gpus),),
    }
    return Pod(**(known | facts))  # type: ignore[arg-type]


def all_hours(util: float, start: int = 336, end: int = 1) -> list[Hour]:
    return [(h, util) for h in range(start, end - 1, -1)]
