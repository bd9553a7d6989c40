"""What reading a fleet's week from a real Prometheus costs beside the same requests sent bare.

The store holds one activity metric of 10,000 GPUs, a sample every five minutes for seven days, behind default limits.
Needs Debian's `prometheus` (unpacked without root where it is not installed); the store is kept between runs.
"""

import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench._memory import peak_mb
from tests.prometheus.server import programs, serving

TITLE = "A week of 10,000 GPUs from a Prometheus"
NOTE = """Bare: the same requests, two in flight, their answers thrown away. Both run in processes of their own, in
turn, on a server with default limits. With few GPUs the server answers at once, and what is left is our own start."""
SIZES = (100, 1_000, 10_000)
DAYS, STEP = 7, 300
START = datetime(2026, 11, 2, tzinfo=UTC)
METRIC = "DCGM_FI_PROF_SM_ACTIVE"
ROUNDS = 5


def run() -> list[dict[str, object]]:
    """Return requests, bytes, seconds (ours, bare, their ratio; medians) and peak memory by number of GPUs."""
    return [_row(size) for size in SIZES]


def _row(gpus: int) -> dict[str, object]:
    with serving(_store(gpus)) as url:
        _measured("ours", url)  # warms the server's caches
        pairs = [(_measured("ours", url), _measured("bare", url)) for _ in range(ROUNDS)]
    ours = sorted(pairs, key=lambda pair: pair[0]["seconds"] / pair[1]["seconds"])[ROUNDS // 2]
    first, second = ours
    return {
        "GPUs": gpus,
        "samples": gpus * DAYS * 86400 // STEP,
        "requests": first["requests"],
        "MB received": first["received"] / 1e6,
        "seconds": first["seconds"],
        "bare seconds": second["seconds"],
        "× bare": first["seconds"] / second["seconds"],
        "peak MB": max(pair[0]["peak_mb"] for pair in pairs),
        "GPU-hours right": abs(first["gpu_hours"] / (gpus * DAYS * 24) - 1) < 1e-3,
    }


def _measured(what: str, url: str) -> dict[str, Any]:
    """Run one reading in a process of its own; the bare one repeats the requests that the other noted."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.prometheus", what, url], stdout=subprocess.PIPE, check=True, text=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def ours(url: str) -> dict[str, Any]:
    """Read the week as `scan` does, and note the requests."""
    from gpuaudit.cluster.nodes import Span
    from gpuaudit.collect.kubernetes.deadline import Deadline
    from gpuaudit.collect.prometheus.asking import Asker
    from gpuaudit.collect.prometheus.reading import Known, read_prometheus
    from gpuaudit.collect.prometheus.transport import direct

    way = direct(url)
    asked: list[tuple[str, dict[str, str]]] = []
    ask = way.ask

    def noted(path: str, parameters: dict[str, str], deadline: Deadline) -> bytes:
        asked.append((path, dict(parameters)))
        return ask(path, parameters, deadline)

    way.ask = noted  # type: ignore[method-assign, assignment]
    asker = Asker(way, Deadline(3600))
    started = time.perf_counter()
    found = read_prometheus(
        asker,
        window=Span(start=START, end=START + timedelta(days=DAYS)),
        known=Known(clusters=lambda _devices: lambda _label, _source: "c"),
    )
    seconds = time.perf_counter() - started
    _notes(url).write_text(json.dumps(asked))
    rows = found.part.usage.devices
    hours = float((rows["samples"] * rows["interval_seconds"]).sum() / 3600)
    return {
        "seconds": seconds,
        "requests": asker.requests,
        "received": asker.received,
        "gpu_hours": hours,
        "peak_mb": peak_mb(),
    }


def bare(url: str) -> dict[str, Any]:
    """Send the same requests, two in flight, and throw the answers away."""
    import requests

    session = requests.Session()

    def send(item: tuple[str, dict[str, str]]) -> int:
        path, parameters = item
        posts = path.startswith("/api/v1/query")
        form = {"data": parameters} if posts else {"params": parameters}
        return len(session.request("POST" if posts else "GET", url + path, timeout=600, **form).content)  # type: ignore[arg-type]

    asked = json.loads(_notes(url).read_text())
    started = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        received = sum(pool.map(send, asked))
    return {"seconds": time.perf_counter() - started, "requests": len(asked), "received": received}


def _notes(url: str) -> Path:
    return Path(tempfile.gettempdir()) / f"gpuaudit-bench-{hashlib.sha256(url.encode()).hexdigest()[:12]}.json"


def _store(gpus: int) -> Path:
    """Return the store of so many GPUs, made when it is not there."""
    folder = Path(tempfile.gettempdir()) / f"gpuaudit-bench-prometheus-{gpus}"
    data = folder / "data"
    if (folder / "done").exists():
        return data
    folder.mkdir(exist_ok=True)
    text = folder / "history.om"
    with text.open("w", encoding="utf-8") as file:
        file.write(f"# TYPE {METRIC} gauge\n")
        for line in _lines(gpus):
            file.write(line)
        file.write("# EOF\n")
    command = [programs()[1], "tsdb", "create-blocks-from", "openmetrics", "-q", "--max-block-duration=720h"]
    subprocess.run([*command, str(text), str(data)], check=True)
    text.unlink()
    (folder / "done").touch()
    return data


def _lines(gpus: int) -> Iterator[str]:
    rng = random.Random(gpus)
    start = int(START.timestamp())
    values = [f"{rng.random():.6f}" for _ in range(997)]
    for gpu in range(gpus):
        host = f"gpu-{gpu // 8:05d}.example.org"
        uuid = f"GPU-{rng.getrandbits(32):08x}-{gpu:012x}"
        pod = f'exported_pod="train-{gpu // 8}-{gpu % 3}",exported_namespace="team-{gpu % 40}",' if gpu % 5 else ""
        head = (
            f'{METRIC}{{gpu="{gpu % 8}",UUID="{uuid}",Hostname="{host}",modelName="NVIDIA H100 80GB HBM3",{pod}'
            f'pod="nvidia-dcgm-exporter-{gpu // 8}",namespace="gpu-operator",job="dcgm",instance="10.0.0.1:9400"}}'
        )
        yield "".join(
            f"{head} {values[(tick + gpu) % 997]} {start + tick * STEP}\n" for tick in range(DAYS * 86400 // STEP)
        )


if __name__ == "__main__":
    print(json.dumps({"ours": ours, "bare": bare}[sys.argv[1]](sys.argv[2])))
