"""What kubectl and dcgm-exporter print, small: nodes, pods and series with known values."""

import json
from datetime import UTC, datetime, timedelta

from gpuaudit.collect.inputs.files import collect_files

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WINDOW = timedelta(days=14)
UTIL = "DCGM_FI_DEV_GPU_UTIL"


def collect(*inputs, **options):
    """Return the snapshot of these files."""
    return collect_files([str(one) for one in inputs], **({"now": None, "window": WINDOW} | options))


def stamp(when):
    """Return a time as Kubernetes writes it."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def node(name, *, uid=None, gpus=8, version=1, beat=NOW, **labels):
    """Return a node with H100s."""
    labels = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.count": str(gpus)} | labels
    amounts = {"cpu": "96", "memory": "1Ti"} | ({"nvidia.com/gpu": str(gpus)} if gpus else {})
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": stamp(NOW - timedelta(days=60)),
            "labels": labels if gpus else {},
        },
        "spec": {},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": stamp(beat)}],
        },
    }


def pod(name, on, *, gpus=8, namespace="ml", started=NOW - timedelta(days=30)):
    """Return a pod that holds whole GPUs."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "creationTimestamp": stamp(started),
        },
        "spec": {
            "nodeName": on,
            "containers": [{"name": "main", "image": "x", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}],
        },
        "status": {"phase": "Running", "startTime": stamp(started)},
    }


def namespace(name, uid):
    """Return a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": uid}}


def listed(*items):
    """Return what kubectl prints of these objects."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})


def series(name, host, index, points, **labels):
    """Return exposition lines; points are (time or None, value)."""
    own = {"Hostname": host, "gpu": str(index), "UUID": f"GPU-{host}-{index}", "modelName": "NVIDIA H100 80GB HBM3"}
    text = ",".join(f'{key}="{value}"' for key, value in (own | labels).items())
    return "".join(
        f"{name}{{{text}}} {value}{'' if when is None else f' {round(when.timestamp() * 1000)}'}\n"
        for when, value in points
    )


def hours(count, value, *, step=timedelta(minutes=5), end=NOW):
    """Return points over the last `count` hours."""
    total = int(timedelta(hours=count) / step)
    return [(end - step * number, value) for number in range(total)][::-1]


def source(snapshot, name):
    """Return the source of that name."""
    (found,) = [one for one in snapshot.sources if one.name == name]
    return found


def write(folder, **files):
    """Write files into a folder and return it."""
    folder.mkdir(exist_ok=True, parents=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder
