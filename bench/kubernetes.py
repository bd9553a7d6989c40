"""Reading a large cluster: time beside fetching the same pages as bytes with no tool, and peak memory.

The cluster is generated and served from memory by another process; reading and fetching run in processes of their own.
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench._memory import peak_mb

TITLE = "Reading a large cluster"
NOTE = """Fetching follows the same pages, with the same HTTP library, and throws them away; × fetch is the median of
rounds of one and the other. An API server holds objects and writes each list when it is asked for: the first row. Its
own developers measured 86 MB of JSON a second on a connection (a million pods of 16 KB in 190 s, HTTP/1.1 with gzip;
kubernetes/kubernetes#141378): the second row. In the others the lists lie ready as bytes, which no API server has;
then there is little or nothing to wait for, and what is left is decoding and making records of 14,000 pods. Memory:
1,400 pods are three pages, so none wait; from 14,000 pods on, what grows is which workloads stand on which GPU node,
about 0.3 KB for a pod without GPU."""
NODES = 1300
ROUNDS = 9
GIGABIT = 125e6  # bytes a second: what a common link carries at most
API_SERVER = 86e6  # bytes of JSON a second, see NOTE
CASES = (  # what is shown, pods, of them with a GPU, bytes a second, whether lists are written for each request
    ("time, lists written when asked for", 14_000, 5_200, 0.0, True),
    ("time, lists ready, an API server's pace", 14_000, 5_200, API_SERVER, False),
    ("time, lists ready, over 1 Gbit/s", 14_000, 5_200, GIGABIT, False),
    ("time, lists ready, memory to memory", 14_000, 5_200, 0.0, False),
    ("memory", 1_400, 700, 0.0, False),
    ("memory", 14_000, 700, 0.0, False),
    ("memory", 56_000, 700, 0.0, False),
)


def run() -> list[dict[str, object]]:
    """Return a row per case: medians of rounds (of the ratio too: both of a round see the same machine), peaks."""
    rows = []
    for shown, pods, gpu_pods, rate, anew in CASES:
        with _server(pods, gpu_pods, rate, anew=anew) as url:
            rounds = [(_child("fetch", url), _child("collect", url)) for _ in range(ROUNDS if "time" in shown else 2)]
        assert all(one["requests"] == other["requests"] for one, other in rounds)
        fetched = statistics.median(one["seconds"] for one, _ in rounds)
        collected = statistics.median(one["seconds"] for _, one in rounds)
        rows.append(
            {
                "case": shown,
                "GPU nodes": NODES,
                "pods": pods,
                "requests": rounds[0][0]["requests"],
                "MB": rounds[0][0]["bytes"] / 1e6,
                "fetch s": fetched,
                "collect s": collected,
                "× fetch": statistics.median(other["seconds"] / one["seconds"] for one, other in rounds),
                "collect CPU s": statistics.median(one["cpu"] for _, one in rounds),
                "peak MB": max(one["peak_mb"] for _, one in rounds),
            }
        )
    return rows


@contextmanager
def _server(pods: int, gpu_pods: int, rate: float, *, anew: bool) -> Iterator[str]:
    numbers = (NODES, pods, gpu_pods, rate, int(anew))
    command = [sys.executable, "-m", "bench._cluster", *map(str, numbers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def _child(what: str, url: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.kubernetes", what, url], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def _fetch(url: str) -> dict[str, float]:
    """Follow the pages and throw them away: what any reader has to pay."""
    import urllib3

    from bench._cluster import PATHS

    pool = urllib3.PoolManager()
    size, requests, start = 0, 0, time.perf_counter()
    for path in PATHS:
        token = ""
        while True:
            body = pool.request("GET", f"{url}{path}?limit=500" + (f"&continue={token}" if token else "")).data
            size, requests = size + len(body), requests + 1
            more = re.search(rb'"continue":"(\d+)"', body[:300])
            if not more:
                break
            token = more[1].decode()
    return {"seconds": time.perf_counter() - start, "requests": requests, "bytes": size}


def _collect(url: str) -> dict[str, float]:
    """Read the cluster into its inventory."""
    from gpuaudit.collect.kubernetes.connection import connections
    from gpuaudit.collect.kubernetes.deadline import Deadline
    from gpuaudit.collect.kubernetes.reading import read_cluster

    parts = {"cluster": {"server": url}, "user": {"token": "t"}, "context": {"cluster": "bench", "user": "bench"}}
    config = {f"{part}s": [{"name": "bench", part: value}] for part, value in parts.items()}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "bench"} | config, file)
        file.flush()
        (connection,) = connections((), Path(file.name))
    start, before = time.perf_counter(), time.process_time()
    reading = read_cluster(connection, Deadline(600))
    inventory = reading.builder.finish()
    seconds, cpu = time.perf_counter() - start, time.process_time() - before
    assert len(inventory.nodes) == NODES, reading.fatal
    counted = {"requests": reading.requests, "bytes": reading.received}
    return {"seconds": seconds, "cpu": cpu, "peak_mb": peak_mb()} | counted


if __name__ == "__main__":
    print(json.dumps({"fetch": _fetch, "collect": _collect}[sys.argv[1]](sys.argv[2])))
