"""A real Prometheus for tests: Debian's package, where need be unpacked without root, with history of our making."""

import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

UNPACKED = Path(tempfile.gettempdir()) / "gpuaudit-prometheus"


@cache
def programs() -> tuple[str, str]:
    """Return the paths of prometheus and promtool; skip the test where they cannot be had."""
    for place in (None, str(UNPACKED / "usr" / "bin")):
        found = shutil.which("prometheus", path=place), shutil.which("promtool", path=place)
        if all(found):
            return str(found[0]), str(found[1])
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        pytest.skip("no prometheus on this machine, and no apt-get to fetch it with")
    UNPACKED.mkdir(exist_ok=True)
    fetched = subprocess.run(["apt-get", "download", "prometheus"], cwd=UNPACKED, capture_output=True, check=False)
    packages = sorted(UNPACKED.glob("prometheus_*.deb"))
    if fetched.returncode or not packages:
        pytest.skip("no prometheus on this machine, and its package cannot be fetched")
    subprocess.run(["dpkg", "-x", packages[-1].name, "."], cwd=UNPACKED, check=True)
    binaries = UNPACKED / "usr" / "bin"
    return str(binaries / "prometheus"), str(binaries / "promtool")


def blocks(lines: Iterable[str], folder: Path) -> Path:
    """Write OpenMetrics lines, grouped by metric, as blocks of a store; return its folder."""
    text, data = folder / "history.om", folder / "data"
    by_metric: dict[str, list[str]] = {}
    for line in lines:
        if not line.startswith("#"):
            by_metric.setdefault(line.partition("{")[0], []).append(line)
    with text.open("w", encoding="utf-8") as file:
        for name, rows in by_metric.items():
            file.write(f"# TYPE {name} gauge\n")
            file.writelines(f"{row}\n" for row in rows)
        file.write("# EOF\n")
    made = subprocess.run(
        [programs()[1], "tsdb", "create-blocks-from", "openmetrics", "-q", str(text), str(data)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return data


@contextmanager
def serving(data: Path, *flags: str) -> Iterator[str]:
    """Run a server on a store, and give its URL. It is stopped at the end."""
    port = free_port()
    config = data.parent / "prometheus.yml"
    config.write_text("global: {}\n", encoding="utf-8")
    command = [
        programs()[0],
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
        *flags,
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        _await(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        assert process.poll() is None, "prometheus ended at once"
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise AssertionError("prometheus was not ready in time")


def lines_of(texts: Sequence[Sequence[str]]) -> list[str]:
    return [line for text in texts for line in text]
