"""Hourly answers and percentiles → the usage tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpuaudit.cluster.usage import DEVICE_VALUES, UNKNOWN_OWNER, Usage, conform_devices, conform_hourly
from gpuaudit.collect.metrics.mig_share import share
from gpuaudit.collect.metrics.seen import at
from gpuaudit.collect.prometheus.asking import HOUR_MS, Piece
from gpuaudit.collect.prometheus.fleet import Fleet
from gpuaudit.collect.prometheus.hours import STATISTICS, HourlyColumns, HourlyRows, hourly_rows
from gpuaudit.collect.prometheus.measure import Measure
from gpuaudit.collect.prometheus.plan import Hours
from gpuaudit.collect.prometheus.questions import Inquiry, OverWindow
from gpuaudit.collect.prometheus.rollups import Points, starts_of
from gpuaudit.collect.prometheus.spread import Pair, spread
from gpuaudit.knowledge import metrics, queries
from gpuaudit.knowledge.queries import Query


def template(field: str, statistic: str) -> Query:
    """Return the template that asks for a statistic of a field."""
    return next(query for query in queries.templates() if (query.field, query.statistic) == (field, statistic))


@dataclass(frozen=True)
class Seen:
    """Samples by series code, and the newest pod (namespace, name) by device and owner."""

    samples: Mapping[int, float]
    newest: Mapping[Pair, tuple[str, str]]


@dataclass
class Answered:
    """What was answered about devices: of the window, by the hour (`sums` = what the rows of a piece add up to)."""

    seen: Seen
    window: OverWindow
    rows: list[HourlyRows] = field(default_factory=list)
    sums: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class UsageMaker:
    """Asks for what the devices did, and makes the tables. `lengths` are the hours that are not full ones, in ms."""

    inquiry: Inquiry
    fleet: Fleet
    measure: Measure
    hours: Hours
    lengths: Mapping[int, int]

    def ask(self, base: Points) -> Answered:
        """Ask for the hours of the devices whose samples `base` counts, piece by piece, and for their percentiles."""
        pieces = [piece for piece in self.inquiry.plan.pieces() if len(_inside(base, piece))]
        wanted = [template(name, statistic) for name in self._fields() for statistic in ("mean", "max")]
        more = [query for pair in STATISTICS.values() if (query := template(*pair)) not in wanted]
        told = Answered(Seen({}, {}), OverWindow(self._percentiles()))
        for piece, found in self.inquiry.hourly([*wanted, *more], pieces, essential=wanted, over=told.window):
            if not told.rows:
                told.seen = self._seen(base)  # the next answers are on their way
            inside = self.inquiry.answered(_inside(base, piece))
            values = {(query.field, query.statistic): found[query.name] for query in (*wanted, *more)}
            if len(inside):
                told.rows.append(hourly_rows(self.fleet, self.measure, inside, values, self.lengths))
                told.sums.append(_by_owner(told.rows[-1]))
        return told

    def usage(self, told: Answered) -> Usage:
        """Return both tables; the rows are used up by it."""
        if not told.rows:
            return Usage()
        devices = conform_devices(self._devices(told))
        return Usage(hourly=conform_hourly(HourlyColumns(self.fleet, told.rows)), devices=devices)

    def _seen(self, base: Points) -> Seen:
        samples = np.bincount(base.codes, base.values, len(self.fleet.device_of))
        return Seen(dict(enumerate(samples.tolist())), self._newest_pods(base))

    def _fields(self) -> list[str]:
        """Return the ladder metrics that measure a device."""
        used = {self.measure.fields[position] for position in self.measure.field_of.tolist() if position >= 0}
        return [row.field for row in metrics.LADDER if row.field in used]

    def _devices(self, told: Answered) -> Any:
        import pandas as pd

        summed, seen = _joined(told.sums), told.seen
        pairs = zip(summed["device"].tolist(), summed["owner"].tolist(), strict=True)
        highest = dict(zip(pairs, summed["util_max"].tolist(), strict=True))
        quantiles = spread(self.fleet, self.measure, told.window.told, seen.samples, highest)
        records = []
        for row in summed.to_dict("records"):
            pair = (int(row["device"]), int(row["owner"]))
            namespace, pod = seen.newest.get(pair, ("", ""))
            records.append(
                dict.fromkeys(DEVICE_VALUES, float("nan"))
                | {name: row[name] for name in ("samples", "util_max", "memory_max_mib", "shared")}
                | quantiles.get(pair, {})
                | self._device(pair)
                | self._times(row, pair)
                | {"namespace": namespace, "pod": "" if pod == UNKNOWN_OWNER else pod}
            )
        return pd.DataFrame(records)

    def _percentiles(self) -> list[Query]:
        names = {*self._fields(), "dram", "power", "memory"}
        return [q for q in queries.templates() if queries.expression(q).kind == "window" and q.field in names]

    def _device(self, pair: Pair) -> dict[str, object]:
        device = self.fleet.devices[pair[0]]
        return {
            "cluster": device.cluster,
            "device": device.id,
            "owner": self.fleet.owners[pair[1]],
            "node": device.node,
            "card": device.card,
            "profile": device.profile,
            "metric": self.measure.activity(pair[0]),
            "source": self.inquiry.source,
            "gpus": share(device.model, device.profile) if device.instance else 1.0,
            "interval_seconds": float(self.measure.interval_ms[pair[0]]) / 1000,
        }

    def _times(self, row: Mapping[str, Any], pair: Pair) -> dict[str, object]:
        """Return first and last time: of the first and last hour the part that its samples stand for."""
        interval = float(self.measure.interval_ms[pair[0]])
        first, last = int(row["first_hour"]), int(row["last_hour"])
        begin, end = max(first, self.hours.start), min(last + HOUR_MS, self.hours.end)
        if first != last and interval > 0:
            begin = max(begin, round(min(first + HOUR_MS, self.hours.end) - row["first_samples"] * interval))
            end = min(end, round(max(last, self.hours.start) + row["last_samples"] * interval))
        return {"first": at(begin), "last": at(end)}

    def _newest_pods(self, base: Points) -> dict[Pair, tuple[str, str]]:
        """Return the pod of each device and owner that was there in the newest hour; of several, the first by name."""
        order = np.lexsort((base.hours, base.codes))
        codes, newest = base.codes[order], base.hours[order]
        last = np.append(starts_of(codes)[1:], len(codes)) - 1 if len(codes) else np.empty(0, np.int64)
        found: dict[Pair, tuple[int, tuple[str, str]]] = {}
        for code, hour in zip(codes[last].tolist(), newest[last].tolist(), strict=True):
            pair = (int(self.fleet.device_of[code]), int(self.fleet.owner_of[code]))
            pod = self.fleet.pods[int(self.fleet.holder_of[code])]
            before = found.get(pair)
            if before is None or (-hour, pod) < (-before[0], before[1]):
                found[pair] = (hour, pod)
        return {pair: pod for pair, (_, pod) in found.items()}


def _inside(base: Points, piece: Piece) -> Points:
    """Return the counts of a piece's hours."""
    begin = piece.first + 1 - piece.range_ms
    return base.take((base.hours <= piece.last) & (base.hours > begin - HOUR_MS))


def _by_owner(rows: HourlyRows) -> Any:
    """Return what the rows of each device and owner add up to, and their first and last hour."""
    import pandas as pd

    kept = {name: rows.columns[name] for name in ("samples", "util_max", "memory_max_mib")}
    keys = {"device": rows.devices, "owner": rows.owners, "hour": rows.hours, "shared": rows.shared}
    table = pd.DataFrame(keys | kept).sort_values("hour", kind="stable")
    return table.groupby(["device", "owner"], as_index=False).agg(
        samples=("samples", "sum"),
        util_max=("util_max", "max"),
        memory_max_mib=("memory_max_mib", "max"),
        shared=("shared", "any"),
        first_hour=("hour", "first"),
        last_hour=("hour", "last"),
        first_samples=("samples", "first"),
        last_samples=("samples", "last"),
    )


def _joined(parts: Sequence[Any]) -> Any:
    """Return the sums of several pieces of the window as one."""
    import pandas as pd

    table = pd.concat(parts, ignore_index=True).sort_values("first_hour", kind="stable")
    return table.groupby(["device", "owner"], as_index=False).agg(
        samples=("samples", "sum"),
        util_max=("util_max", "max"),
        memory_max_mib=("memory_max_mib", "max"),
        shared=("shared", "any"),
        first_hour=("first_hour", "first"),
        last_hour=("last_hour", "last"),
        first_samples=("first_samples", "first"),
        last_samples=("last_samples", "last"),
    )
