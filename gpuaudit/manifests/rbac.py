"""The role that reading a cluster needs: exactly the kinds that are listed, and nothing else."""

from gpuaudit import __version__
from gpuaudit.knowledge.kinds import all_kinds, subresources
from gpuaudit.manifests.rendering import render


def rbac() -> str:
    """Return namespace, service account, cluster role and binding."""
    return render("rbac.yaml.j2", version=__version__, groups=plurals_by_group(), through=subresources())


def plurals_by_group() -> dict[str, list[str]]:
    """Return the resources that are listed, by API group."""
    groups: dict[str, list[str]] = {}
    for how in all_kinds():
        groups.setdefault(how.group, []).append(how.plural)
    return {group: sorted(groups[group]) for group in sorted(groups)}
