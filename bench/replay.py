"""Whole runs of `gpuaudit replay`, from the file to the printed answer: time and the most memory held."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from bench._memory import peak_mb

TITLE = "Replay of ten million requests over 1,000 models under 6 keep-alives"
REQUESTS, MODELS = 10_000_000, 1_000
WEEK_MS = 7 * 86_400 * 1000
POLICIES = ["--keep-alive", "0,60,300,900,3600,7200", "--load-seconds", "30", "-o", "json"]


def run() -> list[dict[str, object]]:
    """Return one row a file form and option."""
    with tempfile.TemporaryDirectory() as folder:
        csv, parquet = Path(folder, "arrivals.csv"), Path(folder, "arrivals.parquet")
        _write(csv, parquet)
        cases = [(csv, []), (parquet, []), (parquet, ["--slots", "1"]), (parquet, ["--slots", "4"])]
        return [_row(path, options) for path, options in cases]


def _row(path: Path, options: list[str]) -> dict[str, object]:
    command = [sys.executable, "-m", "gpuaudit", "replay", str(path), *POLICIES, *options]
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0.0
    while child.poll() is None:
        peak = max(peak, peak_mb(child.pid))
        time.sleep(0.02)
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}")
    return {
        "file": f"{path.suffix.lstrip('.')}, {path.stat().st_size / 1e6:.0f} MB",
        "options": " ".join(options) or "any number at once",
        "requests": REQUESTS,
        "seconds": time.perf_counter() - start,
        "peak MB": peak,
    }


def _write(csv: Path, parquet: Path) -> None:
    """Write the same made-up week twice: Zipf-distributed models, log-normal durations, rows in no order."""
    random = np.random.default_rng(0)
    moments = random.integers(0, WEEK_MS, REQUESTS) + 1_764_000_000_000
    codes = np.minimum(random.zipf(1.2, REQUESTS) - 1, MODELS - 1).astype(np.int32)
    names = pa.array([f"team-{number % 37}/model-{number}" for number in range(MODELS)])
    columns = {
        "timestamp": pa.array(moments).cast(pa.timestamp("ms")),
        "model": pa.DictionaryArray.from_arrays(codes, names),
        "duration_seconds": np.round(random.lognormal(1, 1, REQUESTS), 3),
    }
    table = pa.table(columns)
    pq.write_table(table, parquet)
    plain = table.set_column(1, "model", table["model"].cast(pa.string()))
    pc.write_csv(plain, csv, pc.WriteOptions(quoting_style="none"))
