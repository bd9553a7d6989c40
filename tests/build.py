"""Small clusters for tests: 8-GPU nodes, pods that hold them, and usage with known hours."""

from datetime import UTC, datetime, timedelta

from gpuaudit.cluster.nodes import Card, Node, Resource
from gpuaudit.cluster.snapshot import Window
from gpuaudit.cluster.usage import (
    DEVICE_VALUES,
    HOURLY_VALUES,
    Usage,
    conform_devices,
    conform_hourly,
)
from gpuaudit.cluster.workloads import Holding, Pod

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAYS = 10
WINDOW = Window(start=NOW - timedelta(days=DAYS), end=NOW)
INTERVAL = 300.0  # seconds


def node(name: str, **facts: object) -> Node:
    """Return an on-demand p5 node of pool a, older than the window."""
    known: dict[str, object] = {
        "cluster": "c",
        "name": name,
        "pool": "a",
        "zone": "z",
        "instance_type": "p5.48xlarge",
        "provider": "aws",
        "region": "us-east-1",
        "purchase": "on_demand",
        "created": NOW - timedelta(days=60),
        "ready": True,
        "resources": (Resource(name="nvidia.com/gpu", capacity=8, allocatable=8),),
        "cards": tuple(Card(index=i, uuid=f"GPU-{name}-{i}", model="h100-80gb-sxm") for i in range(8)),
    }
    return Node(**(known | facts))  # type: ignore[arg-type]


def pod(name: str, on: str | None, gpus: float = 8, **facts: object) -> Pod:
    """Return a running pod that holds whole GPUs; its workload is c/Deployment/n/NAME."""
    holding = Holding(kind="whole", resource="nvidia.com/gpu", count=gpus, gpus=gpus)
    known: dict[str, object] = {
        "cluster": "c",
        "namespace": "n",
        "name": name,
        "node": on,
        "phase": "Running" if on else "Pending",
        "scheduled": NOW - timedelta(days=20),
        "workload": f"c/Deployment/n/{name}",
        "holdings": (holding,),
    }
    return Pod(**(known | facts))  # type: ignore[arg-type]


class UsageTable:
    """Collects device spells and makes both tables of them."""

    def __init__(self) -> None:
        self._devices: list[dict[str, object]] = []
        self._hours: list[dict[str, object]] = []

    def add(
        self, on: str, owner: str, *, util: float, start: float = 0, hours: float = DAYS * 24, cards: int = 8
    ) -> None:
        """Add a spell of `hours` hours, `start` hours into the window, on the first cards of a node."""
        for index in range(cards):
            uuid = f"GPU-{on}-{index}"
            key = {"cluster": "c", "device": uuid, "owner": owner}
            first = WINDOW.start + timedelta(hours=start)
            row: dict[str, object] = dict.fromkeys(DEVICE_VALUES, util)
            row |= {"node": on, "card": uuid, "profile": "", "namespace": "n", "pod": owner.rpartition("/")[2]}
            row |= {"metric": "sm_active", "source": "s", "shared": False, "gpus": 1.0, "interval_seconds": INTERVAL}
            row |= {"first": first, "last": first + timedelta(hours=hours), "samples": hours * 3600 / INTERVAL}
            self._devices.append(key | row | {"power_p95_watts": float("nan"), "memory_max_mib": 100.0})
            for hour in range(int(hours)):
                values: dict[str, object] = dict.fromkeys(HOURLY_VALUES, float("nan"))
                values |= {"samples": 3600 / INTERVAL, "util_mean": util, "util_max": util}
                self._hours.append(key | {"hour": first + timedelta(hours=hour)} | values)

    def usage(self) -> Usage:
        """Return the tables."""
        if not self._devices:
            return Usage()
        return Usage(
            hourly=conform_hourly({name: [row[name] for row in self._hours] for name in self._hours[0]}),
            devices=conform_devices({name: [row[name] for row in self._devices] for name in self._devices[0]}),
        )


def usage(*spells: tuple[str, str, float]) -> Usage:
    """Return usage of whole nodes over the whole window: (node, owner, utilization)."""
    table = UsageTable()
    for on, owner, util in spells:
        table.add(on, owner, util=util)
    return table.usage()
