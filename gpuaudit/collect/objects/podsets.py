"""Pods that were not made yet, as their template has them."""

from dataclasses import dataclass

import msgspec

from gpuaudit.cluster.workloads import Holding, Pod, Shape
from gpuaudit.collect.kubernetes_types import Meta
from gpuaudit.collect.kubernetes_types.apps import Template
from gpuaudit.collect.kubernetes_types.pods import Pod as PodObject
from gpuaudit.collect.objects.holdings import Surroundings, holdings_of_new
from gpuaudit.collect.objects.placement import shape
from gpuaudit.collect.objects.pods import claim_names, pod_record
from gpuaudit.collect.objects.requests import pod_requests


@dataclass(frozen=True, kw_only=True)
class PodSet:
    """Equal pods of a template; `pod` is one of them."""

    pod: Pod
    shape: Shape  # of all of them
    templates: tuple[str, ...]  # of resource claims

    def holdings(self, around: Surroundings) -> tuple[Holding, ...]:
        """Return what each pod would ask for, itself."""
        return holdings_of_new(msgspec.structs.replace(self.pod, resource_claims=()), self.templates, around)

    def shared(self, around: Surroundings) -> tuple[Holding, ...]:
        """Return what they would ask for together: claims that they name."""
        names = self.pod.resource_claims
        together = Pod(cluster="", namespace=self.pod.namespace, name="", resource_claims=names)
        return holdings_of_new(together, (), around) if names else ()


def pod_set(template: Template, *, namespace: str, pods: int) -> PodSet:
    """Return so many pods of a template."""
    meta = Meta(namespace=namespace, labels=template.metadata.labels, annotations=template.metadata.annotations)
    made = PodObject(metadata=meta, spec=template.spec)
    return PodSet(
        pod=pod_record(made, pod_requests(template.spec), cluster=""),
        shape=shape(template.spec, pods=pods),
        templates=claim_names(made).templates,
    )
