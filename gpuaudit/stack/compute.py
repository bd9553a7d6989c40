"""The rows of the compute layer: GPU Operator, MIG, Karpenter, Cluster Autoscaler."""

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.platform import InstalledSystem
from gpuaudit.knowledge import gpus, kubernetes
from gpuaudit.knowledge.objects import objects
from gpuaudit.knowledge.stack import stack
from gpuaudit.stack.installed import installed
from gpuaudit.stack.view import Verdict, View, counted, named, text_field


def gpu_operator(view: View) -> Verdict:
    """Return the verdict on the GPU Operator; its DaemonSets exist without it too."""
    record = view.system("gpu_operator")
    for policy in view.custom("ClusterPolicy"):
        state = text_field(policy, "status.state")
        if state and state != "ready" and record and record.pods_ready:
            said = f"ClusterPolicy {policy.name} is {state}"
            return Verdict("misconfigured", (said, *record.evidence[:3]), record.version)
    if record is None or not _stands_alone(record):
        return installed(view, "gpu_operator")
    told = record.evidence[:2]
    if _all_managed(view):
        return Verdict("provider_managed", ("the node image brings driver and toolkit; a device plugin runs", *told))
    alone = "a device plugin or feature discovery runs by itself; nothing of the operator is running"
    return Verdict("absent", (alone, *told)) if view.looked else Verdict("unknown", told)


def mig(view: View) -> Verdict:
    """Return the verdict on MIG: whether GPUs are partitioned, not whether its manager runs."""
    used = [node for node in view.gpu_nodes if _partitioned(node)]
    record = view.system("mig")
    version = record.version if record else None
    failed = [node for node in view.gpu_nodes if node.mig_config_state == "failed"]
    if failed:
        told = f"mig.config.state is failed on {counted(len(failed), 'node')}: {named(node.name for node in failed)}"
        return Verdict("misconfigured", (told, *_used(used)), version)
    if used:
        return Verdict("present", _used(used), version)
    if "nodes" not in view.facts:
        return Verdict("unknown", ("the nodes were not read",))
    capable = [node for node in view.gpu_nodes if any(_capable(card.model) for card in node.cards)]
    if not capable:
        known = all(card.model for node in view.gpu_nodes for card in node.cards)
        if not known:
            return Verdict("unknown", ("the models of some GPUs are not known",))
        return Verdict("absent", ("no GPU here can be partitioned" if view.gpu_nodes else "no GPU nodes",))
    untold = [node for node in capable if not _told(node)]
    if untold:
        told = f"no label or NVML fact tells of {counted(len(untold), 'node')} whose GPUs could be partitioned"
        return Verdict("unknown", (told,))
    count = sum(len(node.cards) for node in capable)
    return Verdict("absent", (f"{counted(count, 'GPU')} can be partitioned, none is",))


def karpenter(view: View) -> Verdict:
    """Return the verdict on Karpenter."""
    return installed(view, "karpenter")


def cluster_autoscaler(view: View) -> Verdict:
    """Return the verdict on the Cluster Autoscaler; beside a running Karpenter it is misconfigured."""
    found = installed(view, "cluster_autoscaler")
    other = installed(view, "karpenter")
    if found.status == "present" and other.status in ("present", "provider_managed"):
        return Verdict("misconfigured", (_beside(view), *found.evidence[:1], *other.evidence[:1]), found.version)
    if found.status in ("present", "misconfigured"):
        return found
    if any(view.custom("ConfigMap", "cluster-autoscaler-status")) and view.providers & _hosted():
        told = "ConfigMap kube-system/cluster-autoscaler-status: the provider's control plane runs it"
        return Verdict("provider_managed", (told,))
    if view.providers & _hosted():
        told = "the provider's control plane would run it: the cluster does not show whether it is switched on"
        return Verdict("unknown", (told,))
    return found


def _beside(view: View) -> str:
    prefix = "karpenter."
    own = sum(any(key.startswith(prefix) for key in node.labels) for node in view.gpu_nodes)
    rest = len(view.gpu_nodes) - own
    return (
        f"it runs beside Karpenter: {counted(own, 'GPU node')} of Karpenter's, {rest} of others; both act on the same "
        "pending pods unless each has groups of its own"
    )


def _hosted() -> frozenset[str]:
    return frozenset(stack().autoscaler_providers)


def _stands_alone(record: InstalledSystem) -> bool:
    """Whether only DaemonSets were seen, which exist without the operator too."""
    if not record.seen:
        return False
    return not {"custom", "crd", "image"} & set(record.seen) and not any(
        text.startswith("Deployment ") for text in record.evidence
    )


def _all_managed(view: View) -> bool:
    managed = {row.name for row in kubernetes.providers() if row.managed}
    return bool(view.providers) and view.providers <= managed


def _partitioned(node: Node) -> bool:
    if any(card.mig_enabled or card.mig for card in node.cards):
        return True
    prefix = kubernetes.gfd().mig_profile_prefix
    return any(one.name.startswith(prefix) and one.capacity for one in node.resources)


def _told(node: Node) -> bool:
    """Whether it is known that the node's GPUs are whole."""
    if all(card.mig_enabled is False for card in node.cards):
        return True
    label = kubernetes.gfd().mig_strategy in node.labels
    return label or node.provider == "gcp" or objects().cards.gke_partition in node.labels


def _used(nodes: list[Node]) -> tuple[str, ...]:
    if not nodes:
        return ()
    return (f"GPUs of {counted(len(nodes), 'node')} are partitioned: {named(node.name for node in nodes)}",)


def _capable(model: str | None) -> bool:
    found = gpus.by_key(model) if model else None
    return bool(found and found.mig_capable)
