"""Templates → the queries of one server: its label names, its matchers, the hours of the window, pieces of them."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpuaudit.collect.prometheus.asking import HOUR_MS, Piece, Question
from gpuaudit.errors import UserError
from gpuaudit.knowledge import fabric, metrics, queries, series
from gpuaudit.knowledge.queries import Query

_MATCHER = re.compile(r'[a-zA-Z_][a-zA-Z0-9_]*\s*(=~|!~|!=|=)\s*"([^"\\\n]|\\.)*"')
_EDGE_MS = 1  # before the full hour: off the grid of scrapes
_PARTS = 16
DAY_MS = 24 * HOUR_MS
_QUANTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}


@dataclass(frozen=True)
class Hours:
    """The window cut at full hours: [start, end) in ms; the first and last segment may be shorter than an hour."""

    start: int
    end: int

    def pieces(self, hours: int) -> Iterator[Piece]:
        """Yield pieces of at most so many full hours, the newest first, and what is left at both ends."""
        first, last = -(-self.start // HOUR_MS) * HOUR_MS, self.end // HOUR_MS * HOUR_MS
        if first > last:
            yield _segment(self.start, self.end)
            return
        if last < self.end:
            yield _segment(last, self.end)
        while last > first:
            begin = max(first, last - hours * HOUR_MS)
            yield Piece(begin + HOUR_MS - _EDGE_MS, last - _EDGE_MS, HOUR_MS)
            last = begin
        if self.start < first:
            yield _segment(self.start, first)

    @property
    def whole(self) -> Piece:
        """Return the window as one range."""
        return Piece(self.end - _EDGE_MS, self.end - _EDGE_MS, self.end - self.start, whole=True)


def _segment(start: int, end: int) -> Piece:
    return Piece(end - _EDGE_MS, end - _EDGE_MS, end - start)


def hour_of(time_ms: int) -> int:
    """Return the hour (ms of its start) that a time of evaluation speaks for."""
    return time_ms // HOUR_MS * HOUR_MS


@dataclass(frozen=True)
class Dialect:
    """Label names of a server's device series, and the matchers that all queries carry."""

    labels: frozenset[str]
    matchers: tuple[str, ...] = ()
    holding: str = ""  # the device metric that most series have: tells which pods held a GPU

    @property
    def ids(self) -> tuple[str, ...]:
        """Labels that tell device, host, pod, cluster and scraper."""
        known, facts = metrics.labels(), series.facts()
        every = (
            *known.uuid,
            *known.mig_instance,
            *known.mig_profile,
            *known.gpu_index,
            *known.device,
            *known.model,
            *known.host,
            *known.host_fallback,
            *known.pod,
            *known.namespace,
            *facts.cluster,
            facts.job,
        )
        return tuple(dict.fromkeys(name for name in every if name in self.labels))

    @property
    def copies(self) -> tuple[str, ...]:
        """Labels in which copies of one sample differ: replicas of the store, containers of one pod."""
        known = metrics.labels()
        wanted = dict.fromkeys((*known.replica, *known.container, "vgpu"))
        return tuple(name for name in wanted if name in self.labels) or (known.replica[0],)

    @property
    def parts(self) -> tuple[str, ...]:
        """Matchers that split the devices by the first digit of their UUID; none without one."""
        name = next((name for name in metrics.labels().uuid if name in self.labels), None)
        if name is None:
            return ()
        digits = [f'{name}=~"(GPU-)?{digit:x}.*"' for digit in range(_PARTS)]
        return (*digits, f'{name}!~"(GPU-)?[0-9a-f].*"')


class Plan:
    """Fills the templates in."""

    def __init__(self, dialect: Dialect, hours: Hours, *, chunk_hours: int, recorded: Collection[str] = ()) -> None:
        self._dialect = dialect
        self._hours = hours
        self._chunk_hours = chunk_hours
        self._recorded = frozenset(recorded)

    @property
    def matchers(self) -> tuple[str, ...]:
        """Return the matchers that all queries carry."""
        return self._dialect.matchers

    def pieces(self) -> list[Piece]:
        """Return the pieces of the window, the newest first."""
        return list(self._hours.pieces(self._chunk_hours))

    def of_piece(self, query: Query, piece: Piece) -> Question:
        """Return an hourly template's question about one piece."""
        return self._question(query, piece)

    def window(self, query: Query) -> Question:
        """Return the question of a template about the whole window."""
        return self._question(query, self._hours.whole)

    def ranges(self, query: Query) -> list[Question]:
        """Return the questions of a template about the window in ranges of a few days, the newest first."""
        length = self._chunk_hours * HOUR_MS
        ends = range(self._hours.end, self._hours.start, -length)
        pieces = [
            Piece(end - _EDGE_MS, end - _EDGE_MS, min(length, end - self._hours.start), whole=True) for end in ends
        ]
        return [self._question(query, piece) for piece in pieces]

    def now(self, query: Query) -> Question:
        """Return the question of a template about the newest values."""
        last = self._hours.end - _EDGE_MS
        return self._question(query, Piece(last, last, HOUR_MS))

    def daily(self, query: Query) -> Question:
        """Return the question of a template about one moment a day back from the newest, of less than a day an hour."""
        last = self._hours.end - _EDGE_MS
        length = self._hours.end - self._hours.start
        step = DAY_MS if length >= DAY_MS else HOUR_MS
        return self._question(query, Piece(last - length // step * step, last, step))

    def _question(self, query: Query, piece: Piece) -> Question:
        def text(of: Piece, part: str) -> str:
            return self.render(query, of.range_ms, part)

        return Question(text, piece, parts=self._dialect.parts if query.field else ())

    def render(self, query: Query, range_ms: int, part: str = "") -> str:
        """Return the text of a template for a range."""
        form, matchers = queries.expression(query), [*self._dialect.matchers, *([part] if part else [])]
        if query.recorded and query.recorded in self._recorded and range_ms == HOUR_MS:
            return f"max by ({', '.join(self._dialect.ids)}) ({selector(query.recorded, matchers)})"
        names = {
            "series": selector(query.metric or metric_of(query.field), matchers),
            "names": query.metric,
            "matchers": "".join(f",{one}" for one in matchers),
            "range": duration(range_ms),
            "ids": ", ".join(self._dialect.ids),
            "port": ", ".join(_port_labels()),
            "copies": ", ".join(self._dialect.copies),
            "q": _QUANTILES.get(query.statistic, ""),
            **self._owner_parts(query),
        }
        return re.sub(r"\$([a-z_]+)", lambda match: names[match[1]], form.text)

    def raw(self, metric: str, labels: Mapping[str, str], range_ms: int) -> str:
        """Return the text that reads the raw samples of the series with these labels."""
        named = [f"{name}={_quoted(value)}" for name, value in sorted(labels.items())]
        return f"{selector(metric, [*self._dialect.matchers, *named])}[{duration(range_ms)}]"

    def _owner_parts(self, query: Query) -> dict[str, str]:
        facts, clusters = series.facts(), series.facts().cluster
        found = {"node": ", ".join((*clusters, facts.node.name, facts.node.address))}
        rows = [facts.owner.pod, *facts.owner.parents.values()]
        row = next((row for row in rows if row.metric == query.metric), None)
        if row is None:
            return found
        keys = ", ".join((*clusters, row.namespace, row.name))
        pod_keys = ", ".join((*clusters, facts.owner.pod.namespace, facts.owner.pod.name))
        kind = next((kind for kind, parent in facts.owner.parents.items() if parent is row), "")
        pods = _plain(selector(facts.owner.pod.metric, [*self._dialect.matchers, f'owner_kind="{kind}"']), "pod")
        owned = f'label_replace({pods} and on ({pod_keys}) {self._held()}, "{row.name}", "$1", "owner_name", "(.+)")'
        return found | {
            "series": _plain(selector(row.metric, self._dialect.matchers), row.name),
            "owner": f"{keys}, {row.owner_kind}, {row.owner_name}",
            "pod_keys": pod_keys,
            "parent_keys": keys,
            "held": self._held(),
            "owned": owned,
        }

    def _held(self) -> str:
        """Return the expression of the pods that hold a GPU, under the label names of kube-state-metrics."""
        known = metrics.labels()
        names = ", ".join(name for name in (*series.facts().cluster, *known.pod, *known.namespace))
        return _plain(f"count by ({names}) ({selector(self._dialect.holding, self._dialect.matchers)})", "pod")


def _plain(expression: str, name: str) -> str:
    """Give the labels that a scraper renamed their own names back."""
    prefix = series.facts().exported_prefix
    for label in (name, "namespace"):
        expression = f'label_replace({expression}, "{label}", "$1", "{prefix}{label}", "(.+)")'
    return expression


def matchers(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the matchers of --prometheus-match. UserError for one that is none."""
    for text in texts:
        if not _MATCHER.fullmatch(text.strip()):
            raise UserError(
                f"--prometheus-match {text[:100]!r} is no label matcher", hint="--prometheus-match 'cluster=\"x\"'"
            )
    return tuple(text.strip() for text in texts)


def metric_of(field: str) -> str:
    """Return the metric that feeds a field of the usage tables."""
    return next(metric for metric, name in series.sampled().items() if name == field)


def _port_labels() -> tuple[str, ...]:
    """Return the labels that tell a port of a host, whatever the scraper calls the host."""
    known, found = metrics.labels(), fabric.fabric().metrics
    hosts = (*known.host, *known.host_fallback)
    return tuple(dict.fromkeys((found.device_label, found.port_label, *hosts, *series.facts().cluster)))


def duration(ms: int) -> str:
    """Return a range as PromQL writes it."""
    return f"{ms // HOUR_MS}h" if ms % HOUR_MS == 0 else f"{ms}ms"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def selector(metric: str, matching: Sequence[str]) -> str:
    """Return a metric with its matchers."""
    return f"{metric}{{{','.join(matching)}}}" if matching else metric
