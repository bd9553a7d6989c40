"""How long `gpuaudit --help` takes beside a Python that does nothing, in one run: the ratio is what travels."""

import statistics
import subprocess
import sys
import time

TITLE = "Start of the command line"
ROUNDS = 15
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "gpuaudit --help": ["-m", "gpuaudit", "--help"],
    "gpuaudit scan --help": ["-m", "gpuaudit", "scan", "--help"],
    "gpuaudit demo": ["-m", "gpuaudit", "demo", "--quiet"],
}


def run() -> list[dict[str, object]]:
    """Return the median wall time of each command in milliseconds, and as a multiple of the bare Python's."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):  # interleaved, so that a busy moment of the machine hits all alike
        for name, arguments in COMMANDS.items():
            seconds[name].append(_timed(arguments))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    bare = next(iter(medians.values()))
    return [{"command": name, "median ms": median * 1000, "× bare": median / bare} for name, median in medians.items()]


def _timed(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start
