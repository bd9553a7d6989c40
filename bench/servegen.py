"""Draw requests from ServeGen's client files, for `gpuaudit replay`: python -m bench.servegen FILE... > arrivals.csv.

A ServeGen trace file holds no requests but, for each ten minutes of a client, the rate and a fitted distribution of
the intervals between them: start (s), rate (1/s), coefficient of variation, family, shape, scale. As many intervals
as the rate asks for are drawn from it and stretched to fill the window. Each file becomes one model; the draw is
seeded, so the same files give the same requests.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pc

WINDOW = 600.0  # seconds
SEED = 7


def requests(path: Path, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return the arrival times of one client in seconds since the start of the trace."""
    parts = [np.empty(0)]
    with path.open(newline="", encoding="utf-8") as file:
        for start, rate, _, family, shape, scale in csv.reader(file):
            count = round(float(rate) * WINDOW)
            if count:
                drawn = _intervals(family, float(shape), float(scale), count + 1, random)
                parts.append(float(start) + WINDOW * np.cumsum(drawn)[:-1] / drawn.sum())
    return np.concatenate(parts)


def _intervals(
    family: str, shape: float, scale: float, count: int, random: np.random.Generator
) -> npt.NDArray[np.float64]:
    if family == "Weibull":
        return scale * random.weibull(shape, count)
    return random.gamma(shape, scale, count)


def main() -> None:
    """Write the requests of all files as CSV, one client after another."""
    random = np.random.default_rng(SEED)
    writer = None
    for path in map(Path, sys.argv[1:]):
        times = requests(path, random)
        name = path.stem.removesuffix("-trace")
        table = pa.table({"timestamp": np.round(times, 6), "model": pa.array([name]).take(np.zeros(len(times), int))})
        writer = writer or pc.CSVWriter(sys.stdout.buffer, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    main()
