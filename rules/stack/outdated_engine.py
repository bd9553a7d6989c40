"""Rule outdated-engine."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.serving.engines import RunningServer, running_servers
from gpuaudit.demand.subjects import count, listed
from gpuaudit.demand.usage.units import workload_subject
from gpuaudit.knowledge import engine_versions, systems
from gpuaudit.knowledge.engine_versions import Reason
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule


@rule(Severity.LOW, needs={"pods", "workloads"})
def outdated_engine(snapshot: Snapshot) -> Iterator[Finding]:
    """A serving engine runs in a version that gets no more fixes, is open to a known attack, or lost a faster engine.

    Engines change fast: a version that its project has left behind keeps its faults, and what the project gained in
    speed since is paid for in GPUs. That a newer version exists is no reason. What counts is what release notes and
    advisories say: vLLM before 0.11.0 is built around the V0 engine, which was frozen and then removed; an advisory
    counts only where what it needs was seen (several nodes, a model that takes images). The version is read from the
    image's tag: an image of a company's own, `latest`, a digest or a nightly says nothing, and nothing is said of it.

    Try the newest version with the same model and arguments on one replica, compare first token, throughput and
    quality, then roll it out. Until then keep the engine's ports inside the cluster.
    """
    for server in running_servers(snapshot):
        if server.engine is None or server.version is None:
            continue
        reasons = [one for one in engine_versions.reasons(server.engine, server.version) if _holds(one, server)]
        if reasons:
            yield _finding(snapshot, server, reasons)


def _holds(reason: Reason, server: RunningServer) -> bool:
    """Whether what the reason needs was seen."""
    match reason.only:
        case "multi_node":
            return server.spans_nodes
        case "vision":
            return engine_versions.takes_pictures(server.workload.model)
        case "v0":
            return server.spans_nodes and engine_versions.runs_v0(server.container.env)
    return True


def _finding(snapshot: Snapshot, server: RunningServer, reasons: Sequence[Reason]) -> Finding:
    owner = server.workload.id
    subject = workload_subject(snapshot, owner)
    system = systems.by_key(server.engine or "")
    name = f"{system.name if system else server.engine} {server.version_text}"
    attack = [one for one in reasons if one.kind == "security"]
    newest = _newest(snapshot, server)
    beside = f"; {newest} runs beside it" if newest else ""
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} runs {name}: {listed([one.what for one in reasons])}{beside}",
        evidence=tuple(_evidence(server, reasons, newest)),
        confidence="likely",
        severity=Severity.MEDIUM if attack else None,
        act=Act(
            kind="configure", risk="restart", target=owner, from_=server.image, to="a version that its project supports"
        ),
        fix=Fix(note="try the newest version on one replica first: arguments and outputs change between versions"),
        refutation="an image whose tag does not say what is in it, or fixes that were taken over into it",
    )


def _newest(snapshot: Snapshot, server: RunningServer) -> str | None:
    """Return the newest version of the same engine that runs in the cluster, when it is newer."""
    others = [
        other
        for other in running_servers(snapshot)
        if other.engine == server.engine and other.version and other.workload.cluster == server.workload.cluster
    ]
    newest = max(others, key=lambda other: other.version or ())
    return newest.version_text if (newest.version or ()) > (server.version or ()) else None


def _evidence(server: RunningServer, reasons: Sequence[Reason], newest: str | None) -> Iterator[Evidence]:
    pods = count(len(server.pods), "pod")
    yield Evidence(name="image", value=server.image, unit=f"in {pods}", statistic="now", source="kubernetes")
    if server.spans_nodes:
        yield Evidence(name="serves over several nodes", value=True, statistic="now", source="kubernetes")
    if server.workload.model and any(one.only == "vision" for one in reasons):
        yield Evidence(name="model", value=server.workload.model, statistic="now", source="kubernetes")
    if newest:
        yield Evidence(name="newest in this cluster", value=newest, statistic="now", source="kubernetes")
    for one in reasons:
        table = f"engine_versions.toml of {engine_versions.compiled()}: {one.source}"
        yield Evidence(name=f"below {one.below}", value=one.what, unit=one.kind, source=table, observed=False)
