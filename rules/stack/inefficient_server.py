"""Rule inefficient-server."""

from collections.abc import Iterator, Sequence

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.demand import Tenure, tenures
from gpuaudit.demand.serving.engines import RunningServer, running_servers
from gpuaudit.demand.subjects import amount
from gpuaudit.demand.usage.units import is_spare, workload_subject
from gpuaudit.knowledge import engine_versions, gpus
from gpuaudit.knowledge.engine_versions import Server
from gpuaudit.rule import Act, Evidence, Finding, Fix, Severity, rule

CALLED_BY_NOBODY = ("Job", "CronJob", "ScaledJob", "Workflow", "Notebook", "Pod")  # or by one person


@rule(Severity.LOW, needs={"nodes", "pods", "workloads"})
def inefficient_server(
    snapshot: Snapshot, *, gpu_memory_mib_from: int = engine_versions.inefficient().gpu_memory_mib_from
) -> Iterator[Finding]:
    """A generative model is served by a program that leaves most of a large GPU unused.

    Engines built for many users (vLLM, SGLang, TensorRT-LLM, NIM) batch requests while they run and page the KV cache;
    a transformers pipeline behind Flask, llama.cpp or Ollama works on one request or a few at a time, and TGI is no
    longer developed. On the same GPU the difference is a matter of factors, so the same traffic needs fewer GPUs.
    Known by image, command and arguments, never by a company's own image alone; a web server counts only beside
    arguments that name a model. Small cards, parts of cards, jobs, notebooks and models that write no text are left
    alone. It asks for a look: what the model's users need is not seen from outside.

    Serve the same model with a batching engine beside it, replay an hour of requests at both, and compare tokens a
    second, first token and memory before anything is moved.
    """
    for server in running_servers(snapshot):
        known = _known(server)
        card = _smallest_card(snapshot, server)
        if known is None or card is None or card < gpu_memory_mib_from or server.workload.kind in CALLED_BY_NOBODY:
            continue
        if not all(is_spare(pod) for pod in server.pods):
            yield _finding(snapshot, server, known)


def _known(server: RunningServer) -> Server | None:
    """Return which inefficient server a container runs, None for any other."""
    table = engine_versions.inefficient()
    container, engine = server.container, server.workload.engine
    if engine in table.better or server.engine in table.better:
        return None
    words = " ".join(container.args)
    named = engine_versions.is_generative(server.workload.model)
    if named is False:
        return None
    for one in table.server:
        if one.matches(engine=engine, image=server.image, words=words) and (named or not one.model_only):
            return one
    return None


def _smallest_card(snapshot: Snapshot, server: RunningServer) -> float | None:
    """Return the memory in MiB of the smallest whole card that its pods hold; None when it holds parts, or none."""
    sizes: list[float] = []
    for pod in server.pods:
        node = snapshot.node_by_key.get((pod.cluster, pod.node or ""))
        if node is None or not pod.holdings or any(one.kind not in ("whole", "dra") for one in pod.holdings):
            return None
        for card in node.cards:
            model = gpus.by_key(card.model) if card.model else None
            size = card.memory_mib or (model.memory_mib if model else None)
            if size is None:
                return None
            sizes.append(float(size))
    return min(sizes, default=None)


def _finding(snapshot: Snapshot, server: RunningServer, known: Server) -> Finding:
    owner = server.workload.id
    held = [pod.gpus for pod in server.pods]
    total = None if None in held else sum(one for one in held if one is not None)
    subject = workload_subject(snapshot, owner, gpus=total)
    on = amount(total) if total is not None else "GPUs"
    use = _use(snapshot, owner)
    busy = f", at {use:.0%} on average" if use is not None else ""
    return Finding(
        subject=subject,
        workload=owner,
        message=f"{subject.namespace}/{subject.name} serves with {known.name} on {on}{busy}: {known.what}",
        evidence=tuple(_evidence(snapshot, server, known, use)),
        confidence="investigate",
        act=Act(
            kind="configure",
            risk="restart",
            target=owner,
            from_=known.name,
            to="an engine that batches requests as they come",
        ),
        fix=Fix(note="serve the same model with vLLM or SGLang beside it, and compare on replayed requests"),
        refutation="a batching of its own in front of the model, a model that no engine runs, or one user at a time",
    )


def _use(snapshot: Snapshot, owner: str) -> float | None:
    """Return how busy its GPUs are on average, by GPU-hours; None when it was not measured."""
    known = [one for one in _measured(snapshot, owner) if one.util_mean is not None]
    hours = sum(one.held_hours for one in known)
    return sum((one.util_mean or 0.0) * one.held_hours for one in known) / hours if hours else None


def _measured(snapshot: Snapshot, owner: str) -> Sequence[Tenure]:
    return [one for one in tenures(snapshot) if one.owner == owner and one.current and not one.shared]


def _evidence(snapshot: Snapshot, server: RunningServer, known: Server, use: float | None) -> Iterator[Evidence]:
    yield Evidence(name="image", value=server.image, statistic="now", source="kubernetes")
    if server.container.args:
        words = " ".join(server.container.args)[:200]
        yield Evidence(name="arguments kept", value=words, statistic="now", source="kubernetes")
    if server.workload.model:
        yield Evidence(name="model", value=server.workload.model, statistic="now", source="kubernetes")
    if use is not None:
        metric = _measured(snapshot, server.workload.id)[0].metric
        window = snapshot.window_seconds
        yield Evidence(
            name=metric, value=round(use, 4), unit="ratio", statistic="mean", window_seconds=window, source="prometheus"
        )
    table = f"engine_versions.toml of {engine_versions.compiled()}: {known.source}"
    yield Evidence(name=known.name, value=known.what, source=table, observed=False)
