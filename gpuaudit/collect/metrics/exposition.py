"""Read Prometheus and OpenMetrics exposition text and `promtool tsdb dump` lines, as a stream and in bounded memory.

The labels of a series are parsed by prometheus_client once, when its text is first met; after that a line costs one
look-up. A line that says nothing (no number, no such series, cut off) is a gap and is counted, never an error.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 16
MILLISECONDS_FROM = 1e11  # smaller timestamps are seconds (OpenMetrics): as milliseconds they would be before 1974
LAST_MS = 10**15
HASH = ord("#")  # begins a comment, HELP or TYPE
NO_TIME = -(1 << 62)  # time of a sample that has none; whoever knows the time of the scrape puts it there


class Recorder(Protocol):
    """Takes samples of one series: time in ms since the epoch (NO_TIME = none) and value."""

    def record(self, time: int, value: float) -> None:
        """Keep one sample."""

    def record_many(self, times: Any, values: Any) -> None:
        """Keep samples: arrays of equal length."""


class Sink(Protocol):
    """Where series go."""

    def wants(self, name: str) -> bool:
        """Whether samples of this metric are of use."""

    def series(self, name: str, labels: dict[str, str]) -> Recorder | None:
        """Return what takes the samples of a series; None when there is no room for more series."""

    def flush(self) -> bool:
        """Make room; False when there is none left and reading should stop."""


@dataclass
class Tally:
    """What was read: lines in all, of metrics of no use, without a value, not understood; `full` = stopped early."""

    lines: int = 0
    samples: int = 0
    unwanted: int = 0
    blank: int = 0
    refused: int = 0
    full: bool = False


def read_text(stream: BinaryIO, sink: Sink) -> Tally:
    """Read exposition text or dump lines into the sink. Only metrics that the sink wants are looked at."""
    tally = Tally()
    cache: dict[bytes, Recorder | None] = {}
    for block in _blocks(stream, tally):
        _read_block(block, sink, tally, cache)
        if not sink.flush():
            tally.full = True
            break
    return tally


def _blocks(stream: BinaryIO, tally: Tally) -> Iterator[list[bytes]]:
    """Yield whole lines, about a mebibyte at a time; a line longer than MAX_LINE_BYTES is dropped and counted."""
    rest = b""
    dropping = False
    while block := stream.read(BLOCK_BYTES):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if dropping and lines:
            del lines[0]
            dropping = False
        if dropping or len(rest) > MAX_LINE_BYTES:
            tally.refused += not dropping
            rest, dropping = b"", True
        yield lines
    if rest and not dropping:
        yield [rest]


def _read_block(lines: list[bytes], sink: Sink, tally: Tally, cache: dict[bytes, Recorder | None]) -> None:
    # The loop over every line of a history: what it calls per line is what reading costs.
    for line in lines:
        if not line or line[0] == HASH or line.isspace():
            continue
        tally.lines += 1
        if b" # {" in line:  # exemplar
            line = line[: line.rindex(b" # {")]  # noqa: PLW2901
        head, brace, tail = line.rpartition(b"}")
        if not brace:
            head, _, tail = line.strip().partition(b" ")
        try:
            recorder = cache[head]
        except KeyError:
            recorder = _recorder(head, brace, sink, tally, cache)
        if recorder is None:
            tally.unwanted += 1
            continue
        parts = tail.split()
        try:
            value = float(parts[0])
            time = _milliseconds(parts[1]) if len(parts) > 1 else NO_TIME
        except (ValueError, IndexError, OverflowError):
            tally.blank += 1
            continue
        if value != value:  # noqa: PLR0124 - NaN: a gap or a stale marker
            tally.blank += 1
            continue
        recorder.record(time, value)
        tally.samples += 1


def _milliseconds(text: bytes) -> int:
    """Return a time in ms; ValueError or OverflowError for one that is no time."""
    time = float(text)
    ms = round(time if abs(time) >= MILLISECONDS_FROM else time * 1000)
    if abs(ms) > LAST_MS:
        raise ValueError("beyond any clock")
    return ms


def _recorder(
    head: bytes, brace: bytes, sink: Sink, tally: Tally, cache: dict[bytes, Recorder | None]
) -> Recorder | None:
    """Return the recorder of a series' text; unwanted texts are not remembered, for there may be millions."""
    text = head.decode("utf-8", "replace")
    if not sink.wants(_metric_name(text)):
        return None
    recorder = None
    parsed = _labels(text + brace.decode())
    if parsed is None:
        tally.refused += 1
    else:
        recorder = sink.series(*parsed)
    cache[head] = recorder
    return recorder


def _metric_name(text: str) -> str:
    name = text.partition("{")[0].strip()
    if name:
        return name
    _, found, rest = text.partition('__name__="')
    return rest.partition('"')[0] if found else text.lstrip("{").lstrip().partition('"')[2].partition('"')[0]


def _labels(text: str) -> tuple[str, dict[str, str]] | None:
    from prometheus_client.parser import text_string_to_metric_families

    try:
        samples = [sample for family in text_string_to_metric_families(text + " 0") for sample in family.samples]
    except (ValueError, IndexError, KeyError):
        return None
    return (samples[0].name, samples[0].labels) if len(samples) == 1 else None
