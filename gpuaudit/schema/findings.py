"""Findings, and the acts that they ask for."""

from typing import Literal

import msgspec

from gpuaudit.schema.part import Part

Shelf = Literal["protect", "this_week", "plan", "find_out"]
LedgerName = Literal["cash", "at_renewal", "capacity", "none"]
Effort = Literal["S", "M", "L"]


class SubjectPart(Part, frozen=True, kw_only=True):
    """What a finding is about."""

    cluster: str
    kind: str
    namespace: str | None
    name: str
    node: str | None
    devices: list[str]
    gpus: float | None


class EvidencePart(Part, frozen=True, kw_only=True):
    """One number or text that shows it."""

    name: str
    value: float | str | bool | None
    unit: str
    statistic: str
    window_seconds: float | None
    source: str
    query: str | None
    observed: bool


class ActPart(Part, frozen=True, kw_only=True):
    """The proposed act."""

    kind: str
    target: str
    from_: str | None = msgspec.field(name="from")
    to: str | None
    unblocks: str | None


class Amounts(Part, frozen=True, kw_only=True):
    """What the act saves a month within the booked plan, and alone."""

    attributed: float
    standalone: float | None


class Savings(Part, frozen=True, kw_only=True):
    """Which ledger, and how much."""

    ledger: LedgerName
    monthly: Amounts


class FixPart(Part, frozen=True, kw_only=True):
    """How to act."""

    generate: str | None
    note: str


class Ignored(Part, frozen=True, kw_only=True):
    """Who said that the finding is not to be acted on, and until when."""

    by: str
    reason: str
    expires: str | None


class FindingPart(Part, frozen=True, kw_only=True):
    """One finding, with its place in the books."""

    id: str
    rule: str
    area: str
    severity: str
    confidence: str
    subject: SubjectPart
    message: str
    evidence: list[EvidencePart]
    act: ActPart | None
    savings: Savings
    fix: FixPart
    ignored: Ignored | None


class ActionPart(Part, frozen=True, kw_only=True):
    """Something a person can do."""

    id: str
    shelf: Shelf
    act: str
    pool: str
    owner: str
    text: str
    findings: list[str]
    booked_monthly: float
    risk: str
    effort: Effort
