"""Builds a snapshot from the few lines of a rule's case, and runs the rule on it as the engine does.

Times are offsets from the moment of the snapshot: `-3d` is three days ago. A device is `node/index` or `node/0-3`,
a workload `Kind/namespace/name`. What a case does not say has a plain default: a ready node of eight cards, a running
pod.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import yaml

from gpuaudit.cluster.nodes import Card, Cluster, Interface, Link, MigDevice, Node, Resource, Sharing, Taint, Tenant
from gpuaudit.cluster.platform import Namespace, Source
from gpuaudit.cluster.snapshot import Snapshot, Window
from gpuaudit.cluster.usage import (
    DEVICE_TEXT,
    DEVICE_VALUES,
    HOURLY_VALUES,
    NOBODY,
    Usage,
    conform_devices,
    conform_hourly,
)
from gpuaudit.cluster.workloads import Container, Holding, Pod, Shape, Waiting, Workload
from gpuaudit.config import Config, parse_duration, with_roles
from gpuaudit.loader import load_rules
from gpuaudit.outcome import Outcome, evaluate
from gpuaudit.plan.optouts import OptOuts
from gpuaudit.plan.owners import with_owners
from tests.rule_case_platform import platform, record

NOW = datetime(2026, 11, 23, tzinfo=UTC)
CLUSTER = "prod"
PLAIN = ("nodes", "pods", "workloads", "namespaces")
MEASURED = (
    "utilization",
    "pod_attribution",
    "history",
    "power",
    "gpu_util",
    "tensor_active",
    "dram_active",
    "memory_used",
)
CONTAINER_TIMES = ("running_since", "last_exit_at")
POD_TIMES = ("started", "ready_at", "containers_ready_at", "initialized_at", "unschedulable_since")
RULES = load_rules()


def cases(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return (rule, case) for every case of every file."""
    return [(path.stem, case) for path in sorted(folder.glob("*.yaml")) for case in yaml.safe_load(path.read_text())]


def run(rule: str, case: dict[str, Any]) -> Outcome:
    """Return the outcome of the rule on the case, opt-outs included."""
    config = msgspec.convert(case.get("config", {}), Config)
    snapshot = with_owners(with_roles(snapshot_of(case), config), config.ownership)
    options = {rule: case.get("options", {})}
    return evaluate(snapshot, {rule: RULES[rule]}, options=options, opted_out=OptOuts(snapshot, config).of)[0]


def snapshot_of(case: dict[str, Any]) -> Snapshot:
    """Return the snapshot that the case describes."""
    start = NOW - parse_duration(case.get("window", "14d"))
    nodes = tuple(node for line in case.get("nodes", []) for node in _nodes(line))
    pods = tuple(pod for n, line in enumerate(case.get("pods", [])) for pod in _pods(line, n))
    lines = case.get("usage", [])
    named = {line["of"] for line in (*case.get("pods", []), *lines) if line.get("of")} | set(case.get("workloads", {}))
    workloads = tuple(_workload(name, case.get("workloads", {}).get(name) or {}) for name in sorted(named))
    namespaces = {one.namespace for one in workloads}
    facts = tuple(case.get("facts", (*PLAIN, *MEASURED) if lines else PLAIN))
    return Snapshot(
        taken_at=NOW,
        window=Window(start=start, end=NOW),
        clusters=(Cluster(name=CLUSTER),),
        nodes=nodes,
        pods=pods,
        workloads=workloads,
        namespaces=tuple(
            Namespace(cluster=CLUSTER, name=name, **case.get("namespaces", {}).get(name, {}))
            for name in sorted(namespaces)
        ),
        waiting=tuple(_waiting(line) for line in case.get("waiting", [])),
        sources=(Source(name="case", status="ok", provides=facts),),
        usage=_usage(lines, pods, start),
        **platform(case, cluster=CLUSTER, at=at),
    )


def at(offset: str | int | None) -> datetime | None:
    """Return the moment `-3d`, `+30d`, 0 = now, or a time as it stands."""
    if not offset:
        return None if offset is None else NOW
    text = str(offset)
    if text[0] not in "+-":
        return datetime.fromisoformat(text)
    return NOW + parse_duration(text[1:]) * (-1 if text[0] == "-" else 1)


def _nodes(line: dict[str, Any]) -> list[Node]:
    return [_node({**line, "name": name}) for name in line["name"].split()]


def _node(line: dict[str, Any]) -> Node:
    line = dict(line)
    count, lost = line.pop("gpus", 8), line.pop("lost", 0)
    mig = line.pop("mig", None)
    model = line.pop("model", "h100-80gb-sxm")
    card = {"model": model, "memory_mib": 81559.0, "power_limit_watts": 700.0, "mig_enabled": mig}
    faults = line.pop("faults", {})
    told = line.pop("cards", {})  # what a card has of its own, by index
    cards = [
        Card(**{"index": i, "state": "lost" if i < lost else "ok", "faults": tuple(faults.get(i, ()))} | card | told_of)
        for i in range(count)
        for told_of in [_card(told.get(i, {}))]
    ]
    offered = line.pop("offered", {"nvidia.com/gpu": [count, count]})
    times = {
        name: at(line.pop(name, None))
        for name in (
            "created",
            "cordoned_since",
            "ready_since",
            "gone",
            "reservation_end",
            "commitment_end",
            "probe_taken_at",
        )
    }
    sharing = line.pop("sharing", None)
    return Node(
        cluster=CLUSTER,
        **times | {"created": times["created"] or NOW - timedelta(days=40)},
        cards=tuple(cards),
        resources=tuple(Resource(name=k, capacity=v[0], allocatable=v[1]) for k, v in offered.items()),
        sharing=Sharing(**sharing) if sharing else None,
        interfaces=tuple(record(Interface, one, at=at) for one in line.pop("interfaces", [])),
        taints=tuple(Taint(**{**t, "since": at(t.get("since"))}) for t in line.pop("taints", [])),
        tenants=tuple(
            Tenant(workload=f"{CLUSTER}/{t.pop('of')}", **{"pods": 1, "cpu_cores": 1.0, "memory_bytes": 2**30} | t)
            for t in map(dict, line.pop("tenants", []))
        ),
        **{"pool": "serve", "zone": "a", "ready": True, "provider": "aws", "instance_type": "p5.48xlarge"} | line,
    )


def _card(told: dict[str, Any]) -> dict[str, Any]:
    nested = {"mig": MigDevice, "links": Link}
    return {
        name: tuple(nested[name](**one) for one in value) if name in nested else value for name, value in told.items()
    }


def _pods(line: dict[str, Any], number: int) -> list[Pod]:
    return [_pod(dict(line), f"{number}-{i}") for i in range(line.get("count", 1))]


def _pod(line: dict[str, Any], number: str) -> Pod:
    line.pop("count", None)
    kind, namespace, name = line.pop("of").split("/")
    gpus, since = line.pop("gpus", 1), at(line.pop("since", "-30d"))
    told = line.pop("container", {})
    containers = [_container(one) for one in line.pop("containers", [told])]
    asked = line.pop("asks", {})  # extended resources beside the GPUs
    times = {name: at(line.pop(name)) for name in POD_TIMES if name in line}
    holding = {"kind": "whole", "resource": "nvidia.com/gpu", "count": float(gpus), "gpus": float(gpus)}
    return Pod(
        cluster=CLUSTER,
        namespace=namespace,
        name=name if kind == "Pod" else f"{name}-{number}",
        workload=f"{CLUSTER}/{kind}/{namespace}/{name}",
        created=since,
        scheduled=since,
        deleted=at(line.pop("deleted", None)),
        containers=tuple(containers),
        holdings=(Holding(**holding | line.pop("holding", {})),) if gpus else (),
        requests={"cpu": float(line.pop("cpu", 4)), "memory": float(line.pop("memory", 32 * 2**30))} | asked,
        **times,
        **{"node": None, "phase": "Running", "ready": True} | line,
    )


def _waiting(line: dict[str, Any]) -> Waiting:
    line = dict(line)
    shapes = (Shape(**line.pop("shape")),) if "shape" in line else ()
    return Waiting(cluster=CLUSTER, shapes=shapes, **line | {key: at(line[key]) for key in ("since",) if key in line})


def _container(told: dict[str, Any]) -> Container:
    times = {key: at(told[key]) for key in told if key in CONTAINER_TIMES}
    return Container(**{"name": "main"} | {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()} | times)


def _workload(name: str, line: dict[str, Any]) -> Workload:
    kind, namespace, short = name.split("/")
    times = {key: at(line.get(key)) for key in ("created", "changed")}
    rest = {key: value for key, value in line.items() if key not in times}
    return Workload(id=f"{CLUSTER}/{name}", cluster=CLUSTER, kind=kind, namespace=namespace, name=short, **times | rest)


def _usage(lines: list[dict[str, Any]], pods: tuple[Pod, ...], start: datetime) -> Usage:
    hourly: list[dict[str, Any]] = []
    devices: list[dict[str, Any]] = []
    for line in lines:
        for place, device in enumerate(_devices(line["device"])):
            rows = _hours(line, device, start)
            hourly += rows
            devices.append(_device(line, device, rows, pods, place if line.get("each") else 0))
    if not devices:
        return Usage()
    devices = [_joined([row for row in devices if _key(row) == key]) for key in dict.fromkeys(map(_key, devices))]
    return Usage(
        hourly=conform_hourly({key: [row[key] for row in hourly] for key in hourly[0]}),
        devices=conform_devices({key: [row[key] for row in devices] for key in devices[0]}),
    )


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return (row["device"], row["owner"])


def _joined(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return rows[-1] | {"first": min(row["first"] for row in rows), "last": max(row["last"] for row in rows)}


def _devices(text: str) -> list[str]:
    node, _, index = text.rpartition("/")
    first, _, last = index.partition("-")
    return [f"{node}/{i}" for i in range(int(first), int(last or first) + 1)]


def _owner(line: dict[str, Any]) -> str:
    return f"{CLUSTER}/{line['of']}" if line.get("of") else NOBODY


def _hours(line: dict[str, Any], device: str, start: datetime) -> list[dict[str, Any]]:
    """One row an hour; `busy` lists [from, to, utilization] that interrupt the plain one, `gap` [from, to] unseen.

    `rhythm` {days: [first, last], hours: [from, to], zone} leaves the device at 0 outside these local hours.
    """
    hour = max(start, at(line.get("from")) or start)
    end = at(line.get("to", 0)) or NOW
    values = dict.fromkeys(HOURLY_VALUES, float("nan")) | {"samples": 120.0 / line.get("owners", 1)}
    rows = []
    while hour < end:
        plain = line.get("util", 0.0) if _works(line.get("rhythm"), hour) else 0.0
        util = next((u for a, b, u in line.get("busy", []) if at(a) <= hour < at(b)), plain)
        unseen = any(at(a) <= hour < at(b) for a, b in line.get("gap", []))
        util = float("nan") if util is None else float(util)
        seen = {"util_mean": util, "util_max": line.get("max", util), "dram_mean": line.get("dram", float("nan"))}
        power = {
            "power_mean_watts": line.get("power", float("nan")),
            "memory_max_mib": line.get("memory", float("nan")),
        }
        power |= {"gpu_util_mean": line.get("gpu_util", float("nan")), "tensor_mean": line.get("tensor", float("nan"))}
        key = {"cluster": CLUSTER, "device": device, "owner": _owner(line), "hour": hour}
        if not unseen:
            rows.append(key | values | seen | power)
        hour += timedelta(hours=1)
    return rows


def _works(rhythm: dict[str, Any] | None, hour: datetime) -> bool:
    if rhythm is None:
        return True
    local = hour.astimezone(ZoneInfo(rhythm.get("zone", "UTC")))
    (first, last), (start, end) = rhythm.get("days", [0, 6]), rhythm["hours"]
    return first <= local.weekday() <= last and start <= local.hour < end


def _device(
    line: dict[str, Any], device: str, rows: list[dict[str, Any]], pods: tuple[Pod, ...], place: int
) -> dict[str, Any]:
    """One row; `each` gives the devices of a line to the owner's pods one by one, else the first pod has them all."""
    node = device.rpartition("/")[0]
    own = [pod for pod in pods if pod.workload == _owner(line) and pod.node in (node, None)]
    pod = own[place % len(own)] if own else None
    values = dict.fromkeys(DEVICE_VALUES, float("nan")) | {"gpus": 1.0, "interval_seconds": 30.0}
    text = dict.fromkeys(DEVICE_TEXT, "") | {"metric": "sm_active", "source": "prometheus"}
    told = {"util_p95": line.get("p95", max((row["util_mean"] for row in rows), default=float("nan")))}
    told |= {
        "dram_p95": line.get("dram_p95", line.get("dram", float("nan"))),
        "power_p95_watts": line.get("power", float("nan")),
    }
    told |= {"memory_max_mib": line.get("memory", float("nan")), "gpus": line.get("share", 1.0)}
    names = {
        "node": node,
        "card": device,
        "profile": line.get("profile", ""),
        "metric": line.get("metric", "sm_active"),
    }
    if line.get("of"):
        names |= {"namespace": line["of"].split("/")[1], "pod": line.get("pod", pod.name if pod else "gone")}
    times = {"first": rows[0]["hour"], "last": rows[-1]["hour"] + timedelta(minutes=59, seconds=30)}
    key = {"cluster": CLUSTER, "device": device, "owner": _owner(line)}
    return key | text | values | told | names | times | {"shared": line.get("owners", 1) > 1}
