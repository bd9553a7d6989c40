"""The closing sections: decisions with what they are worth, questions with their answers, the five steps."""

import msgspec

from gpuaudit import schema
from gpuaudit.closing.answers import answers
from gpuaudit.closing.decisions import decisions
from gpuaudit.closing.monday import monday
from gpuaudit.cluster.snapshot import Snapshot

__all__ = ["closed"]


def closed(snapshot: Snapshot, report: schema.Report) -> schema.Report:
    """Return the report with its closing sections, which are worked out of all the others."""
    answered = msgspec.structs.replace(report, answers=answers(snapshot, report))
    decided = msgspec.structs.replace(answered, decisions=decisions(snapshot, answered))
    return msgspec.structs.replace(decided, monday=monday(snapshot, decided))
