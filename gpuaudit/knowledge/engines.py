"""What serving engines export: which signal under which name, and what each cannot tell."""

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Literal

from gpuaudit.knowledge.reading import Entry, read_toml

Kind = Literal["engine", "server", "gateway"]
Form = Literal["counter", "histogram", "gauge", "info"]

COUNTERS = {  # signal → field of an engine
    "requests": "requests_total",
    "errors": "requests_error",
    "aborts": "aborts",
    "prompt_tokens": "tokens_prompt",
    "generated_tokens": "tokens_generated",
    "preemptions": "preemptions",
    "prefix_hits": "prefix_cache_hits",
    "prefix_queries": "prefix_cache_queries",
}
HISTOGRAMS = {"duration": "request_duration", "ttft": "ttft", "queue": "queue_time"}
GAUGES = {
    "kv": "kv_cache_usage",
    "waiting": "queue_depth",
    "running": "running",
    "kv_blocks": "kv_blocks",
    "kv_block_tokens": "kv_block_tokens",
    "kv_tokens": "kv_tokens",
}

ESSENTIAL = (  # what the first questions about a served model need
    "request duration",
    "time to first token",
    "tokens per second",
    "queue depth",
    "GPU utilization",
    "GPU memory used",
    "KV-cache hit rate",
    "requests total",
    "cost",
)
PRESENCE = (
    "running",
    "waiting",
    "kv",
    "requests",
    "generated_tokens",
    "duration",
)  # what tells that an engine is there


class Engine(Entry, frozen=True):
    """What a serving engine exports. An empty signal = that engine does not export it; see the table's own comments."""

    detect: tuple[str, ...]  # series that together give it away; empty = it exports nothing
    prefix: str
    endpoint: str
    source: str
    system: str  # key of systems.toml
    kind: Kind
    aliases: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    request_duration: tuple[str, ...] = ()
    ttft: tuple[str, ...] = ()
    itl: tuple[str, ...] = ()
    tokens_generated: tuple[str, ...] = ()
    tokens_prompt: tuple[str, ...] = ()
    tokens_per_second_gauge: tuple[str, ...] = ()
    queue_depth: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    queue_time: tuple[str, ...] = ()
    kv_cache_usage: tuple[str, ...] = ()
    kv_blocks: tuple[str, ...] = ()
    kv_block_tokens: tuple[str, ...] = ()
    kv_tokens: tuple[str, ...] = ()
    prefix_cache_hits: tuple[str, ...] = ()
    prefix_cache_queries: tuple[str, ...] = ()
    cache_hit_rate_gauge: tuple[str, ...] = ()
    cache_info: str = ""
    requests_total: tuple[str, ...] = ()
    requests_error: tuple[str, ...] = ()
    aborts: tuple[str, ...] = ()
    errors_apart: bool = False
    gpu_util: tuple[str, ...] = ()
    gpu_memory: tuple[str, ...] = ()
    preemptions: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()
    scales: dict[str, float] = {}
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Signal(Entry, frozen=True):
    """One series that gives one signal of one engine. `rank` orders the names of one signal, the best first.

    `name` is as it is stored (buckets of a histogram under `_bucket`), `matcher` what its labels must be, `scale` the
    factor to seconds, tokens or requests.
    """

    engine: str
    signal: str
    form: Form
    name: str
    matcher: str = ""
    scale: float = 1.0
    rank: int = 0


class Attribution(Entry, frozen=True):
    """Labels that tell whose series it is; see the table's own comments."""

    pod: tuple[str, ...]
    namespace: tuple[str, ...]
    group: str
    copies: tuple[str, ...]
    cache: tuple[str, ...]
    source: str


class _File(Entry, frozen=True):
    compiled: str
    sources: dict[str, str]
    attribution: Attribution
    engine: dict[str, Engine]


@cache
def _file() -> _File:
    return read_toml("engines", _File)


def engines() -> Mapping[str, Engine]:
    """Return the serving engines by name, those that run models first."""
    return _file().engine


def attribution() -> Attribution:
    """Return the labels that tell whose series it is."""
    return _file().attribution


def group_of(pod: str) -> str:
    """Return the part of a pod's name that all pods of its workload share; the whole name where none is made up."""
    match = re.fullmatch(_file().attribution.group, pod)
    return match[1] if match else pod


def sources() -> Mapping[str, str]:
    """Return the text behind each source tag of this table."""
    return _file().sources


@cache
def signals() -> tuple[Signal, ...]:
    """Return every series that gives a signal, under each of its names."""
    return tuple(one for key, engine in engines().items() for one in _signals(key, engine))


@cache
def by_name() -> Mapping[str, tuple[Signal, ...]]:
    """Return the signals by the name of their series."""
    found: dict[str, list[Signal]] = {}
    for one in signals():
        found.setdefault(one.name, []).append(one)
    return {name: tuple(rows) for name, rows in found.items()}


@cache
def detecting() -> Mapping[str, Kind]:
    """Return the names that give engines away, renamed ones too, with the kind of the engine."""
    return {
        name: engine.kind
        for engine in engines().values()
        for given in engine.detect
        for name in _names(engine, bare(given))
    }


@cache
def model_labels() -> tuple[str, ...]:
    """Return the labels that name a model, of all engines."""
    return tuple(dict.fromkeys(label for engine in engines().values() for label in engine.models))


def presence(names: Collection[str]) -> Mapping[str, Signal]:
    """Return for each engine the signal, of these names of series, that tells that it is there."""
    found: dict[str, tuple[int, Signal]] = {}
    for one in signals():
        if one.name in names and one.signal in PRESENCE and not one.matcher:
            rank = PRESENCE.index(one.signal) * 100 + one.rank
            if one.engine not in found or rank < found[one.engine][0]:
                found[one.engine] = (rank, one)
    return {engine: one for engine, (_, one) in found.items()}


def essential(engine: Engine) -> Mapping[str, tuple[str, ...]]:
    """Return the names that give each essential signal; () = the engine does not export it. None exports cost."""
    hits = engine.prefix_cache_hits + engine.prefix_cache_queries if engine.prefix_cache_queries else ()
    found: dict[str, tuple[str, ...]] = {
        "request duration": engine.request_duration,
        "time to first token": engine.ttft,
        "tokens per second": engine.tokens_generated + engine.tokens_per_second_gauge,
        "queue depth": engine.queue_depth,
        "GPU utilization": engine.gpu_util,
        "GPU memory used": engine.gpu_memory,
        "KV-cache hit rate": hits + engine.cache_hit_rate_gauge,
        "requests total": engine.requests_total,
    }
    return {name: found.get(name, ()) for name in ESSENTIAL}


def bare(selector: str) -> str:
    """Return the name in a selector."""
    return selector.partition("{")[0]


def matches(matcher: str, labels: Mapping[str, str]) -> bool:
    """Whether labels meet a matcher of this table: `label="x"` or `label=~"x|y"`, several joined by commas."""
    for label, sign, value in re.findall(r'(\w+)(=~|=)"([^"]*)"', matcher):
        told = labels.get(label, "")
        if not (re.fullmatch(value, told) if sign == "=~" else told == value):
            return False
    return True


def _signals(key: str, engine: Engine) -> Iterator[Signal]:
    for signal, field in (*COUNTERS.items(), *HISTOGRAMS.items(), *GAUGES.items()):
        for rank, selector in enumerate(getattr(engine, field)):
            name, _, rest = selector.partition("{")
            form, suffix = _form(engine, signal, name)
            if form is None:
                continue
            scale = engine.scales.get(name, 1.0)
            for number, alias in enumerate(_names(engine, name)):
                yield Signal(
                    engine=key,
                    signal=signal,
                    form=form,
                    name=alias + suffix,
                    matcher=rest.rstrip("}"),
                    scale=scale,
                    rank=rank * 10 + number,
                )
    for number, alias in enumerate(_names(engine, engine.cache_info) if engine.cache_info else ()):
        yield Signal(engine=key, signal="cache_info", form="info", name=alias, rank=number)


def _form(engine: Engine, signal: str, name: str) -> tuple[Form | None, str]:
    if signal in HISTOGRAMS:
        return (None, "") if name in engine.counters else ("histogram", "_bucket")
    if signal in COUNTERS:
        return "counter", "_sum" if name in engine.sums else ""
    return "gauge", ""


def _names(engine: Engine, name: str) -> tuple[str, ...]:
    """Return a name and what pipelines make of it."""
    if not engine.prefix or not name.startswith(engine.prefix):
        return (name,)
    return (name, *(alias + name.removeprefix(engine.prefix) for alias in engine.aliases))
