"""Pods that were not made yet, as their template has them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from gpuaudit.cluster.workloads import Holding, Pod, Shape
from gpuaudit.collect.kubernetes_types import Meta
from gpuaudit.collect.kubernetes_types.apps import Template
from gpuaudit.collect.kubernetes_types.core import Custom
from gpuaudit.collect.kubernetes_types.pods import Pod as PodObject
from gpuaudit.collect.objects.holdings import Surroundings, holdings_of_new
from gpuaudit.collect.objects.placement import shape
from gpuaudit.collect.objects.pods import claim_names, pod_record
from gpuaudit.collect.objects.requests import pod_requests
from gpuaudit.collect.objects.trees import MAX_ROWS, integer, mapping, rows
from gpuaudit.collect.objects.workloads import path_value


@dataclass(frozen=True, kw_only=True)
class PodSet:
    """Equal pods of a template; `pod` is one of them."""

    pod: Pod
    shape: Shape  # of all of them
    templates: tuple[str, ...]  # of resource claims
    name: str = ""  # of the role or group, in lower case

    def holdings(self, around: Surroundings) -> tuple[Holding, ...]:
        """Return what each pod would ask for, itself."""
        return holdings_of_new(msgspec.structs.replace(self.pod, resource_claims=()), self.templates, around)

    def shared(self, around: Surroundings, seen: set[tuple[str, str]]) -> tuple[Holding, ...]:
        """Return what they would ask for together: claims that they name, but for those seen before."""
        names = tuple(name for name in self.pod.resource_claims if (self.pod.namespace, name) not in seen)
        seen.update((self.pod.namespace, name) for name in names)
        together = Pod(cluster="", namespace=self.pod.namespace, name="", resource_claims=names)
        return holdings_of_new(together, (), around) if names else ()


def pod_set(template: Template, *, namespace: str, pods: int, name: str = "") -> PodSet:
    """Return so many pods of a template."""
    meta = Meta(namespace=namespace, labels=template.metadata.labels, annotations=template.metadata.annotations)
    made = PodObject(metadata=meta, spec=template.spec)
    return PodSet(
        pod=pod_record(made, pod_requests(template.spec), cluster=""),
        shape=shape(template.spec, pods=pods),
        templates=claim_names(made).templates,
        name=name.casefold(),
    )


def told_pod_set(row: Mapping[str, object], *, namespace: str, pods: int, name: str = "") -> PodSet | None:
    """Return so many pods of the template in a row of a custom resource, None where it has none."""
    tree = mapping(row.get("template"))
    for parts in (tree, {"spec": tree.get("spec", {})}):  # without its metadata where only these are broken
        with suppress(msgspec.ValidationError):
            return pod_set(msgspec.convert(parts, Template), namespace=namespace, pods=pods, name=name)
    return None


def told_number(told: object) -> int:
    """Return how many pods are told of: one where that is no number of pods."""
    count = integer(told, 1)
    return count if count is not None and 0 <= count < 10**6 else 1


def custom_sets(item: Custom, paths: Iterable[str]) -> tuple[PodSet, ...]:
    """Return the pods that a custom resource wants, by role (Kubeflow) or group (KubeRay, Volcano)."""
    found = []
    for name, row in (pair for path in paths for pair in _set_rows(path_value(item, path))):
        hosts = told_number(row.get("numOfHosts"))  # of each replica of a Ray group
        pods = hosts * told_number(row.get("replicas", row.get("minReplicas")))
        if "template" in row and row.get("suspend") is not True and pods:
            found.append(told_pod_set(row, namespace=item.metadata.namespace, pods=pods, name=name))
    return tuple(one for one in found if one)


def _set_rows(tree: object) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield rows with their names: of a list, of a map by name, or the one that it is itself."""
    if isinstance(tree, dict) and "template" in tree:
        yield "", tree
    elif isinstance(tree, dict):
        yield from ((str(name), mapping(row)) for name, row in list(tree.items())[:MAX_ROWS])
    for row in rows(tree):
        yield str(row.get("groupName") or row.get("name") or ""), row
