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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench._memory import peak_mb

TITLE = "Reading a large cluster"
NOTE = """Fetching follows the same pages, with the same HTTP library, and throws them away; parsed: these went through
`json.loads` before. × fetch is the median of rounds of all three. An API server holds objects and writes each list
when it is asked for: the first row. Its own developers measured 86 MB of JSON a second on a connection (a million
pods of 16 KB in 190 s, HTTP/1.1 with gzip; kubernetes/kubernetes#141378): the second row. In the others the lists lie
ready as bytes, which no API server has; from memory to memory there is nothing to wait for, and what is left is
decoding 102 MB and making records of 14,000 pods. A pace in seconds does not slow down with a machine: where this one
ran at half its speed, the first row was 1.28 ×, the second and third 1.85 and 2.43. Memory: a pod without GPU costs
about 0.1 KB, a workload with pods on GPU nodes 2 KB; the last row has the pods of the one before it and the workloads
of the one before that."""
NODES = 1300
ROUNDS = 9
GIGABIT = 125e6  # bytes a second: what a common link carries at most
API_SERVER = 86e6  # bytes of JSON a second, see NOTE


class Case(NamedTuple):
    """What is shown, and on which cluster."""

    shown: str
    pods: int
    gpu_pods: int
    each: int = 10  # pods of a Deployment
    rate: float = 0.0  # bytes a second; 0 = as fast as it goes
    anew: bool = False  # whether lists are written for each request


class Round(NamedTuple):
    """What the processes measured that ran one after the other."""

    fetch: dict[str, Any]
    parse: dict[str, Any]
    collect: dict[str, Any]


CASES = (
    Case("time, lists written when asked for", 14_000, 5_200, anew=True),
    Case("time, lists ready, an API server's pace", 14_000, 5_200, rate=API_SERVER),
    Case("time, lists ready, over 1 Gbit/s", 14_000, 5_200, rate=GIGABIT),
    Case("time, lists ready, memory to memory", 14_000, 5_200),
    Case("memory", 1_400, 700),
    Case("memory", 14_000, 700),
    Case("memory", 56_000, 700),
    Case("memory, no more workloads", 56_000, 700, each=40),
)


def run() -> list[dict[str, object]]:
    """Return a row per case: medians of rounds (of the ratio too: both of a round see the same machine), peaks."""
    rows = []
    for case in CASES:
        with _server(case) as url:
            times = ROUNDS if case.shown.startswith("time") else 2
            rounds = [Round(*(_child(what, url) for what in Round._fields)) for _ in range(times)]
        assert all(one.fetch["requests"] == one.collect["requests"] for one in rounds)
        rows.append(
            {
                "case": case.shown,
                "GPU nodes": NODES,
                "pods": case.pods,
                "workloads": case.pods // case.each,
                "requests": rounds[0].fetch["requests"],
                "MB": rounds[0].fetch["bytes"] / 1e6,
                "fetch s": statistics.median(one.fetch["seconds"] for one in rounds),
                "parsed s": statistics.median(one.parse["seconds"] for one in rounds),
                "collect s": statistics.median(one.collect["seconds"] for one in rounds),
                "× fetch": statistics.median(one.collect["seconds"] / one.fetch["seconds"] for one in rounds),
                "collect CPU s": statistics.median(one.collect["cpu"] for one in rounds),
                "peak MB": max(one.collect["peak_mb"] for one in rounds),
            }
        )
    return rows


@contextmanager
def _server(case: Case) -> Iterator[str]:
    numbers = (NODES, case.pods, case.gpu_pods, case.each, case.rate, int(case.anew))
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


def _parse(url: str) -> dict[str, float]:
    """Fetch, and parse each page with the standard library: what a reader pays who makes nothing of it."""
    return _fetch(url, json.loads)


def _fetch(url: str, use: Callable[[bytes], object] = len) -> dict[str, float]:
    """Follow the pages and throw them away: what any reader has to pay."""
    import urllib3

    from bench._cluster import PATHS

    pool = urllib3.PoolManager()
    size, requests, start = 0, 0, time.perf_counter()
    for path in PATHS:
        token = ""
        while True:
            body = pool.request("GET", f"{url}{path}?limit=500" + (f"&continue={token}" if token else "")).data
            use(body)
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
    print(json.dumps({"fetch": _fetch, "parse": _parse, "collect": _collect}[sys.argv[1]](sys.argv[2])))
