"""What serving engines export and what not, as a page; docs/engines.md is printed from here."""

from collections.abc import Iterator

from gpuaudit.knowledge import engines, systems
from gpuaudit.knowledge.engines import Engine

_SHORT = {
    "request duration": "duration",
    "time to first token": "first token",
    "tokens per second": "tokens",
    "queue depth": "queue",
    "GPU utilization": "GPU use",
    "GPU memory used": "GPU memory",
    "KV-cache hit rate": "hit rate",
    "requests total": "requests",
    "cost": "cost",
}


def markdown() -> str:
    """Return the page."""
    pods = ", ".join(f"`{name}`" for name in engines.attribution().pod)
    return "\n".join([*_HEAD, *_matrix(), "", _READING.format(pods=pods), *_pages()]).rstrip() + "\n"


_HEAD = (
    "# What serving engines tell",
    "",
    "Printed from the table of engines (`gpuaudit/knowledge/data/engines.toml`); do not edit.",
    "",
    "Nine signals answer the first questions about a served model. What an engine does not export cannot be audited",
    "there: GPU utilization and memory come from dcgm-exporter for all of them, and cost from the bill of their nodes.",
    "",
)


def _matrix() -> Iterator[str]:
    yield f"| engine | {' | '.join(_SHORT[name] for name in engines.ESSENTIAL)} |"
    yield "|---" * (len(_SHORT) + 1) + "|"
    for engine in engines.engines().values():
        told = engines.essential(engine)
        yield f"| {_name(engine)} | {' | '.join(_mark(engine, told[name]) for name in engines.ESSENTIAL)} |"


def _mark(engine: Engine, names: tuple[str, ...]) -> str:
    if not names:
        return "–"
    return "mean" if all(name in engine.counters for name in names) else "yes"


_READING = """\
`mean`: a plain counter of time, no distribution, so no percentile. `–`: the engine does not export it.

## How they are read

- From a Prometheus: each template `engine-*` of `gpuaudit/knowledge/data/queries.toml` is asked once for every metric
  of its kind that the store has, rolled up at the server: the number of questions does not depend on pods. Resets of
  counters are undone there; copies by replicas and by two scrape jobs count once.
- From files (`--input`): exposition text, OpenMetrics and `promtool tsdb dump` lines. A single scrape gives latencies
  since its engine began and what runs now, and no counts; without labels it belongs to the only workload that serves
  the model it names.
- A series belongs to the pod in {pods} (the first that it has), and the pod
  to its workload; pods that are gone are known by kube-state-metrics. What names no known pod stays without a workload.
- Percentiles are read off the buckets of all pods together, as `histogram_quantile` does. One that lies above the last
  finite bound is given as that bound: at least so much.
- A day counts as one of the KV cache's daily peaks when 20 of its hours were observed; what was seen on other days goes
  to the nearest such day.

In the report's `serving`, `tokens` are prompt and generated tokens, `queue_p95` is the number of requests that wait,
and the dollars are the workload's part of its nodes' bill for the hours in which the engine was watched. What several
models of one workload share, and what has no price, is null. Requests of a gateway count only where no engine behind
it tells of the model.
"""


def _pages() -> Iterator[str]:
    for engine in engines.engines().values():
        yield f"## {_name(engine)}"
        yield ""
        yield f"Metrics at {engine.endpoint}. Source: {engines.sources()[engine.source]}."
        yield ""
        told = engines.essential(engine)
        for name in engines.ESSENTIAL:
            if name != "cost":
                listed = ", ".join(f"`{one}`" for one in told[name])
                yield f"- {name}: {listed or 'not exported'}"
        more = {"use of the KV cache": engine.kv_cache_usage, "failures": (*engine.requests_error, *engine.aborts)}
        for name, names in more.items():
            yield f"- {name}: {', '.join(f'`{one}`' for one in names) or 'not exported'}"
        if engine.aliases:
            aliases = " and ".join(f"`{alias}…`" for alias in engine.aliases)
            yield f"- also under {aliases} in place of `{engine.prefix}…`"
        yield ""


def _name(engine: Engine) -> str:
    system = systems.by_key(engine.system)
    return system.name if system else engine.system
