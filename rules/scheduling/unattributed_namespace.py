"""Rule unattributed-namespace."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from gpuaudit.cluster.platform import Namespace
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Pod, Workload
from gpuaudit.demand.subjects import amount, count, listed
from gpuaudit.demand.usage.units import stands_for_others
from gpuaudit.knowledge import kubernetes
from gpuaudit.knowledge.scheduling import scheduling
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, Subject, rule


@rule(Severity.LOW, needs={"pods", "workloads", "namespaces"})
def unattributed_namespace(snapshot: Snapshot, *, at_least_gpus: float = 0.0) -> Iterator[Finding]:
    """GPUs are held in a namespace that nobody is named for.

    What they cost lands on no team's bill, and nobody can be asked about them. Looked for is what [ownership] looks
    for: labels and annotations of the workload, its pods and the namespace (team, cost-center …), its queue or project,
    and the map of the configuration. A namespace's name alone names nobody. Pods that name persons are only noted.

    Label the namespace with its team, or map it under [ownership] in the configuration.
    """
    spaces: dict[tuple[str, str], list[Workload]] = defaultdict(list)
    for workload in snapshot.workloads:
        spaces[workload.cluster, workload.namespace].append(workload)
    for (cluster, name), workloads in sorted(spaces.items()):
        space = snapshot.namespace_by_key.get((cluster, name))
        holding = [pod for one in workloads for pod in snapshot.pods_by_workload.get(one.id, ()) if pod.holds]
        if space is None or stands_for_others(name) or not holding:
            continue
        finding = _finding(snapshot, space, holding)
        if finding is not None and (finding.subject.gpus is None or finding.subject.gpus > at_least_gpus):
            yield finding


def _finding(snapshot: Snapshot, space: Namespace, holding: Sequence[Pod]) -> Finding | None:
    """Return a finding when some pods belong to nobody, or to persons only; None when every one has a team."""
    nobody, persons = [], []
    for pod in holding:
        workload = snapshot.workload_by_id[pod.workload]
        if workload.owner_by is None:
            continue  # not resolved
        if workload.owner is None:
            nobody.append(pod)
        elif _is_person(workload):
            persons.append(pod)
    apart = nobody or persons
    if not apart or (not nobody and _team(space)):
        return None
    names = sorted({snapshot.workload_by_id[pod.workload].owner or "" for pod in persons})
    sizes = [pod.gpus for pod in apart]
    gpus = None if None in sizes else sum(size for size in sizes if size is not None)
    held = count(len(apart), "pod") if gpus is None else amount(gpus)
    told = "nobody: no label, queue or map names an owner" if nobody else f"{listed(names)}, none of whom is a team"
    return Finding(
        subject=Subject(cluster=space.cluster, kind="Namespace", name=space.name, namespace=space.name, gpus=gpus),
        message=f"namespace {space.name} holds {held} on the account of {told}",
        evidence=tuple(_evidence(space, holding, nobody, names)),
        confidence="likely" if nobody else "investigate",
        severity=None if nobody else Severity.INFO,
        act=Act(kind="configure", target=f"Namespace {space.name}", to="a team label"),
        fix=Fix(note="kubectl label namespace NAME team=…, or [ownership] map in the configuration"),
        refutation="a list of owners outside the cluster; name it under [ownership]",
    )


def _is_person(workload: Workload) -> bool:
    kind, _, key = (workload.owner_by or "").partition(" ")
    return kind in ("label", "annotation", "project") and key in scheduling().persons.keys


def _team(space: Namespace) -> str | None:
    keys = kubernetes.ownership()
    teams = [key for key in (*keys.labels, *keys.annotations) if key not in scheduling().persons.keys]
    return kubernetes.first(space.labels, teams) or kubernetes.first(space.annotations, teams)


def _evidence(
    space: Namespace, holding: Sequence[Pod], nobody: Sequence[Pod], names: Sequence[str]
) -> Iterator[Evidence]:
    labels = ", ".join(f"{key}={value}" for key, value in sorted(space.labels.items())[:10]) or "none"
    yield Evidence(name="labels of the namespace", value=labels, source="kubernetes")
    yield Evidence(name="GPU pods", value=len(holding), unit="pods", statistic="now", source="kubernetes")
    yield Evidence(name="GPU pods of nobody", value=len(nobody), unit="pods", statistic="now", source="kubernetes")
    if names:
        yield Evidence(name="persons that pods name", value=", ".join(names[:20]), source="kubernetes")
