"""Everything that can be set, typed: one field per `scan` option and one per table of the configuration file."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from gpuaudit.cluster.record import Record
from gpuaudit.config.selectors import Selector

Role = Literal["spare", "dr", "canary", "debug", "lab", "tenant"]
OwnerKey = Literal["label", "annotation", "queue", "project", "namespace"]
Ratio = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Ignore(Selector, frozen=True, kw_only=True):
    """A finding that somebody accepted: silenced, counted and listed, until `expires` (that day included, UTC)."""

    reason: Text
    expires: date
    rule: Annotated[
        tuple[str, ...], msgspec.Meta(description="Globs of rule names; a single one may stand without brackets.")
    ] = ("*",)

    def active(self, at: datetime) -> bool:
        """Whether it still silences at that time; an expired one does not, and is counted."""
        return at.date() <= self.expires


class Exempt(Selector, frozen=True, kw_only=True):
    """Objects that are meant to be as they are: never accused, still in the bill and in their bucket."""

    reason: Text
    owner: Text
    expires: date

    def active(self, at: datetime) -> bool:
        """Whether it still holds at that time."""
        return at.date() <= self.expires


class Ownership(Record, frozen=True):
    """Where the name of an owner is looked for, in this order; `map` turns what was found (globs) into an owner."""

    order: tuple[OwnerKey, ...] = ("label", "annotation", "queue", "project", "namespace")
    labels: tuple[str, ...] = ()  # keys, first wins; empty = the usual ones
    annotations: tuple[str, ...] = ()
    map: dict[str, str] = {}
    contacts: dict[str, str] = {}  # owner → how to reach it


class Peak(Record, frozen=True):
    """A known peak of demand; `factor` times the usual demand, None = not known."""

    name: Text
    start: date
    end: date
    repeats: Literal["week", "month", "quarter", "year"] | None = None
    factor: Annotated[float, msgspec.Meta(gt=0)] | None = None


class Calendar(Record, frozen=True):
    """Peaks that the window may not have seen."""

    peaks: tuple[Peak, ...] = ()


class Config(Record, frozen=True):
    """The settings of one run. Paths are absolute or relative to the working directory."""

    # Sources
    context: tuple[str, ...] = ()
    kubeconfig: Path | None = None
    namespace: tuple[str, ...] = ()
    prometheus_url: str | None = None
    prometheus_match: tuple[str, ...] = ()
    prometheus_header: tuple[str, ...] = ()
    prometheus_ca: Path | None = None
    nvml: bool | None = None  # None = where this host is one of the cluster's nodes
    probe_namespace: Text = "gpuaudit-probe"  # pods and ConfigMaps of the node probe are believed there only
    input: tuple[str, ...] = ()  # PATH or METRIC=FILE
    history: Path | None = None
    window: timedelta = timedelta(days=14)
    step: timedelta = timedelta(hours=1)
    max_time: timedelta = timedelta(minutes=10)
    now: datetime | None = None
    # Audit
    rule_dirs: tuple[Path, ...] = ()  # --rules
    only: tuple[str, ...] = ()
    ignore_rules: tuple[str, ...] = ()  # --ignore
    prices: Path | None = None
    baseline: Path | None = None
    strict: bool = False
    min_coverage: Ratio = 0.8
    what_if: tuple[str, ...] = ()
    fail_on: tuple[str, ...] = ()
    # Output
    output: tuple[str, ...] = ()  # FORMAT[=FILE]
    save: Path | None = None
    manifests: Path | None = None
    all: bool = False
    top: Annotated[int, msgspec.Meta(ge=1)] = 7
    redact: bool = False
    quiet: bool = False
    no_progress: bool = False
    # Tables
    rules: dict[str, dict[str, Any]] = {}  # rule → option → value
    ignore: tuple[Ignore, ...] = ()
    exempt: tuple[Exempt, ...] = ()
    roles: dict[Role, tuple[Selector, ...]] = {}
    ownership: Ownership = Ownership()
    scarce: tuple[str, ...] = ()  # instance types (globs) that may not come back once released
    calendar: Calendar = Calendar()
    timezone: str = "UTC"

    def expired(self, at: datetime) -> tuple[Ignore | Exempt, ...]:
        """Return the ignores and exemptions that no longer hold at that time: they silence nothing and are counted."""
        entries: tuple[Ignore | Exempt, ...] = (*self.ignore, *self.exempt)
        return tuple(entry for entry in entries if not entry.active(at))
