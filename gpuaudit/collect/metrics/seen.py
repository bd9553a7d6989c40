"""What metrics show of the machines: cards per host, when nodes were there, and which metrics exist."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from gpuaudit.cluster.nodes import Card, MigDevice, Span
from gpuaudit.cluster.platform import Metric
from gpuaudit.collect.metrics.exposition import NO_TIME
from gpuaudit.collect.metrics.identity import Device, Places, host_names, is_device
from gpuaudit.collect.metrics.store import Series
from gpuaudit.knowledge import gpus, metrics, mig, series

NodeKey = tuple[str, str]  # cluster and name
ABSENCE_MS = 300_000  # Prometheus itself looks back five minutes


@dataclass
class _Seen:
    """A card while it is put together from its series."""

    device: Device
    labels: dict[str, str] = field(default_factory=dict)
    newest: int = NO_TIME
    memory: dict[str, float] = field(default_factory=dict)  # MiB by metric
    instances: dict[str, tuple[int, str]] = field(default_factory=dict)  # newest time and profile by instance
    faults: set[str] = field(default_factory=set)


def cards(devices: Iterable[tuple[Series, Device]]) -> dict[NodeKey, tuple[Card, ...]]:
    """Return the cards of each host, by index; a card that moved counts where it was seen last.

    The MIG devices of a card are those seen at its newest time: older ones were reconfigured away.
    """
    found: dict[tuple[str, str], _Seen] = {}
    for one, device in devices:
        seen = found.setdefault((device.cluster, device.card), _Seen(device))
        _learn(seen, one, device)
    by_node: dict[NodeKey, list[Card]] = {}
    for seen in found.values():
        by_node.setdefault((seen.device.cluster, seen.device.node), []).append(_card(seen))
    return {node: _numbered(row) for node, row in by_node.items()}


def _learn(seen: _Seen, one: Series, device: Device) -> None:
    time = one.last if one.last is not None else NO_TIME
    if time >= seen.newest:
        seen.newest, seen.device = time, device
        seen.labels = {**seen.labels, **one.labels}
    fields = metrics.device_fields()
    if device.instance:
        seen.instances[device.instance] = max(
            seen.instances.get(device.instance, (NO_TIME, "")), (time, device.profile)
        )
    elif one.value is not None:
        of_memory = (fields.memory_used_mib, fields.memory_free_mib, fields.memory_reserved_mib)
        seen.memory |= {feed.metric: one.value * feed.scale for feed in of_memory if feed.metric == one.name}
    if one.value:
        if one.name == fields.last_xid.metric:
            seen.faults.add(f"xid {int(one.value)}")
        elif one.name == fields.row_remap_failure.metric:
            seen.faults.add("row remap failure")


def _card(seen: _Seen) -> Card:
    known = metrics.labels()
    fields = metrics.device_fields()
    name = _first(seen.labels, known.model)
    total = None
    if fields.memory_used_mib.metric in seen.memory and fields.memory_free_mib.metric in seen.memory:
        total = sum(seen.memory.values())
    model = gpus.identify(name, memory_mib=total) if name else None
    return Card(
        index=seen.device.place if seen.device.place is not None else -1,
        uuid=seen.device.card if _first(seen.labels, known.uuid) else None,
        model=model.key if model else None,
        name=name,
        memory_mib=total,
        pci=_first(seen.labels, known.pci),
        mig_enabled=True if seen.instances else None,
        mig=_instances(seen),
        faults=tuple(sorted(seen.faults)),
    )


def _instances(seen: _Seen) -> tuple[MigDevice, ...]:
    newest = max((time for time, _ in seen.instances.values()), default=NO_TIME)
    limit = newest - series.facts().max_interval_seconds * 1000
    current = [(i, profile) for i, (time, profile) in seen.instances.items() if time >= limit]
    rows = [
        MigDevice(profile=mig.canonical(profile) or profile, gpu_instance_id=int(i) if i.isdigit() else None)
        for i, profile in current
    ]
    return tuple(sorted(rows, key=lambda row: (row.gpu_instance_id or 0, row.profile)))


def _numbered(row: list[Card]) -> tuple[Card, ...]:
    """Order by index; cards whose index no label told take the free numbers."""
    import msgspec

    taken = {card.index for card in row}
    free = (number for number in range(len(row) + max(taken) + 2) if number not in taken)
    row.sort(key=lambda card: (card.index < 0, card.index, card.uuid or ""))
    numbered = [card if card.index >= 0 else msgspec.structs.replace(card, index=next(free)) for card in row]
    return tuple(sorted(numbered, key=lambda card: (card.index, card.uuid or "")))


def presence(store: Iterable[Series], places: Places, *, end: int) -> dict[NodeKey, tuple[Span, ...]]:
    """Return when kube-state-metrics listed each node. A time at which it listed no node at all says nothing."""
    facts = series.facts().node
    found: dict[NodeKey, list[Any]] = {}
    for one in store:
        name = one.labels.get(series.facts().exported_prefix + facts.name) or one.labels.get(facts.name)
        if one.name == facts.metric and name:
            times = [np.where(times == NO_TIME, end, times) for times, _ in one.chunks]
            found.setdefault((places.cluster(one), name), []).extend(times)
    seen = {node: np.unique(np.concatenate(times)) for node, times in found.items() if times}
    spans: dict[NodeKey, tuple[Span, ...]] = {}
    for cluster in {node[0] for node in seen}:
        moments = np.unique(np.concatenate([times for node, times in seen.items() if node[0] == cluster]))
        if len(moments) > 1:
            spans |= {node: _spans(times, moments) for node, times in seen.items() if node[0] == cluster}
    return spans


def _spans(times: Any, moments: Any) -> tuple[Span, ...]:
    """Return runs of moments without a missing one that lasts; each begins one spacing before its first moment.

    Scrapers of one exporter do not meet at the same moment: less than five minutes are no absence.
    """
    usual = float(np.median(np.diff(times))) if len(times) > 1 else float(np.median(np.diff(moments)))
    usual = min(usual, series.facts().max_interval_seconds * 1000)
    limit = max(ABSENCE_MS, 1.5 * usual)
    gaps = np.flatnonzero(np.diff(times) > limit)
    told = [np.count_nonzero((moments > times[g]) & (moments < times[g + 1])) > 1 for g in gaps]
    breaks = [int(g) for g, lists_others in zip(gaps, told, strict=True) if lists_others]
    starts, ends = [0, *(b + 1 for b in breaks)], [*breaks, len(times) - 1]
    return tuple(Span(start=at(times[s] - usual), end=at(times[e])) for s, e in zip(starts, ends, strict=True))


def host_spans(devices: Iterable[tuple[Series, Device]], *, now: int) -> dict[NodeKey, Span]:
    """Return from when to when each host's exporter was heard; it does not say the host was gone.

    A sample stands for the spacing before it, so the first one begins that much earlier.
    """
    found: dict[NodeKey, tuple[int, int]] = {}
    for one, device in devices:
        if one.count and device.node:
            node = (device.cluster, device.node)
            start, end = (now if time is None else time for time in (one.first, one.last))
            start -= _spacing(one)
            first, last = found.get(node, (start, end))
            found[node] = (min(first, start), max(last, end))
    return {node: Span(start=at(first), end=at(last)) for node, (first, last) in found.items()}


def _spacing(one: Series) -> int:
    """Median spacing of a series in ms, 0 for a single moment."""
    times = np.sort(np.concatenate([times for times, _ in one.chunks] or [np.empty(0, "int64")]))
    gaps = np.diff(times[times != NO_TIME])
    gaps = gaps[gaps > 0]
    return int(min(np.median(gaps), series.facts().max_interval_seconds * 1000)) if len(gaps) else 0


def inventory(store: Iterable[Series], intervals: Mapping[str, float]) -> tuple[Metric, ...]:
    """Return the metrics of each source; `intervals` in ms by metric where they were measured."""
    found: dict[tuple[str, str], list[Series]] = {}
    for one in store:
        found.setdefault((one.name, one.source), []).append(one)
    return tuple(_metric(name, source, rows, intervals.get(name)) for (name, source), rows in sorted(found.items()))


def _metric(name: str, source: str, rows: list[Series], interval_ms: float | None) -> Metric:
    firsts = [one.first for one in rows if one.first is not None]
    lasts = [one.last for one in rows if one.last is not None]
    hosts = {names[0] for one in rows if is_device(one) and (names := host_names(one))}
    return Metric(
        name=name,
        source=source,
        series=len(rows),
        interval_seconds=interval_ms / 1000 if interval_ms and interval_ms == interval_ms else None,  # noqa: PLR0124
        first=at(min(firsts)) if firsts else None,
        last=at(max(lasts)) if lasts else None,
        hosts=len(hosts) or None,
    )


def at(ms: float) -> datetime:
    """Return the time of a number of milliseconds since the epoch."""
    return datetime.fromtimestamp(float(ms) / 1000, tz=UTC)


def _first(labels: Mapping[str, str], keys: Iterable[str]) -> str | None:
    return next((labels[key] for key in keys if labels.get(key)), None)
