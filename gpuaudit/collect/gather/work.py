"""Workloads and unmet demand: what the gathered objects say together."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import msgspec

from gpuaudit.cluster.workloads import Pod, Waiting, Workload
from gpuaudit.collect.gather.refused import refused
from gpuaudit.collect.gather.state import Gathered, KeptQueued, KeptWorkload
from gpuaudit.collect.kubernetes_types import Identity, OwnerReference
from gpuaudit.collect.objects.waiting import Queued, waiting_pods, waits, with_queues, without_pods
from gpuaudit.collect.objects.workloads import unlisted_workload, with_pods
from gpuaudit.knowledge import kubernetes

_Object = tuple[str, str, str, str]  # group, kind, namespace, name


class _Pods(NamedTuple):
    """What pods tell of the gangs that they name, and those that wait of all that is above them."""

    gangs: Mapping[tuple[str, str], str]  # namespace and name of a PodGroup → workload of its pods
    waiting: frozenset[tuple[str, str]]  # gangs of which pods wait
    above: frozenset[_Object]  # pods that wait, their owners, up to their roots


def waiting(state: Gathered, pods: Iterable[Pod]) -> tuple[Waiting, ...]:
    """Return the GPU work that waits, each once."""
    messages = {key: kept.message for key, kept in state.pods.items()}
    found = tuple(pods)
    rows = list(state.kept.values("queued", KeptQueued))
    told = _told_by(state, found if rows else ())
    queued = [_queued(state, row, told) for row in rows]
    known = with_queues(waiting_pods(found, messages), queued, cluster=state.cluster)
    lacking = (record for item in refused(state, found) for record in without_pods(item, state.cluster))
    return tuple(sorted((*known, *lacking), key=lambda record: (record.workload, record.resource, record.reason)))


def _told_by(state: Gathered, pods: Iterable[Pod]) -> _Pods:
    keys = kubernetes.queues().pod_groups
    gangs: dict[tuple[str, str], str] = {}
    of_waiting: set[tuple[str, str]] = set()
    above: set[_Object] = set()
    for pod in pods:
        gang = kubernetes.first(pod.annotations, keys) or kubernetes.first(pod.labels, keys)
        if gang:
            gangs[(pod.namespace, gang)] = pod.workload
        if waits(pod):
            of_waiting |= {(pod.namespace, gang)} if gang else set()
            owners = state.owners.above(state.pods[(pod.namespace, pod.name)].start)
            above |= {("", "Pod", pod.namespace, pod.name), _root(state, pod.workload)}
            above.update(_object(owner, pod.namespace) for owner in owners)
    return _Pods(gangs, frozenset(of_waiting), frozenset(above))


def _object(owner: OwnerReference, namespace: str) -> _Object:
    return (owner.api_version.rpartition("/")[0], owner.kind, namespace, owner.name)


def _root(state: Gathered, workload: str) -> _Object:
    root = state.roots[workload]
    return (root.group, root.kind, root.namespace, root.name)


def workloads(state: Gathered, groups: Mapping[str, list[Pod]]) -> tuple[Workload, ...]:
    """Return the owners of GPU pods, listed or not, and listed ones whose template asks for a GPU."""
    listed = {kept.record.id: kept for kept in state.kept.all_values("work ", KeptWorkload)}
    found: dict[str, Workload] = {}
    for identity, kept in listed.items():
        if kept.gpu and _is_root(state, kept):
            found[identity] = kept.record
    for identity in groups:
        kept_one = listed.get(identity)
        found[identity] = (
            kept_one.record if kept_one else unlisted_workload(state.roots[identity], cluster=state.cluster)
        )
    for identity, kept in listed.items():
        if identity in found and kept.uid in state.revised:
            found[identity] = msgspec.structs.replace(found[identity], changed=state.revised[kept.uid])
    return tuple(with_pods(found[identity], groups.get(identity, ())) for identity in sorted(found))


def _is_root(state: Gathered, kept: KeptWorkload) -> bool:
    """Whether nothing above it owns a workload: then it is counted itself."""
    return not state.owners.owned(kept.uid)


def _queued(state: Gathered, row: KeptQueued, pods: _Pods) -> Queued:
    """Name the workload behind a queue's object: its root owner, its pods', whom it is named for, else itself.

    A workload may have several such objects (the Jobs of a Workflow), some with pods: each tells whose it is.
    """
    meta = row.meta
    gang = (meta.namespace, meta.name)
    objects = {_object(owner, meta.namespace) for owner in meta.owner_references or ()}
    root = state.owners.root_of(row.group, row.kind, meta)
    workload = root.id(state.cluster)
    if root.kind == row.kind and (named := pods.gangs.get(gang) or _named_job(state, meta)):
        workload = named
        objects.add(_root(state, named))
    return replace(row.queued, workload=workload, has_pods=gang in pods.waiting or not objects.isdisjoint(pods.above))


def _named_job(state: Gathered, meta: Identity) -> str | None:
    """Return the workload that a queue's object without owner is named for: `job-NAME-7d1e2` of Kueue."""
    prefix, _, rest = meta.name.partition("-")
    name = rest.rpartition("-")[0]
    for identity, root in sorted(state.roots.items()):
        if (root.namespace, root.kind.lower(), root.name) == (meta.namespace, prefix, name):
            return identity
    return None
