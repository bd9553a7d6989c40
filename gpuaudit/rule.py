"""All that a rule author reads: Severity, Finding and its parts, and the `rule` decorator."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from gpuaudit.cluster.record import Record
from gpuaudit.cluster.snapshot import Snapshot

API_VERSION = 1

Confidence = Literal["confirmed", "likely", "investigate"]
ActKind = Literal[
    "release_gpus", "release_node", "move", "resize", "replicas", "schedule", "tier", "purchase", "configure"
]

Risk = Literal["none", "restart", "drain", "reboot"]


class Severity(StrEnum):
    """Consequence, not money."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for high … 3 for info."""
        return list(Severity).index(self)


class Subject(Record, frozen=True, kw_only=True):
    """What is wrong. `devices` are UUIDs or node/index; `gpus` physical, None = unknown."""

    cluster: str
    kind: str
    name: str
    namespace: str | None = None
    node: str | None = None
    devices: tuple[str, ...] = ()
    gpus: float | None = None


class Evidence(Record, frozen=True, kw_only=True):
    """A number or text that shows it: what, over which window, read from where, by which query."""

    name: str
    value: float | str | bool | None
    unit: str = ""
    statistic: str = ""  # mean, max, p95, count, now
    window_seconds: float | None = None
    source: str = ""
    query: str | None = None
    observed: bool = True  # False = a default or yardstick, not measured here


class Act(Record, frozen=True, kw_only=True):
    """The proposed act, in terms that the planner and the manifests understand."""

    kind: ActKind
    target: str  # workload id, node pool or object
    from_: str | None = None
    to: str | None = None
    unblocks: str | None = None
    risk: Risk | None = None  # what running work suffers; None = what acts of this kind usually bring


class Fix(Record, frozen=True, kw_only=True):
    """How to act: the `generate` kind that writes it, or null, and a note for a person."""

    generate: str | None = None
    note: str = ""


class Finding(Record, frozen=True, kw_only=True):
    """One thing that is wrong with one subject. No money: only the plan knows money."""

    subject: Subject
    message: str  # one sentence
    evidence: tuple[Evidence, ...] = ()
    confidence: Confidence = "likely"
    severity: Severity | None = None  # overrides the rule's own
    act: Act | None = None
    fix: Fix | None = None
    workload: str | None = None  # owner for exemptions and attribution; None = the subject is it, or nobody
    releases: tuple[str, ...] = ()  # node names (of the subject's cluster) that the act would set free as a whole
    refutation: str = ""  # what would show this to be wrong


Check = Callable[..., Iterable[Finding]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A check with its severity and what it needs to know. Called with the snapshot and its options."""

    check: Check
    severity: Severity
    needs: frozenset[str]
    options: Mapping[str, object]
    area: str = ""  # stamped by the loader: the folder

    @property
    def function_name(self) -> str:
        """Name of the function, equal to the file's."""
        return self.check.__name__

    @property
    def name(self) -> str:
        """The slug: `idle-gpu`."""
        return self.check.__name__.replace("_", "-")

    @property
    def page(self) -> str:
        """The docstring, dedented: what is so / why it costs / what to do."""
        return inspect.getdoc(self.check) or ""

    @property
    def summary(self) -> str:
        """First line of the page."""
        return self.page.partition("\n")[0]

    def __call__(self, snapshot: Snapshot, **options: object) -> Iterator[Finding]:
        """Run the check; options not given keep their defaults."""
        yield from self.check(snapshot, **options)


def rule(severity: Severity, *, needs: Iterable[str]) -> Callable[[Check], Rule]:
    """Make a generator function a rule. Keyword-only parameters with defaults are its options.

    `needs` names facts (see knowledge.facts), not tools. TypeError for a function without a page, or with an
    option without a default.
    """

    def decorate(check: Check) -> Rule:
        if not inspect.getdoc(check):
            raise TypeError(f"rule {check.__name__} has no docstring: it is the rule's page")
        return Rule(check=check, severity=severity, needs=frozenset(needs), options=_options(check))

    return decorate


def _options(check: Check) -> Mapping[str, object]:
    parameters = list(inspect.signature(check).parameters.values())[1:]
    for parameter in parameters:
        if parameter.kind is not parameter.KEYWORD_ONLY or parameter.default is parameter.empty:
            raise TypeError(f"rule {check.__name__}: option {parameter.name} must be keyword-only with a default")
    return {parameter.name: parameter.default for parameter in parameters}
