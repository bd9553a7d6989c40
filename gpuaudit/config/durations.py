"""Durations as people write them: `90s`, `10m`, `1h`, `14d`, `2w`, or several in a row (`1h30m`)."""

import re
from datetime import timedelta

from gpuaudit.errors import UserError

PATTERN = r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$"
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_LONGEST = timedelta(days=3660)


def parse_duration(text: str) -> timedelta:
    """Return the duration, at most ten years. UserError for anything else, zero included."""
    text = text.strip()
    if not re.fullmatch(PATTERN, text) or len(text) > 40:
        raise UserError(f"{text[:40]!r} is not a duration", hint="write it as 90s, 10m, 1h, 14d or 2w")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PARTS.findall(text))
    if not 0 < seconds <= _LONGEST.total_seconds():
        raise UserError(f"{text!r} is out of bounds", hint="a duration is longer than nothing and at most ten years")
    return timedelta(seconds=seconds)
