"""Whose a device was when the metrics name no pod: told by the holdings of now, where they leave no doubt.

A card belongs to one workload when that workload alone holds the whole node, or when a holding names the card, since
the last of its pods started. Hours before that stay with the unknown owner.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.usage import UNKNOWN_OWNER, Usage, conform_devices, conform_hourly
from gpuaudit.cluster.workloads import Pod

if TYPE_CHECKING:
    import pandas as pd

CardKey = tuple[str, str]  # cluster, card id of the usage tables

_PERCENTILES = ("util_p50", "util_p95", "util_p99", "dram_p95", "power_p95_watts", "memory_p99_mib")
_MAXIMA = {"util_max": "util_max", "memory_max_mib": "memory_max_mib"}  # of the device table: of the hourly one


class Tenure(NamedTuple):
    """Who holds a card alone, since when, and by which pod."""

    workload: str
    since: datetime
    pod: Pod


def own_by_holdings(usage: Usage, nodes: Iterable[Node], pods: Iterable[Pod]) -> Usage:
    """Return the usage with the owners that holdings tell; percentiles of a split row become unknown."""
    if not (usage.devices["owner"] == UNKNOWN_OWNER).any():
        return usage
    told = _told(usage, _tenures(nodes, pods))
    if told.empty:
        return usage
    hourly = usage.hourly.astype({"owner": "str"})
    hourly.loc[told["row"].to_numpy(), "owner"] = told["workload"].to_numpy()
    made = _device_rows(usage.devices, hourly, told)
    return Usage(hourly=conform_hourly(hourly), devices=conform_devices(made))


def _told(usage: Usage, tenures: Mapping[CardKey, Tenure]) -> "pd.DataFrame":
    """Return the hourly rows of unknown owner that holdings tell: row number, its key, and the tenure's columns."""
    import pandas as pd

    held = [(*key, one.workload, one.since, one.pod.namespace, one.pod.name) for key, one in tenures.items()]
    table = pd.DataFrame(held, columns=["cluster", "card", "workload", "since", "namespace", "pod"])
    cards = usage.devices[["cluster", "device", "card"]].drop_duplicates(["cluster", "device"])
    unknown = usage.hourly[usage.hourly["owner"] == UNKNOWN_OWNER][["cluster", "device", "hour"]]
    told = unknown.reset_index(names="row").merge(cards).merge(table, on=["cluster", "card"])
    told = told[told["hour"] >= pd.to_datetime(told["since"], utc=True)]
    wanted = pd.MultiIndex.from_frame(told[["cluster", "device", "workload", "hour"]])
    taken = pd.MultiIndex.from_frame(usage.hourly[["cluster", "device", "owner", "hour"]])
    return told[~wanted.isin(taken)]


def _tenures(nodes: Iterable[Node], pods: Iterable[Pod]) -> Mapping[CardKey, Tenure]:
    by_node: dict[tuple[str, str], list[Pod]] = {}
    for pod in pods:
        if pod.holds and pod.node:
            by_node.setdefault((pod.cluster, pod.node), []).append(pod)
    found: dict[CardKey, Tenure] = {}
    for node in nodes:
        holders = by_node.get(node.key, [])
        found |= _of_named(node, holders) | _of_whole(node, holders)
    return found


def _of_whole(node: Node, holders: list[Pod]) -> dict[CardKey, Tenure]:
    """Return all cards of a node that pods of one workload hold as a whole."""
    amounts = [pod.gpus for pod in holders]
    whole = all(holding.kind == "whole" for pod in holders for holding in pod.holdings)
    if len({pod.workload for pod in holders}) != 1 or not whole or None in amounts:
        return {}
    tenure = _tenure(holders)
    if tenure is None or sum(amount or 0 for amount in amounts) != node.gpus:
        return {}
    return {(node.cluster, card.uuid or f"{node.name}/{card.index}"): tenure for card in node.cards}


def _of_named(node: Node, holders: list[Pod]) -> dict[CardKey, Tenure]:
    """Return the cards that holdings of one workload name."""
    named: dict[str, list[Pod]] = {}
    for pod in holders:
        for holding in pod.holdings:
            for device in holding.devices:
                named.setdefault(device, []).append(pod)
    found = {}
    for device, holding_pods in named.items():
        tenure = _tenure(holding_pods)
        if tenure is not None and len({pod.workload for pod in holding_pods}) == 1:
            found[(node.cluster, device)] = tenure
    return found


def _tenure(holders: list[Pod]) -> Tenure | None:
    starts = [pod.started or pod.scheduled for pod in holders]
    known = [start for start in starts if start is not None]
    if not holders or len(known) < len(starts):
        return None
    first = min(holders, key=lambda pod: pod.key)
    return Tenure(first.workload, max(known), first)


def _device_rows(devices: "pd.DataFrame", hourly: "pd.DataFrame", told: "pd.DataFrame") -> "pd.DataFrame":
    """Return the device table whose touched devices have a row per owner of their hours."""
    import pandas as pd

    touched = told[["cluster", "device", "workload", "namespace", "pod"]].drop_duplicates(["cluster", "device"])
    is_touched = pd.MultiIndex.from_frame(devices[["cluster", "device"]]).isin(
        pd.MultiIndex.from_frame(touched[["cluster", "device"]])
    )
    rows: dict[tuple[str, str], dict[str, dict[Any, Any]]] = {}
    for row in devices[is_touched].to_dict("records"):
        rows.setdefault((row["cluster"], row["device"]), {})[row["owner"]] = row
    hours = hourly.merge(touched, on=["cluster", "device"]).groupby(["cluster", "device", "owner"])
    made = [_row(rows[(str(cluster), str(device))], str(owner), part) for (cluster, device, owner), part in hours]
    return pd.concat([devices[~is_touched], pd.DataFrame(made)], ignore_index=True)


def _row(before: dict[Any, Any], owner: str, hours: "pd.DataFrame") -> dict[Any, Any]:
    """Return an owner's row: as it was, renamed when all of it changed hands, or split."""
    samples = float(hours["samples"].sum())
    unknown, own = before[UNKNOWN_OWNER], before.get(owner)
    if own is not None and abs(own["samples"] - samples) < 0.5:
        return dict(own)
    row = dict(own or unknown) | {"owner": owner}
    first, tenure = hours["hour"].min(), hours.iloc[0]
    if owner == tenure["workload"]:
        row |= {"namespace": tenure["namespace"], "pod": tenure["pod"], "last": max(row["last"], unknown["last"])}
        row["first"] = min(row["first"], first) if own else max(row["first"], first)
    else:
        row["last"] = min(row["last"], hours["hour"].max() + timedelta(hours=1))
    if own is None and abs(unknown["samples"] - samples) < 0.5:
        return row
    row |= {"samples": samples, **dict.fromkeys(_PERCENTILES, float("nan"))}
    return row | {name: float(hours[name_hourly].max()) for name, name_hourly in _MAXIMA.items()}
