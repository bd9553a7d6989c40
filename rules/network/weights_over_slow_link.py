"""Rule weights-over-slow-link."""

from collections.abc import Iterator

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.need.weights import Fetch, fetches
from gpuaudit.demand.subjects import count
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule


@rule(Severity.LOW, needs={"nodes", "pods", "workloads"})
def weights_over_slow_link(snapshot: Snapshot, *, slow_seconds: float = 60.0) -> Iterator[Finding]:
    """The weights of a model come to its node over a link that is slow for them.

    A 70B model in bf16 is 140 GB: 112 seconds over 10 Gbit/s at full speed, 11 over 100, at every start, with the GPUs
    waiting; pods that start together on a node share the link. The size is the model's by name, the link its node's; it
    is a lower bound, since loaders rarely reach it. Servers that started faster than that, models in the image or on
    the node's own disk, and servers that did not start within the window are left out. Without a measured start it only
    asks for a look.

    Keep weights near: local NVMe, a cache on the node (KServe LocalModelCache, an image volume, a pre-pulled copy), or
    nodes with a faster link; start replicas one after the other.
    """
    for fetch in fetches(snapshot):
        quicker = fetch.measured is not None and fetch.measured < fetch.seconds
        if fetch.seconds >= slow_seconds and not quicker:
            yield _finding(snapshot, fetch, slow_seconds)


def _finding(snapshot: Snapshot, fetch: Fetch, slow_seconds: float) -> Finding:
    subject = workload_subject(snapshot, fetch.workload.id, node=fetch.node.name)
    shared = f" for {fetch.together} pods that start together" if fetch.together > 1 else ""
    return Finding(
        subject=subject,
        workload=fetch.workload.id,
        message=f"{subject.namespace}/{subject.name} loads {fetch.gb:.0f} GB over {fetch.gbps:g} Gbit/s: "
        f"{fetch.seconds:.0f} s at best{shared}, {count(fetch.starts, 'start')} in the window",
        evidence=tuple(_evidence(fetch, slow_seconds)),
        confidence="likely" if fetch.measured is not None and fetch.dtype_told else "investigate",
        act=Act(kind="configure", risk="restart", target=fetch.workload.id),
        fix=Fix(generate="cache", note="weights on the node's own disk or in a cache near it"),
        refutation="weights that lie on the node already, or a start that was measured to be faster",
    )


def _evidence(fetch: Fetch, slow_seconds: float) -> Iterator[Evidence]:
    told = f"{fetch.model} in {fetch.dtype}" + ("" if fetch.dtype_told else " (assumed)")
    yield Evidence(name="model", value=told, source="arguments")
    yield Evidence(name="weights", value=round(fetch.gb, 1), unit="GB", source="parameters × bytes", observed=False)
    yield Evidence(name=f"link of {fetch.node.name}", value=fetch.gbps, unit="Gbit/s", source="ports or instance type")
    yield Evidence(name="time at the link's full speed", value=round(fetch.seconds), unit="s", observed=False,
                   source="weights × 8 / link × pods that start together")  # fmt: skip
    yield Evidence(name="pods that start together on a node", value=fetch.together, unit="pods", statistic="max",
                   source="kubernetes")  # fmt: skip
    yield Evidence(name="starts in the window", value=fetch.starts, statistic="count", source="kubernetes")
    yield Evidence(name="quickest start", value=fetch.measured, unit="s", statistic="min", source="pod conditions")
    yield Evidence(name="threshold", value=slow_seconds, unit="s", observed=False, source="option slow_seconds")
