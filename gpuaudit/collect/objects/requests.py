"""What a pod asks for, as the scheduler counts it (KEP-753 sidecars, overhead, pod-level resources)."""

from collections.abc import Iterable, Mapping

from gpuaudit.collect.kubernetes_types.pods import Asking, LightSpec, Resources
from gpuaudit.collect.objects.quantities import amounts

_POD_LEVEL = ("cpu", "memory")  # what pod-level resources may set, besides huge pages

Amounts = dict[str, float]


def container_requests(resources: Resources) -> Amounts:
    """Return the requests of one container; a limit stands in for a missing one, as the API server defaults it."""
    limits, requests = resources.limits, resources.requests
    if not limits or (requests and limits.keys() <= requests.keys()):
        return amounts(requests)
    return amounts(limits) | amounts(requests)


def pod_requests(spec: LightSpec) -> Amounts:
    """Return max(containers + sidecars, the highest moment of the init phase) + overhead, per resource.

    Sidecars (init containers that restart always) stay, so those started before an init container add to it.
    """
    containers = spec.containers or ()
    if len(containers) == 1 and not (spec.init_containers or spec.overhead or spec.resources):
        return container_requests(containers[0].resources)
    init_peak, sidecars = _init_phase(spec.init_containers or ())
    running = _sum([sidecars, *(container_requests(container.resources) for container in containers)])
    total = _max(running, init_peak)
    if spec.resources is not None:
        whole = container_requests(spec.resources)
        total |= {name: value for name, value in whole.items() if name in _POD_LEVEL or name.startswith("hugepages-")}
    return _sum([total, amounts(spec.overhead)])


def is_sidecar(container: Asking) -> bool:
    """Whether an init container keeps running beside the others."""
    return container.restart_policy == "Always"


def _init_phase(containers: Iterable[Asking]) -> tuple[Amounts, Amounts]:
    """Return the peak of the init phase and what the sidecars ask for in sum."""
    peak: Amounts = {}
    sidecars: Amounts = {}
    for container in containers:
        requests = container_requests(container.resources)
        if is_sidecar(container):
            sidecars = _sum([sidecars, requests])
            peak = _max(peak, sidecars)
        else:
            peak = _max(peak, _sum([sidecars, requests]))
    return peak, sidecars


def _sum(parts: Iterable[Mapping[str, float]]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0.0) + value
    return total


def _max(one: Mapping[str, float], other: Mapping[str, float]) -> Amounts:
    return {name: max(one.get(name, 0.0), other.get(name, 0.0)) for name in {**one, **other}}
