"""How much memory a process had at most."""

import re
from pathlib import Path


def peak_mb(process: int | str = "self") -> float:
    """Return the peak of a running process in MB: `ru_maxrss` of a child begins with what its parent had.

    0 for one that has ended.
    """
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0
