"""Pods: how they fare, what they ask for, and the little of their containers that may be kept."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import Literal, NamedTuple

from gpuaudit.cluster.workloads import Container as ContainerRecord
from gpuaudit.cluster.workloads import Pod as PodRecord
from gpuaudit.collect.kubernetes_types import Condition
from gpuaudit.collect.kubernetes_types.pods import (
    Container,
    ContainerStatus,
    EnvVar,
    LightStatus,
    Pod,
    PodSpec,
    PodStatus,
)
from gpuaudit.collect.objects.nodes import bounded
from gpuaudit.collect.objects.placement import node_terms, tolerations
from gpuaudit.collect.objects.quantities import whole
from gpuaudit.collect.objects.requests import Amounts, container_requests, is_sidecar
from gpuaudit.knowledge import kubernetes
from gpuaudit.knowledge.objects import kept_annotations, objects


class ClaimNames(NamedTuple):
    """The claims a pod uses by name, and the templates whose claim was not made yet."""

    claims: tuple[str, ...]
    templates: tuple[str, ...]


_NO_CLAIMS = ClaimNames((), ())


def pod_record(pod: Pod, requests: Amounts, *, cluster: str) -> PodRecord:
    """Return the pod, which asks for so much, without its workload and holdings, which other objects tell."""
    spec, status = pod.spec, pod.status
    told = {one.type: one for one in status.conditions or ()}
    ready, scheduled = told.get("Ready"), told.get("PodScheduled")
    waits = scheduled if scheduled and scheduled.status == "False" else None
    terms = node_terms(spec)
    volumes = _volumes(spec)
    return PodRecord(
        cluster=cluster,
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        uid=pod.metadata.uid or None,
        node=spec.node_name or None,
        phase=status.phase or "Unknown",
        reason=status.reason,
        created=pod.metadata.creation_timestamp,
        scheduled=_since(scheduled),
        started=status.start_time,
        ready=None if ready is None else ready.status == "True",
        ready_at=_since(ready),
        containers_ready_at=_since(told.get("ContainersReady")),
        initialized_at=_since(told.get("Initialized")),
        deleted=pod.metadata.deletion_timestamp,
        finalizers=tuple(pod.metadata.finalizers or ()),
        unschedulable_reason=waits.reason if waits else None,
        unschedulable_since=waits.last_transition_time if waits else None,
        gates=tuple(gate.name for gate in spec.scheduling_gates or ()),
        labels=bounded(pod.metadata.labels),
        annotations=kept_annotations(pod.metadata.annotations),
        node_selector=bounded(spec.node_selector),
        affinity_keys=tuple(sorted({key for term in terms for key, _, _ in term})) if terms else (),
        node_terms=terms,
        tolerations=tolerations(spec),
        priority=spec.priority,
        priority_class=spec.priority_class_name or None,
        scheduler=spec.scheduler_name,
        host_network=bool(spec.host_network),
        privileged=any(c.security_context and c.security_context.privileged for c in spec.containers or ()),
        shm_bytes=volumes.shared_bytes,
        host_shm=bool(spec.host_ipc) or objects().shared_memory in volumes.host_paths,
        pod_group=_pod_group(pod),
        claims=volumes.claims,
        resource_claims=claim_names(pod).claims,
        requests=requests,
        containers=_containers(spec, status),
        grace_seconds=spec.termination_grace_period_seconds,
    )


def is_ready(status: PodStatus | LightStatus) -> bool:
    """Whether a pod's status says that it is ready."""
    for one in status.conditions or ():
        if one.type == "Ready":
            return one.status == "True"
    return False


def claim_names(pod: Pod) -> ClaimNames:
    """Return the DRA claims of a pod; those of templates under the name that the status tells."""
    if not (pod.spec.resource_claims or pod.status.extended_resource_claim_status):
        return _NO_CLAIMS
    made = {item.name: item.resource_claim_name for item in pod.status.resource_claim_statuses or ()}
    claims, templates = [], []
    for reference in pod.spec.resource_claims or ():
        name = reference.resource_claim_name or made.get(reference.name)
        if name:
            claims.append(name)
        elif reference.resource_claim_template_name and reference.name not in made:  # there without a name: none needed
            templates.append(reference.resource_claim_template_name)
    extended = pod.status.extended_resource_claim_status
    if extended and extended.resource_claim_name:
        claims.append(extended.resource_claim_name)
    return ClaimNames(tuple(dict.fromkeys(claims)), tuple(templates))


def kept_environment(variables: Iterable[EnvVar]) -> dict[str, str]:
    """Return the allow-listed variables; of model endpoints only the class of the host."""
    kept = {}
    for variable in variables:
        rule = _rule_for(variable.name) if variable.value else ""
        if rule == "host":
            kept[variable.name] = host_class(variable.value or "")
        elif rule == "value" and not kubernetes.is_secret(variable.value or ""):
            kept[variable.name] = (variable.value or "")[: objects().arguments.max_value_chars]
    return kept


@lru_cache(maxsize=16384)
def _rule_for(name: str) -> Literal["", "host", "value"]:
    """Return what is kept of a variable of this name: nothing, the class of the host, the value."""
    if kubernetes.is_endpoint_env(name):
        return "host"
    return "value" if kubernetes.keeps_env(name) else ""


def kept_arguments(words: Iterable[str]) -> tuple[str, ...]:
    """Return the allow-listed words of a command line: programs, flags with their values, schemes of addresses."""
    rules = objects().arguments
    kept: list[str] = []
    tokens = iter(list(_tokens(words))[: 8 * rules.max_words])
    pending = next(tokens, None)
    while pending is not None and len(kept) < rules.max_words:
        token, pending = pending, next(tokens, None)
        flag, equals, value = token.partition("=")
        if flag.startswith("-") and kubernetes.keeps_flag(flag):
            if equals:
                kept += [] if kubernetes.is_secret(value) else [token[: rules.max_value_chars]]
                continue
            kept.append(flag)
            if pending is not None and not pending.startswith("-"):
                kept += [] if kubernetes.is_secret(pending) else [pending[: rules.max_value_chars]]
                pending = next(tokens, None)
        elif word := _word(token, previous=kept[-1] if kept else ""):
            kept.append(word)
    return tuple(kept)


def host_class(value: str) -> str:
    """Return where an address points: in-cluster, or external."""
    host = re.sub(r"^[a-z][a-z0-9+.-]*://", "", value.strip().lower()).split("/")[0].rpartition("@")[2].split(":")[0]
    inside = host in ("localhost", "127.0.0.1") or "." not in host or host.endswith((".svc", ".local", ".internal"))
    return "in-cluster" if inside or ".svc." in host else "external"


def _tokens(words: Iterable[str]) -> Iterator[str]:
    """Split words that are a shell's script; bounded, and never run."""
    for word in words:
        yield from word[:8192].replace("\\\n", " ").split() if any(c.isspace() for c in word) else (word,)


def _word(token: str, *, previous: str) -> str:
    """Return what may be kept of a word that is no flag."""
    rules = objects().arguments
    bare = token.strip("\"'").rpartition("/")[2] if not token.startswith("/dev/") else token
    if bare in kubernetes.keep().programs or bare in rules.tools:
        return bare
    if match := re.match(rules.address, token.strip("\"'")):
        return f"{match[1]}://"
    return token[: rules.max_value_chars] if previous == "serve" and not kubernetes.is_secret(token) else ""


def _since(found: Condition | None) -> datetime | None:
    return found.last_transition_time if found and found.status == "True" else None


def _pod_group(pod: Pod) -> str | None:
    """Return the gang that the pod names: Kubernetes' own, or by label or annotation."""
    keys = kubernetes.queues().pod_groups
    for own in (pod.spec.scheduling_group, pod.spec.workload_ref):
        if own and (own.pod_group_name or own.name):
            return own.pod_group_name or own.name
    labels, annotations = pod.metadata.labels or {}, pod.metadata.annotations or {}
    return kubernetes.first(annotations, keys) or kubernetes.first(labels, keys)


class _Volumes(NamedTuple):
    """What is kept of a pod's volumes; `shared_bytes` is the largest in memory, 0 for one without limit, else None."""

    claims: tuple[str, ...]
    host_paths: tuple[str, ...]
    shared_bytes: int | None


def _volumes(spec: PodSpec) -> _Volumes:
    claims, paths, sizes = [], [], []
    for volume in spec.volumes or ():
        if volume.persistent_volume_claim:
            claims.append(volume.persistent_volume_claim.claim_name)
        elif volume.host_path:
            paths.append(volume.host_path.path)
        elif volume.empty_dir and volume.empty_dir.medium == "Memory":
            limit = volume.empty_dir.size_limit
            sizes.append(0 if limit is None else whole({"size": limit}, "size") or 0)
    return _Volumes(tuple(claims), tuple(paths), max([*sizes, 0]) if sizes else None)


def _containers(spec: PodSpec, status: PodStatus) -> tuple[ContainerRecord, ...]:
    states = {s.name: s for s in (*(status.container_statuses or ()), *(status.init_container_statuses or ()))}
    own = [_container(one, states.get(one.name), init=False) for one in spec.containers or ()]
    return (*own, *[_container(one, states.get(one.name), init=True) for one in spec.init_containers or ()])


def _container(container: Container, status: ContainerStatus | None, *, init: bool) -> ContainerRecord:
    state = status.state if status else None
    last = status.last_state.terminated if status and status.last_state else None
    ended = last or (state.terminated if state else None)
    return ContainerRecord(
        name=container.name,
        image=(container.image or "")[:512],
        init=init,
        sidecar=init and is_sidecar(container),
        requests=container_requests(container.resources),
        args=_arguments((*(container.command or ()), *(container.args or ()))),
        env=kept_environment(container.env or ()),
        ready=status.ready if status else None,
        running_since=state.running.started_at if state and state.running else None,
        restarts=(status.restart_count or 0) if status else 0,
        waiting_reason=state.waiting.reason if state and state.waiting else None,
        last_exit_reason=ended.reason if ended else None,
        last_exit_code=ended.exit_code if ended else None,
        last_exit_at=ended.finished_at if ended else None,
    )


@lru_cache(maxsize=4096)
def _arguments(words: tuple[str, ...]) -> tuple[str, ...]:
    return kept_arguments(words)
