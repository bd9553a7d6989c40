"""What a reader takes away: decisions, answers, the state of the stack, five steps for Monday."""

from typing import Literal

from gpuaudit.schema.part import Part


class Answer(Part, frozen=True, kw_only=True):
    """A question a team should be able to answer."""

    question: str
    answer: str | None
    because: str


class Decision(Part, frozen=True, kw_only=True):
    """One row of the closing table; attributed, so the rows add to the booked plan x 12."""

    decision: Literal["gpu_sizing", "model_loading", "networking", "observability", "scheduling"]
    today: str
    right: str
    annual_delta_usd: float | None
    enables: str


class StackRow(Part, frozen=True, kw_only=True):
    """A system of the stack."""

    layer: str
    system: str
    status: Literal["present", "provider_managed", "misconfigured", "absent", "unknown"]
    version: str | None
    evidence: list[str]


class MondayStep(Part, frozen=True, kw_only=True):
    """One of the five steps."""

    step: str
    done: bool | None
    next: str
