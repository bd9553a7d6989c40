"""Where a pod may stand: required node affinity, tolerations, and label selectors, all of them bounded."""

from collections.abc import Iterable

from gpuaudit.cluster.workloads import Requirement, Shape
from gpuaudit.collect.kubernetes_types.meta import Expression
from gpuaudit.collect.kubernetes_types.pods import PodSpec
from gpuaudit.collect.objects.nodes import bounded
from gpuaudit.collect.objects.requests import pod_requests

MAX_TERMS = 50
MAX_VALUES = 200


def node_terms(spec: PodSpec) -> tuple[tuple[Requirement, ...], ...]:
    """Return the required node affinity; a field of the node stands under its own path (metadata.name)."""
    affinity = spec.affinity.node_affinity.required if spec.affinity and spec.affinity.node_affinity else None
    terms = (affinity.node_selector_terms if affinity else None) or ()
    return tuple(
        requirements((*(term.match_expressions or ()), *(term.match_fields or ()))) for term in terms[:MAX_TERMS]
    )


def requirements(expressions: Iterable[Expression]) -> tuple[Requirement, ...]:
    """Return the expressions of a selector."""
    found = list(expressions)[:MAX_TERMS]
    return tuple((one.key, one.operator, tuple((one.values or ())[:MAX_VALUES])) for one in found)


def tolerations(spec: PodSpec) -> tuple[str, ...]:
    """Return tolerations as key[=value][:effect]; * stands for every key."""
    found = set()
    for one in (spec.tolerations or ())[:MAX_VALUES]:
        value = f"={one.value or ''}" if one.key and one.operator != "Exists" else ""
        found.add(f"{one.key or '*'}{value}{':' + one.effect if one.effect else ''}")
    return tuple(sorted(found))


def shape(spec: PodSpec, *, pods: int) -> Shape:
    """Return what each of `pods` pods of a template asks of a node."""
    return Shape(
        pods=pods,
        requests=pod_requests(spec),
        node_selector=bounded(spec.node_selector),
        node_terms=node_terms(spec),
        tolerations=tolerations(spec),
        priority=spec.priority,
    )
