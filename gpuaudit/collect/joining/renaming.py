"""Give the clusters of a snapshot other names: two clusters of one name cannot stand in one fleet."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from gpuaudit.cluster.nodes import Cluster, Node
from gpuaudit.cluster.record import Record
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.usage import Usage, conform_devices, conform_hourly

if TYPE_CHECKING:
    import pandas as pd

R = TypeVar("R", bound=Record)
_IDS = ("id", "workload", "target")  # fields that hold a workload id


def rename_clusters(snapshot: Snapshot, names: Mapping[str, str]) -> Snapshot:
    """Return the snapshot with new names (old → new) in every record, workload id and table."""
    if all(old == new for old, new in names.items()):
        return snapshot
    changed: dict[str, Any] = {}
    for field in fields(Snapshot):
        value = getattr(snapshot, field.name)
        if isinstance(value, tuple):
            changed[field.name] = tuple(_renamed(record, names) for record in value)
    usage = Usage(
        hourly=conform_hourly(_table(snapshot.usage.hourly, names)),
        devices=conform_devices(_table(snapshot.usage.devices, names)),
    )
    return replace(snapshot, **changed, usage=usage)


def _renamed(record: R, names: Mapping[str, str]) -> R:
    changed: dict[str, object] = {}
    cluster = getattr(record, "cluster", None)
    if isinstance(cluster, str) and cluster in names:
        changed["cluster"] = names[cluster]
    if isinstance(record, Cluster):
        changed["name"] = names.get(record.name, record.name)
    for field in _IDS:
        if isinstance(text := getattr(record, field, None), str):
            changed[field] = _id(text, names)
    if isinstance(record, Node):
        changed["tenants"] = tuple(_renamed(tenant, names) for tenant in record.tenants)
    return msgspec.structs.replace(record, **changed) if changed else record


def _id(text: str, names: Mapping[str, str]) -> str:
    """Return a workload id with its cluster renamed; the cluster's own name may hold slashes."""
    parts = text.rsplit("/", 3)
    return "/".join([names.get(parts[0], parts[0]), *parts[1:]]) if len(parts) == 4 else text


def _table(table: "pd.DataFrame", names: Mapping[str, str]) -> "pd.DataFrame":
    owners = {owner: _id(owner, names) for owner in table["owner"].unique()}
    clusters = table["cluster"].astype("str").replace(dict(names))
    return table.assign(cluster=clusters, owner=table["owner"].astype("str").map(owners))
