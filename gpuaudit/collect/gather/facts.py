"""Which facts (knowledge.facts) the kinds of objects that were read give."""

from collections.abc import Iterable

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.platform import CustomObject
from gpuaudit.collect.gather.state import Gathered
from gpuaudit.knowledge import kinds

WHOLE_CLUSTER = frozenset(  # facts that some namespaces alone do not give: what is not in these may be in others
    ("nodes", "systems", "custom_objects", "dashboards", "mig_configs", "monitors", "node_pools", "claims")
)


def provided(state: Gathered, nodes: Iterable[Node]) -> tuple[str, ...]:
    """Return the facts that were given: by the kinds read, by the nodes' labels, and by the ConfigMaps among them."""
    found = {how.fact for kind in state.seen if (how := kinds.find(*kind)) and how.fact}
    configs = list(state.kept.values("custom /ConfigMap", CustomObject))
    found.discard("mig_configs")
    if any("mig-configs" in text for item in configs for text in item.fields.values()):
        found.add("mig_configs")
    if any(path.startswith("dashboard.") for item in configs for path in item.fields):
        found.add("dashboards")
    if ("apps", "Deployment") in state.seen or state.crds:
        found.add("systems")
    if any(node.driver_version for node in nodes):
        found.add("driver_versions")
    if ("apps", "Deployment") in state.seen:
        found.add("model_clients")
    if state.tenant:
        found -= WHOLE_CLUSTER
    return tuple(sorted(found))
