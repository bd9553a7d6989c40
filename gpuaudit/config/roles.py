"""Lays the `[roles]` table over the roles that annotations gave."""

from dataclasses import replace
from typing import TypeVar

import msgspec

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.platform import Namespace
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Workload
from gpuaudit.config.options import Config

R = TypeVar("R", Node, Workload, Namespace)


def with_roles(snapshot: Snapshot, config: Config) -> Snapshot:
    """Return the snapshot with the configured roles on nodes, workloads and namespaces; an annotation wins."""
    if not config.roles:
        return snapshot
    return replace(
        snapshot,
        nodes=tuple(_with_role(node, config) for node in snapshot.nodes),
        workloads=tuple(_with_role(workload, config) for workload in snapshot.workloads),
        namespaces=tuple(_with_role(namespace, config) for namespace in snapshot.namespaces),
    )


def _with_role(record: R, config: Config) -> R:
    role = record.role or _role(record, config)
    return record if role == record.role else msgspec.structs.replace(record, role=role)


def _role(record: Node | Workload | Namespace, config: Config) -> str | None:
    for role, selectors in config.roles.items():
        for selector in selectors:
            if isinstance(record, Node):
                matches = selector.matches_node(record)
            elif isinstance(record, Workload):
                matches = selector.matches_workload(record)
            else:
                matches = selector.matches_namespace(record)
            if matches:
                return role
    return None
