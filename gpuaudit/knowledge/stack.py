"""What the report's stack is judged by, beside the signals of `systems`: providers, findings, gateways, clients."""

import re
from collections.abc import Mapping
from datetime import date
from functools import cache

from gpuaudit.knowledge.reading import Entry, read_toml


class FindingRow(Entry, frozen=True):
    """What findings of a rule say of a row of the stack; without `status` they are evidence only."""

    rule: str
    row: str = ""
    by_kind: dict[str, str] = {}  # kind of the subject → row
    status: bool = True

    def row_of(self, kind: str) -> str | None:
        """Return the row that a finding about a subject of this kind speaks of."""
        return self.by_kind.get(kind) if self.by_kind else self.row


class Gateway(Entry, frozen=True):
    """What may stand between applications and models."""

    systems: tuple[str, ...]
    service_names: tuple[str, ...]  # regular expressions
    external_hosts: tuple[str, ...]  # regular expressions
    service_labels: tuple[str, ...]
    service_label_values: tuple[str, ...]
    source: str

    def names(self, service: str, labels: Mapping[str, str]) -> bool:
        """Whether a Service, by its name and labels, is one of a gateway."""
        if any(key in labels for key in self.service_labels):
            return True
        shown = {labels.get("app.kubernetes.io/name"), labels.get("app")}
        return bool(shown & set(self.service_label_values)) or matches(self.service_names, service[:253])


class Client(Entry, frozen=True):
    """Variables that name the endpoint of a model."""

    env: tuple[str, ...]
    provider_hosts: tuple[str, ...]  # regular expressions over hosts of public model APIs
    source: str


class Stack(Entry, frozen=True):
    """The whole table."""

    compiled: date
    provider_namespaces: tuple[str, ...]
    autoscaler_providers: tuple[str, ...]
    efa_providers: tuple[str, ...]
    fabric_providers: tuple[str, ...]
    cost_words: tuple[str, ...]
    chargeback_words: tuple[str, ...]
    finding: tuple[FindingRow, ...]
    gateway: Gateway
    client: Client


@cache
def stack() -> Stack:
    """Return the table."""
    return read_toml("stack", Stack)


@cache
def finding_rows() -> Mapping[str, FindingRow]:
    """Return what findings say of rows, by rule."""
    return {row.rule: row for row in stack().finding}


def matches(patterns: tuple[str, ...], text: str) -> bool:
    """Whether one of the regular expressions is found in the text."""
    return any(_pattern(pattern).search(text) for pattern in patterns)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)
