"""Hourly counts of kube_node_info → when each node was there."""

from collections.abc import Mapping, Sequence

import numpy as np

from gpuaudit.cluster.nodes import Span
from gpuaudit.collect.metrics.identity import Places
from gpuaudit.collect.metrics.seen import NodeKey, at
from gpuaudit.collect.metrics.store import Series
from gpuaudit.collect.prometheus.asking import HOUR_MS
from gpuaudit.collect.prometheus.rollups import Numbers, Points
from gpuaudit.knowledge import series

FULL = 0.95  # of the usual samples of an hour: it was there throughout


def presence(
    sets: Sequence[Series], counts: Points, places: Places, lengths: Mapping[int, int]
) -> dict[NodeKey, tuple[Span, ...]]:
    """Return the spans of each node. An hour in which no node of its cluster was listed says nothing about any."""
    facts = series.facts()
    by_node: dict[NodeKey, dict[int, float]] = {}
    for code, hour, count in zip(counts.codes.tolist(), counts.hours.tolist(), counts.values.tolist(), strict=True):
        one = sets[code]
        name = one.labels.get(facts.exported_prefix + facts.node.name) or one.labels.get(facts.node.name)
        if name and count > 0:
            seen = by_node.setdefault((places.cluster(one), name), {})
            seen[hour] = max(count, seen.get(hour, 0.0))
    found: dict[NodeKey, tuple[Span, ...]] = {}
    for cluster in sorted({key[0] for key in by_node}):
        nodes = {key: hours for key, hours in by_node.items() if key[0] == cluster}
        listed = np.array(sorted({hour for hours in nodes.values() for hour in hours}), np.int64)
        rates = [count / lengths.get(hour, HOUR_MS) for hours in nodes.values() for hour, count in hours.items()]
        usual = float(np.percentile(rates, 95))
        found |= {key: _spans(hours, listed, usual, lengths) for key, hours in nodes.items()}
    return found


def _spans(hours: Mapping[int, float], listed: Numbers, usual: float, lengths: Mapping[int, int]) -> tuple[Span, ...]:
    """Return runs of hours; a run's first and last hour count as far as the node's samples there reach."""
    own = np.array(sorted(hours), np.int64)
    place = np.searchsorted(listed, own)
    breaks = np.flatnonzero(np.diff(place) > 1)
    starts, ends = [0, *(breaks + 1).tolist()], [*breaks.tolist(), len(own) - 1]
    spans = []
    for start, end in zip(starts, ends, strict=True):
        first, last = int(own[start]), int(own[end])
        begin, finish = first, last + lengths.get(last, HOUR_MS)
        if place[start] > 0 and first != last:
            begin = round(first + HOUR_MS - _reach(hours[first], usual, lengths.get(first, HOUR_MS)))
        if place[end] < len(listed) - 1 and first != last:
            finish = round(last + _reach(hours[last], usual, lengths.get(last, HOUR_MS)))
        spans.append(Span(start=at(begin), end=at(finish)))
    return tuple(spans)


def _reach(count: float, usual: float, length: int) -> float:
    """Return how much of an hour the samples stand for, in ms."""
    part = count / usual
    return float(length) if part >= FULL * length else min(float(length), part)
