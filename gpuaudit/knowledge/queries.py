"""What is asked of a Prometheus: query templates, limits, who answers, where to find one."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Literal

from gpuaudit.knowledge.reading import Entry, read_toml

Kind = Literal["hourly", "window", "now", "daily", "owners", "engine"]


class Limits(Entry, frozen=True):
    """What a query may take."""

    answer_points: int
    chunk_hours: int
    in_flight: int
    get_bytes: int
    query_seconds: float
    connect_seconds: float
    answer_bytes: int
    retries: int
    halvings: int
    min_join: float
    lookback_ms: int


class Expression(Entry, frozen=True):
    """A form of question; `$names` in its text are filled in."""

    kind: Kind
    text: str


class Query(Entry, frozen=True):
    """A template: an expression about a field of the usage tables, about a metric, or about signals of engines."""

    name: str
    expression: str
    field: str = ""
    statistic: str = ""
    metric: str = ""
    signals: tuple[str, ...] = ()  # of engines (see knowledge.engines) instead of a field or metric
    recorded: str = ""  # a recording rule that holds the hourly value already


class Flavour(Entry, frozen=True):
    """A system that speaks the API, told by its host or its build information, and what differs."""

    name: str
    host: str = ""
    build: str = ""
    sign: str = ""  # service name of AWS SigV4
    parameters: dict[str, str] = {}
    hint: str = ""


class ServiceLabels(Entry, frozen=True):
    """Labels of a service behind which one is found, its ports by name or number, and the path of its API."""

    flavour: str
    labels: dict[str, str]
    ports: tuple[str, ...]
    prefix: str = ""


class Trouble(Entry, frozen=True):
    """How to read an answer that is none."""

    too_much_status: tuple[int, ...]
    too_much_text: str
    busy_status: tuple[int, ...]
    busy_text: str
    never_text: str


class _File(Entry, frozen=True):
    limits: Limits
    expression: dict[str, Expression]
    query: tuple[Query, ...]
    flavour: tuple[Flavour, ...]
    service: tuple[ServiceLabels, ...]
    trouble: Trouble


@cache
def _file() -> _File:
    return read_toml("queries", _File)


def limits() -> Limits:
    """Return what a query may take."""
    return _file().limits


def templates() -> tuple[Query, ...]:
    """Return every template, in the order of the table."""
    return _file().query


def expression(query: Query) -> Expression:
    """Return the form of a template."""
    return _file().expression[query.expression]


def named(name: str) -> Query:
    """Return the template of this name. KeyError for one that does not exist."""
    return _by_name()[name]


def services() -> tuple[ServiceLabels, ...]:
    """Return where to look in a cluster, the best place first."""
    return _file().service


def flavour_of_host(host: str) -> Flavour | None:
    """Return the managed service that a host name belongs to."""
    return next((row for row in _file().flavour if row.host and re.search(row.host, host)), None)


def flavour_of_build(build: str) -> Flavour:
    """Return the system that build information tells."""
    return next(row for row in _file().flavour if row.build and re.search(row.build, build))


def trouble() -> Trouble:
    """Return how to read an answer that is none."""
    return _file().trouble


@cache
def _by_name() -> Mapping[str, Query]:
    return {query.name: query for query in templates()}
