"""Jobs whose pods are useless apart, and whether anything lets them in together; the state of scheduling in sum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Container, Pod, Workload
from gpuaudit.demand.memory import once
from gpuaudit.demand.scheduling.asks import asks
from gpuaudit.demand.scheduling.blames import beyond_reserve, blames
from gpuaudit.demand.scheduling.scheduler import profile
from gpuaudit.knowledge import kubernetes
from gpuaudit.knowledge.scheduling import scheduling


@dataclass(frozen=True, kw_only=True)
class Gang:
    """Several GPU pods of one job that no scheduler starts together."""

    workload: str
    pods: tuple[Pod, ...]  # that there are now
    ranks: int
    gpus: float | None  # of all ranks
    evidence: tuple[str, ...]  # what shows that they work as one; () = only the shape of the job hints at it
    waits_hours: float | None  # of the pods that found no place; None = all found one, or since when is unknown

    @property
    def placed(self) -> int:
        """Pods that hold GPUs on a node."""
        return sum(pod.node is not None for pod in self.pods)

    @property
    def waiting(self) -> int:
        """Pods that found no node."""
        return sum(pod.node is None for pod in self.pods)


@dataclass(frozen=True, kw_only=True)
class SchedulingSummary:
    """What there is to say of scheduling in the whole snapshot. GPUs are physical; None = not known."""

    gangs_on_default: int
    gang_gpus: float | None
    gangs_stuck: int  # partly placed: they hold GPUs and cannot start
    queued_gpus: float | None
    queued_gpu_hours: float | None
    queued_while_idle: int  # workloads
    queued_while_idle_gpus: float | None
    idle_meanwhile_gpus: float  # stood free or idle-held for them, beyond the reserve; each node once
    lost_gpu_hours: float | None  # None without a history
    reasons: Mapping[str, int] = field(default_factory=dict)  # of waiting while GPUs are idle → workloads


@once
def gangs_on_default_scheduler(snapshot: Snapshot) -> tuple[Gang, ...]:
    """Return the multi-pod GPU jobs that the default scheduler places pod by pod; sorted by workload."""
    found = (
        _gang(snapshot, identity, pods)
        for identity, pods in sorted(snapshot.pods_by_workload.items())
        if identity and profile(snapshot, pods[0].cluster).gang is not True
    )
    return tuple(gang for gang in found if gang is not None)


@once
def scheduling_summary(snapshot: Snapshot) -> SchedulingSummary:
    """Return gangs on the default scheduler, and what waits while GPUs stand idle."""
    gangs, blamed, waiting = gangs_on_default_scheduler(snapshot), blames(snapshot), asks(snapshot)
    hours = [None if ask.hours is None or ask.waiting.gpus is None else ask.hours * ask.waiting.gpus for ask in waiting]
    lost = [one.lost_gpu_hours for one in blamed]
    free = {node.key: node for one in blamed if not one.idle_held for node in one.nodes}
    idle_held = {node.key: one.idle_held for one in blamed if one.idle_held for node in one.nodes}
    reasons: dict[str, int] = {}
    for one in blamed:
        reasons[one.why] = reasons.get(one.why, 0) + 1
    return SchedulingSummary(
        gangs_on_default=len(gangs),
        gang_gpus=_sum([gang.gpus for gang in gangs]),
        gangs_stuck=sum(bool(gang.placed and gang.waiting) for gang in gangs),
        queued_gpus=_sum([ask.waiting.gpus for ask in waiting]),
        queued_gpu_hours=_sum(hours),
        queued_while_idle=len({one.ask.waiting.workload for one in blamed}),
        queued_while_idle_gpus=_sum([one.ask.waiting.gpus for one in blamed]),
        idle_meanwhile_gpus=round(
            beyond_reserve(snapshot, list(free.values())) + max(idle_held.values(), default=0.0), 3
        ),
        lost_gpu_hours=None if not lost or None in lost else _sum(lost),
        reasons=dict(sorted(reasons.items())),
    )


def _gang(snapshot: Snapshot, identity: str, pods: Sequence[Pod]) -> Gang | None:
    workload = snapshot.workload_by_id.get(identity)
    own = tuple(pod for pod in pods if not pod.ended and pod.deleted is None and pod.holdings)
    if workload is None or not own or _let_in_together(workload, own):
        return None
    ranks = max(len(own), workload.parallelism or 0)
    evidence = _evidence(workload, own)
    if ranks < 2 or evidence is None or _on_one_node(own, ranks):
        return None
    if not evidence and not _all_at_once_on_whole_nodes(snapshot, workload, own, ranks):
        return None
    sizes = [pod.gpus for pod in own]
    each = None if None in sizes else max(size for size in sizes if size is not None)
    since = min((pod.unschedulable_since or pod.created for pod in own if pod.node is None), key=str, default=None)
    hours = None if since is None else (snapshot.taken_at - since) / timedelta(hours=1)
    total = None if each is None else each * ranks
    return Gang(workload=identity, pods=own, ranks=ranks, gpus=total, evidence=evidence, waits_hours=hours)


def _let_in_together(workload: Workload, pods: Sequence[Pod]) -> bool:
    """Whether a queue, a pod group, another scheduler or the kind itself starts the pods together, or may."""
    known = scheduling().gang
    if workload.queue or any(pod.pod_group or pod.gates for pod in pods):
        return True
    if any(pod.scheduler is None or pod.scheduler not in known.default_schedulers for pod in pods):
        return True
    if workload.kind in known.grouped_kinds:
        return not workload.listed or workload.extra.get(known.startup_path, "null") != "null"
    return workload.kind not in (*known.kinds, *known.batch_kinds)


def _evidence(workload: Workload, pods: Sequence[Pod]) -> tuple[str, ...] | None:
    """Return what shows that the pods are ranks of one job; () = nothing; None = they can do with fewer (elastic)."""
    known = scheduling().gang
    if workload.extra.get("spec.elasticPolicy", "null") != "null":
        return None
    found = [f"a {workload.kind} runs ranks"] if workload.kind in known.kinds else []
    for container in {repr(c): c for pod in pods for c in pod.containers if not c.init}.values():
        nodes = _nodes_told(container)
        if nodes is not None and nodes[0] < 2:
            if nodes[1]:
                return None
            continue
        if nodes is not None:
            found.append(f"{nodes[2]} over several nodes")
        programs = [word for word in container.args if word in known.programs]
        linked = any(word.partition("=")[0] in known.rendezvous_flags for word in container.args) or any(
            name.startswith(known.env_prefixes) for name in container.env
        )
        if nodes is None and programs and linked:
            found.append(f"{programs[0]} with the settings of collective communication")
    return tuple(dict.fromkeys(found))


def _nodes_told(container: Container) -> tuple[int, bool, str] | None:
    """Return (fewest nodes, whether elastic, who says so) of a command line or environment, None when neither says."""
    known = scheduling().gang
    for position, word in enumerate(container.args):
        flag, equals, value = word.partition("=")
        if flag in known.node_flags:
            told = value if equals else next(iter(container.args[position + 1 : position + 2]), "")
            least, elastic, _ = told.partition(":")
            if least.isdecimal():
                return int(least), bool(elastic), f"{flag} {told}"
    for name in known.node_env:
        if container.env.get(name, "").isdecimal():
            return int(container.env[name]), False, f"{name}={container.env[name]}"
    return None


def _all_at_once_on_whole_nodes(snapshot: Snapshot, workload: Workload, pods: Sequence[Pod], ranks: int) -> bool:
    """Whether a Job runs all its pods at one time and each takes every GPU of a node: separate tasks rarely do."""
    if workload.kind not in scheduling().gang.batch_kinds or not workload.parallelism:
        return False
    cards = [node.gpus for node in snapshot.gpu_nodes if node.cluster == workload.cluster]
    resource = kubernetes.resources().gpu
    whole = all(
        holding.resource == resource and holding.count >= max(cards, default=0) > 1
        for pod in pods
        for holding in pod.holdings
    )
    return whole and workload.parallelism == workload.completions == ranks


def _on_one_node(pods: Sequence[Pod], ranks: int) -> bool:
    return len(pods) == ranks and len({pod.node for pod in pods}) == 1 and pods[0].node is not None


def _sum(values: Sequence[float | None]) -> float | None:
    return None if None in values else round(sum(value for value in values if value is not None), 3)
