"""Systems that a provider runs out of sight: their absence as a workload is no absence."""

from collections.abc import Iterable

from gpuaudit.cluster.nodes import Node
from gpuaudit.collect.objects.systems import SystemFacts
from gpuaudit.knowledge import kubernetes


def note_provider_managed(systems: SystemFacts, nodes: Iterable[Node], served: Iterable[str]) -> None:
    """Note what EKS, GKE and AKS do themselves on the GPU nodes seen, and Karpenter where they run it."""
    found = list(nodes)
    names = set(served)
    for provider in sorted({node.provider for node in found if node.provider and node.cards}):
        row = next((one for one in kubernetes.providers() if one.name == provider), None)
        own = [node for node in found if node.provider == provider and node.cards]
        if row and row.managed and not _operator_labels(own):
            systems.add_provider_managed(
                "gpu_operator", f"{row.managed} provides driver and device plugin on {len(own)} nodes"
            )
    if "nodeclasses.eks.amazonaws.com" in names and not systems.has_workload("karpenter"):
        systems.add_provider_managed("karpenter", "EKS Auto Mode serves its node classes")
    if "aksnodeclasses.karpenter.azure.com" in names and not systems.has_workload("karpenter"):
        systems.add_provider_managed("karpenter", "AKS node auto-provisioning serves its node classes")


def _operator_labels(nodes: Iterable[Node]) -> bool:
    prefix = kubernetes.gfd().deploy_prefix
    return any(key.startswith(prefix) for key in set[str]().union(*(node.labels for node in nodes)))
