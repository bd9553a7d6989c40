"""All samples → the parts of a snapshot that metrics give: usage tables, cards, presence of nodes, inventory."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from gpuaudit.cluster.nodes import Card, Interface, Node, Span
from gpuaudit.cluster.platform import Metric
from gpuaudit.cluster.serving import Served
from gpuaudit.cluster.usage import UNKNOWN_OWNER, Usage, conform_devices, conform_hourly
from gpuaudit.collect.engines.samples import served
from gpuaudit.collect.engines.whose import Whose
from gpuaudit.collect.metrics.exposition import NO_TIME
from gpuaudit.collect.metrics.identity import ClusterOf, Device, Holder, Holders, Places, is_device
from gpuaudit.collect.metrics.mig_share import share
from gpuaudit.collect.metrics.owners import OwnerOf, Owners
from gpuaudit.collect.metrics.ports import listed_place, ports
from gpuaudit.collect.metrics.seen import NodeKey, cards, host_spans, inventory, presence
from gpuaudit.collect.metrics.store import SPACING_SERIES, SampleStore, Series
from gpuaudit.collect.metrics.tables import DeviceSamples, device_rows, device_samples
from gpuaudit.collect.metrics.timeline import FEW_SAMPLES, HOUR_MS, Track, spacing
from gpuaudit.knowledge import series

Tracks = dict[str, list[Track]]  # by field


@dataclass(frozen=True, kw_only=True)
class MetricsPart:
    """What metrics say. `attributed` = they name the pods that hold devices; `history` = over time, not at one moment.

    `present` comes from kube-state-metrics alone; `heard` is when a host's exporter was heard (no proof of absence
    outside). `join_ratio` = device series whose host or pod is known, None when no node is known.
    """

    usage: Usage = field(default_factory=Usage)
    cards: Mapping[NodeKey, tuple[Card, ...]] = field(default_factory=dict)
    present: Mapping[NodeKey, tuple[Span, ...]] = field(default_factory=dict)
    heard: Mapping[NodeKey, Span] = field(default_factory=dict)
    ports: Mapping[NodeKey, tuple[Interface, ...]] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    served: tuple[Served, ...] = ()
    attributed: bool = False
    history: bool = False
    join_ratio: float | None = None
    unplaced_series: int = 0  # device series without UUID, host and index


def metrics_part(
    store: SampleStore,
    *,
    window: Span,
    taken_at: datetime,
    cluster_of: ClusterOf,
    nodes: Collection[Node] = (),
    owner_of: OwnerOf | None = None,
    workloads: Collection[str] = (),
) -> MetricsPart:
    """Make the parts. Samples count in (window.start, window.end]; those without a time are of `taken_at`.

    `cluster_of(label, source)` names the cluster of a cluster label's value ("" = no such label); `nodes` are those of
    the node lists; `owner_of(cluster, namespace, pod, node)` tells the workload of a listed pod; `workloads` are the
    ids that pods which are gone may belong to.
    """
    places = Places(store, cluster_of, nodes)
    owners = Owners(store, cluster_of=cluster_of, owner_of=owner_of, workloads=workloads)
    placed = [(one, device) for one in store if is_device(one) and (device := places.device(one))]
    holders = Holders(store)
    now = round(taken_at.timestamp() * 1000)
    clip = _Clip(round(window.start.timestamp() * 1000), round(window.end.timestamp() * 1000), now)
    made = _Tables(owners, _usual_spacing(placed))
    for devices, tracks in _by_card(placed, holders, clip):
        made.add(devices, tracks)
    usage = made.usage()
    return MetricsPart(
        usage=usage,
        cards=cards(placed),
        present=presence(store, places, end=now),
        heard=host_spans(placed, now=now),
        ports=ports(store, listed_place(nodes, places.cluster)),
        metrics=inventory(store, made.intervals()),
        served=served(store, Whose(cluster_of, owners, workloads=workloads), window=window, source="metrics"),
        attributed=bool(len(usage.devices)) and bool((usage.devices["owner"] != UNKNOWN_OWNER).any()),
        history=bool(usage.devices["interval_seconds"].notna().any()),
        join_ratio=join_ratio(placed, holders, owners, places),
        unplaced_series=sum(is_device(one) for one in store) - len(placed),
    )


def combined(parts: Sequence[MetricsPart]) -> MetricsPart:
    """Return the parts of several clusters as one; the join ratio is the worst."""
    if len(parts) <= 1:
        return parts[0] if parts else MetricsPart()
    import pandas as pd

    ratios = [part.join_ratio for part in parts if part.join_ratio is not None]
    return MetricsPart(
        usage=Usage(
            hourly=conform_hourly(pd.concat([part.usage.hourly for part in parts])),
            devices=conform_devices(pd.concat([part.usage.devices for part in parts])),
        ),
        cards={key: value for part in parts for key, value in part.cards.items()},
        present={key: value for part in parts for key, value in part.present.items()},
        heard={key: value for part in parts for key, value in part.heard.items()},
        ports={key: value for part in parts for key, value in part.ports.items()},
        metrics=tuple(metric for part in parts for metric in part.metrics),
        served=tuple(sorted((one for part in parts for one in part.served), key=lambda one: one.key)),
        attributed=any(part.attributed for part in parts),
        history=any(part.history for part in parts),
        join_ratio=min(ratios, default=None),
        unplaced_series=sum(part.unplaced_series for part in parts),
    )


def join_ratio(
    placed: Collection[tuple[Series, Device]], holders: Holders, owners: Owners, places: Places
) -> float | None:
    """Return the share of device series of listed clusters whose host or pod Kubernetes knows."""
    rows = [(one, device) for one, device in placed if device.cluster in places.clusters]
    if not rows:
        return 0.0 if placed and places.clusters else None
    joined = sum(
        places.listed(device.cluster, device.node) is not None
        or owners.knows(device.cluster, holders.holder(one), device.node)
        for one, device in rows
    )
    return joined / len(rows)


@dataclass(frozen=True)
class _Clip:
    """The window in ms, and the time of samples that have none."""

    start: int
    end: int
    now: int

    def track(self, one: Series, device: Device, holders: Holders) -> Track | None:
        """Return the samples of a series within the window, gaps left out; None without any."""
        name = series.sampled()[one.name]
        if not one.chunks:
            return None
        times = np.concatenate([times for times, _ in one.chunks])
        values = np.concatenate([values for _, values in one.chunks]) * _scale(name)
        undated = times == NO_TIME
        times = np.where(undated, self.now, times)
        good = (values >= 0) & (undated | ((times > self.start) & (times <= self.end)))
        if name in series.ratios():
            good &= values <= 1.0 + RATIO_SLACK
            values = np.minimum(values, 1.0)
        if not good.any():
            return None
        return Track(holders.scraper(one), holders.holder(one), times[good], values[good], device.profile, one.source)


RATIO_SLACK = 1e-6  # float32


def _scale(name: str) -> Any:
    scale = series.scales()[name]
    return np.float64(scale) if name == "energy" else np.float32(scale)


def _by_card(
    placed: Iterable[tuple[Series, Device]], holders: Holders, clip: _Clip
) -> Iterator[tuple[dict[str, Device], dict[str, Tracks]]]:
    """Yield card by card its devices and their tracks, both by device id, in a fixed order."""
    by_card: dict[tuple[str, str], list[tuple[Series, Device]]] = {}
    for one, device in placed:
        if one.sampled:
            by_card.setdefault((device.cluster, device.card), []).append((one, device))
    for _, rows in sorted(by_card.items()):
        devices: dict[str, Device] = {}
        tracks: dict[str, Tracks] = {}
        for one, device in sorted(rows, key=lambda row: row[0].last or 0):
            devices[device.id] = device
            track = clip.track(one, device, holders)
            if track is not None:
                tracks.setdefault(device.id, {}).setdefault(series.sampled()[one.name], []).append(track)
        yield devices, tracks


def _usual_spacing(placed: Iterable[tuple[Series, Device]]) -> dict[str, float]:
    """Return the usual spacing of device samples in ms by cluster, from the series that have enough to tell."""
    found: dict[str, list[float]] = {}
    for one, device in placed:
        rows = found.setdefault(device.cluster, [])
        if one.sampled and one.count >= FEW_SAMPLES and len(rows) < SPACING_SERIES:
            rows.append(spacing(one.times()))
    return {cluster: float(np.median(rows)) for cluster, rows in found.items() if rows}


_KEYS = {"cluster": "cluster", "device": "id"}  # columns that a device fills


class _Tables:
    """Collects the rows of device after device."""

    def __init__(self, owners: Owners, usual_ms: Mapping[str, float]) -> None:
        self._owners = owners
        self._usual_ms = usual_ms
        self._hourly: list[dict[str, Any]] = []
        self._names: dict[str, int] = {}  # of clusters, devices and owners, each once: millions of rows have them
        self._devices: list[dict[str, Any]] = []
        self._spacing: dict[str, list[float]] = {}  # ms, by field

    def add(self, devices: Mapping[str, Device], tracks: Mapping[str, Tracks]) -> None:
        """Take the devices of one card. While it is cut into MIG devices the card itself is not counted."""
        cut: set[int] = set()
        for name in sorted(tracks, key=lambda name: (not devices[name].instance, name)):
            device = devices[name]
            fields = tracks[name] if device.instance else _outside(tracks[name], cut)
            samples = device_samples(
                fields, mig=bool(device.instance), usual_ms=self._usual_ms.get(device.cluster, float("nan"))
            )
            if samples is not None:
                hours = self._add(device, samples, fields)
                cut |= hours if device.instance else set()

    def _add(self, device: Device, samples: DeviceSamples, tracks: Tracks) -> set[int]:
        def owner_of(holder: Holder) -> str:
            return self._owners.of(device.cluster, holder, device.node)

        hourly, rows = device_rows(samples, owner_of)
        count = len(hourly["hour"])
        owners = np.array([self._code(owner) for owner in hourly.pop("owner")], np.int32)
        keys = {name: np.full(count, self._code(getattr(device, of)), np.int32) for name, of in _KEYS.items()}
        values = {name: np.asarray(values, np.float32) for name, values in hourly.items() if name != "hour"}
        self._hourly.append(keys | {"owner": owners, "hour": hourly["hour"]} | values)
        counted = tracks.get(samples.counting) or [track for found in tracks.values() for track in found]
        own = {
            "cluster": device.cluster,
            "device": device.id,
            "node": device.node,
            "card": device.card,
            "profile": device.profile,
            "source": counted[-1].source,
            "gpus": _gpus(device, counted),
            "interval_seconds": samples.interval_ms / 1000,
        }
        self._devices += [own | row for row in rows]
        for name, points in samples.fields.items():
            self._spacing.setdefault(name, []).append(spacing(points.moments))
        return set(hourly["hour"].tolist())

    def usage(self) -> Usage:
        """Return both tables."""
        if not self._hourly:
            return Usage()
        import pandas as pd

        columns = self._hourly[0]
        hourly: dict[str, Any] = {name: np.concatenate([part[name] for part in self._hourly]) for name in columns}
        names = pd.Index(list(self._names), dtype="str")
        for name in (*_KEYS, "owner"):
            hourly[name] = pd.Categorical.from_codes(hourly[name], names)
        hourly["hour"] = pd.to_datetime(hourly["hour"], unit="ms", utc=True)
        devices = pd.DataFrame(self._devices)
        for name in ("first", "last"):
            devices[name] = pd.to_datetime(devices[name], unit="ms", utc=True)
        return Usage(hourly=conform_hourly(hourly), devices=conform_devices(devices))

    def _code(self, name: str) -> int:
        return self._names.setdefault(name, len(self._names))

    def intervals(self) -> dict[str, float]:
        """Return the usual spacing in ms of each metric."""
        usual = {name: np.array(found) for name, found in self._spacing.items()}
        median = {name: float(np.nanmedian(found)) for name, found in usual.items() if not np.isnan(found).all()}
        return {metric: median[name] for metric, name in series.sampled().items() if name in median}


def _outside(tracks: Tracks, hours: set[int]) -> Tracks:
    """Leave out the samples that fall in the hours."""
    if not hours:
        return tracks
    kept: Tracks = {}
    for name, found in tracks.items():
        for track in found:
            outside = ~np.isin(track.times // HOUR_MS * HOUR_MS, list(hours))
            if outside.any():
                kept.setdefault(name, []).append(
                    replace(track, times=track.times[outside], values=track.values[outside])
                )
    return kept


def _gpus(device: Device, tracks: Collection[Track]) -> float:
    """Return the physical share of a device; one that was cut anew counts by its samples of each profile."""
    if not device.instance:
        return 1.0
    counts = np.array([len(track.times) for track in tracks])
    return float(np.average([share(device.model, track.profile) for track in tracks], weights=counts))
