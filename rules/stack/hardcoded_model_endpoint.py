"""Rule hardcoded-model-endpoint."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand.serving.gateways import DirectCalls, Gateway, direct_calls, gateways
from gpuaudit.demand.subjects import count, listed
from gpuaudit.rule import Evidence, Finding, Fix, Severity, Subject, rule

WORDS = {"model": "the model's own Service", "provider": "a public model API"}


@rule(Severity.INFO, needs={"workloads", "services", "model_clients"})
def hardcoded_model_endpoint(snapshot: Snapshot) -> Iterator[Finding]:
    """Applications call a model at its own address, with nothing between.

    A model that is called by its address can be swapped, moved, split over two clusters or rate-limited only by
    changing every application that calls it; who used how many tokens is known to nobody. An interface between
    (LiteLLM, the Gateway API inference extension, KServe, llm-d) makes another model a change of configuration. Told by
    variables such as OPENAI_BASE_URL in the templates of workloads; of the address only its class was kept. Left out:
    what goes to a gateway, and addresses of which it is not known what is behind them: it may be a gateway too.

    Put a gateway in front, move one application to it, compare, then the others. Nothing is urgent about it.
    """
    found: dict[tuple[str, str], list[DirectCalls]] = defaultdict(list)
    for calls in direct_calls(snapshot):
        found[calls.client.cluster, calls.client.namespace].append(calls)
    for (cluster, namespace), group in sorted(found.items()):
        there = [one for one in gateways(snapshot) if one.cluster == cluster]
        yield _finding(cluster, namespace, group, there)


def _finding(cluster: str, namespace: str, group: Sequence[DirectCalls], there: Sequence[Gateway]) -> Finding:
    names = listed([calls.client.name for calls in group])
    to = listed(sorted({WORDS[kind] for calls in group for kind in calls.variables.values()}))
    runs = [one for one in there if one.ready]
    beside = f"though {runs[0].name} runs" if runs else "and no gateway runs"
    return Finding(
        subject=Subject(cluster=cluster, kind="Namespace", name=namespace, namespace=namespace),
        message=f"{count(len(group), 'application')} in {namespace} {'calls' if len(group) == 1 else 'call'} {to} "
        f"without a gateway between, {beside}: {names}",
        evidence=tuple(_evidence(group, there)),
        confidence="likely",
        fix=Fix(note="an interface in front of the models makes another model a change of configuration"),
        refutation="a gateway behind that address which neither its name nor its labels tell",
    )


def _evidence(group: Sequence[DirectCalls], there: Sequence[Gateway]) -> Iterator[Evidence]:
    for calls in group[:20]:
        name = f"{calls.client.kind} {calls.client.name}"
        for variable, kind in calls.variables.items():
            yield Evidence(name=name, value=f"{variable}: {WORDS[kind]}", statistic="now", source="kubernetes")
    for one in there[:3]:
        yield Evidence(name="gateway", value=one.evidence, statistic="now", source="kubernetes")
