"""`--fail-on`: whether a gate was reached, or could not be evaluated at all (design 4: 2 before 3 before 1)."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuaudit import schema
from gpuaudit.errors import UserError
from gpuaudit.rule import Severity

KNOWN = "high, medium, low, usd=AMOUNT"
REACHED, NOT_EVALUABLE = 1, 3


@dataclass(frozen=True)
class Verdict:
    """What was reached, and what kept gates from being judged, in one line each."""

    reached: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()

    @property
    def code(self) -> int:
        """The exit code: 3 before 1."""
        return NOT_EVALUABLE if self.blind else REACHED if self.reached else 0


@dataclass(frozen=True)
class Gate:
    """One `--fail-on`: a severity and worse, or booked dollars a month."""

    text: str
    severity: Severity | None = None
    usd: float | None = None

    def reached(self, report: schema.Report) -> str | None:
        """Say what reached the gate, or None."""
        if self.usd is not None:
            booked = report.plan.savings_monthly.booked or 0.0
            return f"booked ${booked:,.2f} a month is at least ${self.usd:,.2f}" if booked >= self.usd else None
        assert self.severity is not None
        ranks = [Severity(f.severity).rank for f in report.findings if f.ignored is None]
        count = sum(rank <= self.severity.rank for rank in ranks)
        worse = "" if self.severity is Severity.HIGH else " or worse"
        return f"{count} findings are {self.severity.value}{worse}" if count else None


def parse_gates(texts: Sequence[str]) -> tuple[Gate, ...]:
    """Read `--fail-on` values. UserError for one that is not known."""
    return tuple(_gate(text.strip()) for text in texts)


def _gate(text: str) -> Gate:
    if text.startswith("usd="):
        try:
            amount = float(text.removeprefix("usd=").replace(",", "").replace("_", ""))
        except ValueError:
            amount = -1.0
        if not 0 <= amount < float("inf"):
            raise UserError(f"--fail-on {text} is not an amount", hint="write it as usd=500")
        return Gate(text, usd=amount)
    if text in (Severity.HIGH, Severity.MEDIUM, Severity.LOW):
        return Gate(text, severity=Severity(text))
    if text == "new":
        raise UserError("--fail-on new needs a baseline", hint=f"this version knows {KNOWN}")
    raise UserError(f"--fail-on {text!r} is not known", hint=f"it is one of {KNOWN}")


def judge(report: schema.Report, gates: Sequence[Gate], *, min_coverage: float, strict: bool) -> Verdict:
    """Return the verdict. No gate can be judged when a source failed, or pods, GPU-hours or the bill are missing."""
    blind = _blind(report, gates, min_coverage) if gates else []
    if strict:
        blind += [f"source {s.name} failed: {s.detail}" for s in report.coverage.sources if s.status == "failed"]
    reached = [reason for gate in gates if (reason := gate.reached(report))]
    return Verdict(reached=tuple(reached), blind=tuple(dict.fromkeys(blind)))


def _blind(report: schema.Report, gates: Sequence[Gate], min_coverage: float) -> list[str]:
    reasons = [f"source {s.name} failed: {s.detail}" for s in report.coverage.sources if s.status == "failed"]
    if report.pods_missing:
        reasons.append("not all pods were read")
    seen = report.coverage.observed_gpu_hours_ratio
    if seen is None and report.cluster.gpus:
        reasons.append("how much of the GPU-hours was seen is not known")
    if seen is not None and seen < min_coverage:
        reasons.append(f"a share of {seen:.4f} of the GPU-hours was seen, --min-coverage is {min_coverage:g}")
    if any(gate.usd is not None for gate in gates) and report.bill.monthly is None:
        reasons.append("there is no bill: no node list, or no node has a price")
    return reasons
