"""Who opted out of a finding: ignores, exemptions, annotations and roles; counted and listed, never silent."""

from fnmatch import fnmatchcase

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.config import Config, Selector
from gpuaudit.outcome import OptOut
from gpuaudit.rule import Finding

ANNOTATION = "gpuaudit.io/ignore"


class OptOuts:
    """The opt-outs that hold at the time of the snapshot."""

    def __init__(self, snapshot: Snapshot, config: Config) -> None:
        self._snapshot = snapshot
        self._flagged = {name.strip().replace("_", "-") for name in config.ignore_rules}
        self._ignores = [row for row in config.ignore if row.active(snapshot.taken_at)]
        self._exempts = [row for row in config.exempt if row.active(snapshot.taken_at)]

    def of(self, rule: str, finding: Finding) -> OptOut | None:
        """Return the first opt-out that covers the finding, or None: flag, ignores, exemptions, annotations, roles."""
        if rule in self._flagged:
            return OptOut("--ignore", "no reason is kept in a flag")
        for ignore in self._ignores:
            if any(fnmatchcase(rule, pattern) for pattern in ignore.rule) and (
                not ignore.names_something or self._meant(ignore, finding)
            ):
                return OptOut("config [[ignore]]", ignore.reason, ignore.expires.isoformat())
        for exempt in self._exempts:
            if self._meant(exempt, finding):
                return OptOut(f"config [[exempt]], {exempt.owner}", exempt.reason, exempt.expires.isoformat())
        return self._annotated(rule, finding) or self._by_role(finding)

    def _meant(self, selector: Selector, finding: Finding) -> bool:
        nodes = self._nodes(finding)
        if nodes and all(selector.matches_node(node) for node in nodes):
            return True
        subject = finding.subject
        node = nodes[0] if len(nodes) == 1 else None
        if selector.matches(
            cluster=subject.cluster,
            namespace=subject.namespace,
            kind=subject.kind,
            name=subject.name,
            node=node.name if node else subject.node,
            pool=node.pool if node else None,
            instance_type=node.instance_type if node else None,
            labels=self._labels(finding),
        ):
            return True
        workload = self._snapshot.workload_by_id.get(self._workload_id(finding) or "")
        return workload is not None and selector.matches_workload(workload)

    def _annotated(self, rule: str, finding: Finding) -> OptOut | None:
        workload = self._snapshot.workload_by_id.get(self._workload_id(finding) or "")
        namespace = self._snapshot.namespace_by_key.get((finding.subject.cluster, finding.subject.namespace or ""))
        for where, rules in (
            ("annotation", workload.ignore if workload else ()),
            ("annotation of the namespace", namespace.ignore if namespace else ()),
        ):
            if rule in rules or "*" in rules or "all" in rules:
                return OptOut(f"{where} {ANNOTATION}", "no reason is kept in an annotation")
        return None

    def _by_role(self, finding: Finding) -> OptOut | None:
        workload = self._snapshot.workload_by_id.get(self._workload_id(finding) or "")
        namespace = self._snapshot.namespace_by_key.get((finding.subject.cluster, finding.subject.namespace or ""))
        nodes = self._nodes(finding) if finding.subject.kind == "Node" else []
        roles = {record.role for record in (workload, namespace) if record is not None}
        if nodes and len({node.role for node in nodes}) == 1:
            roles.add(nodes[0].role)
        role = next((role for role in sorted(filter(None, roles))), None)
        return OptOut(f"role {role}", f"declared {role}: never accused, still in the bill") if role else None

    def _nodes(self, finding: Finding) -> list[Node]:
        """Nodes that a node finding is about."""
        subject = finding.subject
        if subject.kind != "Node":
            return []
        named = {subject.name, subject.node or "", *finding.releases}
        named |= {device.rpartition("/")[0] for device in subject.devices}
        nodes = {node.key: node for device in subject.devices for node in self._with_device(device)}
        for name in named:
            node = self._snapshot.node_by_key.get((subject.cluster, name))
            if node is not None:
                nodes[node.key] = node
        return [nodes[key] for key in sorted(nodes)]

    def _with_device(self, device: str) -> list[Node]:
        found = self._snapshot.card_by_uuid.get(device.partition("/")[0])
        return [found[0]] if found else []

    def _labels(self, finding: Finding) -> dict[str, str]:
        workload = self._snapshot.workload_by_id.get(self._workload_id(finding) or "")
        return workload.labels if workload else {}

    @staticmethod
    def _workload_id(finding: Finding) -> str | None:
        subject = finding.subject
        if finding.workload:
            return finding.workload
        if subject.namespace is None:
            return None
        return f"{subject.cluster}/{subject.kind}/{subject.namespace}/{subject.name}"
