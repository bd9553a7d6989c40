"""Workloads and unmet demand: what the gathered objects say together."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import msgspec

from gpuaudit.cluster.workloads import Pod, Waiting, Workload
from gpuaudit.collect.gather.refused import refused
from gpuaudit.collect.gather.state import Gathered, KeptQueued, KeptWorkload
from gpuaudit.collect.kubernetes_types import Identity
from gpuaudit.collect.objects.waiting import Queued, waiting_pods, with_queues, without_pods
from gpuaudit.collect.objects.workloads import unlisted_workload, with_pods
from gpuaudit.knowledge import kubernetes


def waiting(state: Gathered, pods: Iterable[Pod]) -> tuple[Waiting, ...]:
    """Return the GPU work that waits, each once."""
    messages = {key: kept.message for key, kept in state.pods.items()}
    found = tuple(pods)
    groups = _groups(found)
    queued = [_queued(state, row, groups) for row in state.kept.values("queued", KeptQueued)]
    known = with_queues(waiting_pods(found, messages), queued, cluster=state.cluster)
    lacking = (record for item in refused(state, found) for record in without_pods(item, state.cluster))
    return tuple(sorted((*known, *lacking), key=lambda record: (record.workload, record.resource, record.reason)))


def _groups(pods: Iterable[Pod]) -> Mapping[tuple[str, str], str]:
    """Return whose the pods of each gang are, by namespace and name of the PodGroup that they name."""
    keys = kubernetes.queues().pod_groups
    named = ((pod, kubernetes.first(pod.annotations, keys) or kubernetes.first(pod.labels, keys)) for pod in pods)
    return {(pod.namespace, name): pod.workload for pod, name in named if name}


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


def _queued(state: Gathered, row: KeptQueued, groups: Mapping[tuple[str, str], str]) -> Queued:
    """Name the workload behind a queue's object: its root owner, its pods', whom it is named for, else itself."""
    root = state.owners.root_of(row.group, row.kind, row.meta)
    named = None
    if root.kind == row.kind:
        named = groups.get((row.meta.namespace, row.meta.name)) or _named_job(state, row.meta)
    return replace(row.queued, workload=named or root.id(state.cluster))


def _named_job(state: Gathered, meta: Identity) -> str | None:
    """Return the workload that a queue's object without owner is named for: `job-NAME-7d1e2` of Kueue."""
    prefix, _, rest = meta.name.partition("-")
    name = rest.rpartition("-")[0]
    for identity, root in sorted(state.roots.items()):
        if (root.namespace, root.kind.lower(), root.name) == (meta.namespace, prefix, name):
            return identity
    return None
