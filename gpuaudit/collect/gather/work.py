"""Workloads and unmet demand: what the gathered objects say together."""

from collections.abc import Mapping, Sequence

import msgspec

from gpuaudit.cluster.workloads import Pod, Waiting, Workload
from gpuaudit.collect.gather.controllers import Controllers
from gpuaudit.collect.gather.queued import held_back
from gpuaudit.collect.gather.refused import refused
from gpuaudit.collect.gather.state import Gathered, KeptTemplate, KeptWorkload
from gpuaudit.collect.objects.holdings import Surroundings
from gpuaudit.collect.objects.waiting import Queued, together, waiting_pods
from gpuaudit.collect.objects.workloads import unlisted_workload, with_pods


def waiting(state: Gathered, pods: Sequence[Pod], around: Surroundings) -> tuple[Waiting, ...]:
    """Return the GPU work that waits, each once: pods, what queues hold back, what quotas refused."""
    messages = {key: kept.message for key, kept in state.pods.items()}
    controllers = Controllers(state, pods)
    held = held_back(state, pods, around, controllers)
    found = [_with_reason(record, held.reasons.get(record.workload)) for record in waiting_pods(pods, messages)]
    others = (*together(held.lacking), *refused(state, around, held, controllers))
    return tuple(sorted((*found, *others), key=lambda record: (record.workload, record.resource, record.reason)))


def _with_reason(record: Waiting, told: Queued | None) -> Waiting:
    """Return what waits, with the queue's reason where a gate holds it."""
    if told is None or record.reason != "SchedulingGated":
        return record
    return msgspec.structs.replace(record, reason=told.reason, message=told.message, queue=told.queue or record.queue)


def workloads(state: Gathered, groups: Mapping[str, list[Pod]]) -> tuple[Workload, ...]:
    """Return the owners of GPU pods, listed or not, and listed ones whose template asks for a GPU."""
    listed = {kept.record.id: kept for kept in state.kept.all_values("work ", KeptWorkload)}
    found: dict[str, Workload] = {}
    templates = {(one.namespace, one.name): bool(one.pieces) for one in state.kept.values("templates", KeptTemplate)}
    for identity, kept in listed.items():
        if _asks(kept, templates) and _is_root(state, kept):
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


def _asks(kept: KeptWorkload, templates: Mapping[tuple[str, str], bool]) -> bool:
    """Whether a workload asks for a GPU: itself, or by a template of claims that is not seen to be of other devices."""
    names = kept.template.templates if kept.template else ()
    return kept.gpu or any(templates.get((kept.record.namespace, name), True) for name in names)
