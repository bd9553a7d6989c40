"""Workloads: the root owners of GPU pods, and those that would own some if they ran."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from gpuaudit.cluster.snapshot import workload_id
from gpuaudit.cluster.workloads import Container, Pod, Workload
from gpuaudit.collect.kubernetes_types import Meta, Object
from gpuaudit.collect.kubernetes_types.apps import Controller, CronJob, Job, Template
from gpuaudit.collect.kubernetes_types.core import Custom
from gpuaudit.collect.objects.conditions import conditions_of
from gpuaudit.collect.objects.nodes import bounded
from gpuaudit.collect.objects.owners import Root
from gpuaudit.collect.objects.quantities import quantity
from gpuaudit.collect.objects.requests import pod_requests
from gpuaudit.collect.objects.trees import integer
from gpuaudit.collect.objects.units import is_gpu_resource
from gpuaudit.knowledge import kinds, kubernetes, systems
from gpuaudit.knowledge.objects import kept_annotations, objects, shown_kind

_MODEL_FLAGS = ("--model", "--model-id", "--model_id", "--model-name", "--model_name", "--model-path", "--model_path")
_MODEL_VARIABLES = ("MODEL_ID", "MODEL_NAME")


def workload_record(group: str, kind: str, item: Object, *, cluster: str) -> Workload:
    """Return a listed workload; what its pods tell (engine, model) is added by `with_pods`."""
    meta = item.metadata
    shown = shown_kind(group, kind)
    annotations = meta.annotations or {}
    record = Workload(
        id=workload_id(cluster=cluster, kind=shown, namespace=meta.namespace, name=meta.name),
        cluster=cluster,
        kind=shown,
        namespace=meta.namespace,
        name=meta.name,
        api_group=group,
        created=meta.creation_timestamp,
        labels=bounded(meta.labels),
        annotations=kept_annotations(annotations),
        queue=queue_of(meta.labels or {}, annotations),
        managed_by=kubernetes.managed_by(meta.labels or {}, annotations),
        role=annotations.get(kubernetes.own().role),
        ignore=ignored_rules(annotations),
    )
    return msgspec.structs.replace(record, **_details(group, kind, item))


def unlisted_workload(root: Root, *, cluster: str) -> Workload:
    """Return a workload that is known from its pods only."""
    return Workload(
        id=root.id(cluster),
        cluster=cluster,
        kind=shown_kind(root.group, root.kind),
        namespace=root.namespace,
        name=root.name,
        api_group=root.group,
        listed=root.listed,
    )


def with_pods(workload: Workload, pods: Iterable[Pod]) -> Workload:
    """Add what only its pods say: queue, engine, model; of one that was not listed also whose it is."""
    found = tuple(pods)
    containers = [container for pod in found for container in pod.containers if not container.init]
    changes: dict[str, Any] = {"engine": engine_of(containers), "model": model_of(containers)}
    changes["queue"] = workload.queue or next(
        (q for pod in found if (q := queue_of(pod.labels, pod.annotations))), None
    )
    if found and workload.created is None:  # known from its pods: what they have in common is its own
        labels, annotations = _common(pod.labels for pod in found), _common(pod.annotations for pod in found)
        changes |= {
            "created": min((pod.created for pod in found if pod.created), default=None),
            "labels": labels,
            "annotations": annotations,
            "managed_by": kubernetes.managed_by(labels, annotations),
            "role": annotations.get(kubernetes.own().role),
            "ignore": ignored_rules(annotations),
        }
    return msgspec.structs.replace(workload, **changes)


def _common(maps: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the entries that all of the maps have."""
    first, *others = maps
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}


def asks_for_gpu(item: Object) -> bool:
    """Whether a workload's own template asks for a GPU, in any of the ways but templates of claims."""
    template = template_of(item)
    if template is not None:
        marks = kubernetes.fractions()
        keys = (template.metadata.annotations or {}).keys() & {marks.fraction, marks.memory_mib}
        asked = any(amount and is_gpu_resource(name) for name, amount in pod_requests(template.spec).items())
        named = any(one.resource_claim_name for one in template.spec.resource_claims or ())
        return asked or named or bool(keys)
    return isinstance(item, Custom) and _mentions_gpu(item.spec, depth=0)


def has_ended(item: Custom) -> bool:
    """Whether a custom resource says of its work that it has ended, well or not."""
    rules = objects().endings
    ended = any(one.type in rules.conditions and one.status == "True" for one in conditions_of(item))
    return (
        ended
        or any(path_value(item, path) in rules.phases for path in rules.phase_paths)
        or any(path_value(item, path) for path in rules.time_paths)
    )


def pods_wanted(kind: str, item: Object) -> int | None:
    """Return how many pods a workload wants to have at the moment, None where it does not say."""
    match item:
        case Controller():
            return item.status.desired_number_scheduled if kind == "DaemonSet" else item.spec.replicas
        case Job():
            ended = any(one.type in objects().job_ends and one.status == "True" for one in item.status.conditions or ())
            if item.spec.suspend or item.status.completion_time or ended:
                return 0
            wanted = 1 if item.spec.parallelism is None else item.spec.parallelism
            over = (item.status.succeeded or 0) + indexes(item.status.failed_indexes or "")
            if item.spec.completions is None and item.status.succeeded:
                return 0  # of a work queue one succeeded: no more start
            left = None if item.spec.completions is None else item.spec.completions - over
            return wanted if left is None else max(0, min(wanted, left))
    return None


def indexes(text: str) -> int:
    """Return how many indexes a Job's status names: `1,3-5` are four."""
    total = 0
    for part in text[: objects().limits.message_chars].split(","):
        first, dash, last = part.strip().partition("-")
        if first.isdecimal() and (last.isdecimal() or not dash):
            total += max(0, int((last or first)[:9]) - int(first[:9]) + 1)
    return total


def template_of(item: Object) -> Template | None:
    """Return the pod template of a controller."""
    match item:
        case Controller() | Job():
            return item.spec.template
        case CronJob():
            return item.spec.job_template.spec.template if item.spec.job_template else None
    return None


def queue_of(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str | None:
    """Return the queue that work names."""
    keys = kubernetes.queues()
    found = kubernetes.first(labels, (*keys.labels, *keys.annotations))
    return found or kubernetes.first(annotations, keys.annotations)


def ignored_rules(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Return the rules that an object's own annotation asks to ignore."""
    text = annotations.get(kubernetes.own().ignore, "")
    return tuple(sorted({part.strip() for part in text.split(",") if part.strip()}))[:50]


def engine_of(containers: Iterable[Container]) -> str | None:
    """Return the serving engine that images or command lines show: its key among the systems."""
    return next((found for one in containers if (found := _engine(one.image, one.args))), None)


@lru_cache(maxsize=4096)
def _engine(image: str, args: tuple[str, ...]) -> str | None:
    serving = [system for system in systems.all_systems() if system.layer == "serving"]
    words = " ".join(args)
    by_command = next((s.key for s in serving if words and s.matches_command(words)), None)
    return by_command or next((s.key for s in serving if s.matches_image(image)), None)


def model_of(containers: Iterable[Container]) -> str | None:
    """Return the model that a container is told to serve."""
    for container in containers:
        words = container.args
        for position, word in enumerate(words):
            flag, equals, value = word.partition("=")
            if flag in _MODEL_FLAGS and (equals or position + 1 < len(words)):
                return value if equals else words[position + 1]
            if word == "serve" and position + 1 < len(words) and not words[position + 1].startswith("-"):
                return words[position + 1]
        named = next((container.env[name] for name in _MODEL_VARIABLES if name in container.env), None)
        if named:
            return named
    return None


def _details(group: str, kind: str, item: Object) -> dict[str, Any]:
    match item:
        case Controller():
            rolling = item.spec.strategy.rolling_update if item.spec.strategy else None
            return {
                "replicas": item.spec.replicas if kind != "DaemonSet" else item.status.desired_number_scheduled,
                "strategy": item.spec.strategy.type if item.spec.strategy else None,
                "max_surge": None if rolling is None or rolling.max_surge is None else str(rolling.max_surge),
                "volume_claims": tuple(t.metadata.name for t in item.spec.volume_claim_templates or ()),
            }
        case Job():
            return {
                "completions": item.spec.completions,
                "parallelism": item.spec.parallelism,
                "retries": item.spec.backoff_limit,
                "suspended": bool(item.spec.suspend),
                "extra": {"spec.completionMode": item.spec.completion_mode} if item.spec.completion_mode else {},
            }
        case CronJob():
            job = item.spec.job_template.spec if item.spec.job_template else None
            return {
                "schedule": item.spec.schedule,
                "suspended": bool(item.spec.suspend),
                "retries": job.backoff_limit if job else None,
            }
        case Custom():
            return _custom_details(group, kind, item)
    return {}


def _custom_details(group: str, kind: str, item: Custom) -> dict[str, Any]:
    how = kinds.find(group, kind)
    return {
        "replicas": _number(item, how.replicas) if how else None,
        "retries": _number(item, how.retries) if how else None,
        "suspended": bool(how and how.suspend and path_value(item, how.suspend) is True),
    }


def _number(item: Custom, path: str | None) -> int | None:
    return integer(path_value(item, path)) if path else None


def path_value(item: Custom, path: str) -> object:
    """Return the value at a dotted path that begins with spec or status, None where there is none."""
    first, *rest = path.split(".")
    value: object = item.spec if first == "spec" else item.status
    for step in rest:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _mentions_gpu(tree: object, *, depth: int) -> bool:
    """Whether a tree has a GPU resource as a key, and some of it; bounded in depth."""
    if depth > 16:
        return False
    if isinstance(tree, dict):
        return any(
            (isinstance(k, str) and is_gpu_resource(k) and not _is_none(v)) or _mentions_gpu(v, depth=depth + 1)
            for k, v in tree.items()
        )
    return isinstance(tree, list) and any(_mentions_gpu(value, depth=depth + 1) for value in tree[:100])


def _is_none(amount: object) -> bool:
    """Whether an amount of a resource is 0; what is no amount (a template's variable) is some."""
    return isinstance(amount, int | float | str) and quantity(amount) == 0


def root_of_meta(group: str, kind: str, meta: Meta) -> Root:
    """Return an object as its own root."""
    return Root(group, kind, meta.namespace, meta.name, uid=meta.uid)
