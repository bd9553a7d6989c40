"""Rule blocking-pdb."""

from collections.abc import Iterator

from gpuaudit.cluster.platform import Budget
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.scheduling.budgets import Blocking, blocking
from gpuaudit.demand.subjects import count, listed
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, Subject, rule


@rule(Severity.LOW, needs={"pods", "budgets"})
def blocking_pdb(snapshot: Snapshot) -> Iterator[Finding]:
    """A disruption budget never lets a GPU pod go, so its node can not be emptied.

    minAvailable equal to the number of replicas, or maxUnavailable 0, stops every drain: driver upgrades, MIG changes,
    consolidation and the repair of a sick node wait until somebody deletes the pods by hand. A single replica that is
    protected on purpose, or a budget used up because a pod is not healthy, is no fault until a move was blocked.

    Use maxUnavailable: 1; with one replica, start a second one before the node goes.
    """
    for one in blocking(snapshot):
        if one.events or one.leaving or (one.always and (one.budget.expected_pods or 0) > 1 and _moves(one)):
            yield _finding(one)


def _moves(one: Blocking) -> bool:
    """Whether something will want to move the pods: a provisioner that replaces nodes; a static pool moves seldom."""
    return bool(one.replaced)


def _finding(one: Blocking) -> Finding:
    budget = one.budget
    blocked = bool(one.events or one.leaving)
    gpus = [pod.gpus for pod in one.pods]
    limit = _limit(budget)
    return Finding(
        subject=Subject(
            cluster=budget.cluster,
            kind="PodDisruptionBudget",
            namespace=budget.namespace,
            name=budget.name,
            node=one.nodes[0].name if len(one.nodes) == 1 else None,
            gpus=None if None in gpus else sum(size for size in gpus if size is not None),
        ),
        workload=one.pods[0].workload or None,
        message=f"{budget.namespace}/{budget.name} allows no disruption ({limit} of {budget.expected_pods} pods) and "
        f"{_what(one)}",
        evidence=tuple(_evidence(one)),
        confidence="confirmed" if one.events else "likely",
        severity=Severity.MEDIUM if blocked else None,
        act=Act(
            kind="configure", target=f"PodDisruptionBudget {budget.namespace}/{budget.name}", to="maxUnavailable 1"
        ),
        fix=Fix(generate="scheduling", note="maxUnavailable: 1, and a second replica where there is one"),
        refutation="an agreement that these pods are moved by hand only",
    )


def _limit(budget: Budget) -> str:
    if budget.min_available:
        return f"minAvailable {budget.min_available}"
    return f"maxUnavailable {budget.max_unavailable}"


def _what(one: Blocking) -> str:
    if one.events:
        return f"blocked moves off {listed([node.name for node in one.nodes])}"
    if one.leaving:
        return f"holds nodes that are to go: {listed(list(one.leaving))}"
    return f"pins {count(len(one.nodes), 'GPU node')} that will be replaced ({listed(list(one.replaced))})"


def _evidence(one: Blocking) -> Iterator[Evidence]:
    budget = one.budget
    yield Evidence(name="disruptions allowed", value=budget.disruptions_allowed, unit="pods", source="kubernetes")
    for name, value in (("minAvailable", budget.min_available), ("maxUnavailable", budget.max_unavailable)):
        if value is not None:
            yield Evidence(name=name, value=value, source="kubernetes")
    yield Evidence(name="healthy pods", value=budget.current_healthy, unit="pods", statistic="now", source="kubernetes")
    yield Evidence(name="expected pods", value=budget.expected_pods, unit="pods", statistic="now", source="kubernetes")
    if one.events:
        yield Evidence(
            name="events that name it", value=one.events, unit="events", statistic="count", source="kubernetes"
        )
        yield Evidence(name="last of them", value=str(one.last) if one.last else None, source="kubernetes")
    for told in (*one.leaving, *one.replaced):
        yield Evidence(name="the node moves", value=told, source="kubernetes")
    for node in one.nodes:
        yield Evidence(name="GPU pods on", value=node.name, source="kubernetes")
