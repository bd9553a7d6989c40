"""The closing sections: decisions with what they are worth, questions with their answers, the five steps."""

from collections.abc import Collection

import msgspec

from gpuaudit import schema
from gpuaudit.closing.answers import answers
from gpuaudit.closing.decisions import decisions
from gpuaudit.closing.monday import monday
from gpuaudit.cluster.snapshot import Snapshot

__all__ = ["closed"]


def closed(snapshot: Snapshot, report: schema.Report, *, judged: Collection[str]) -> schema.Report:
    """Return the report with its closing sections, which are worked out of all the others.

    `judged` are the areas of which at least one rule could be judged: of any other nothing can be said to be right.
    """
    answered = msgspec.structs.replace(report, answers=answers(snapshot, report))
    decided = msgspec.structs.replace(answered, decisions=decisions(snapshot, answered, judged))
    return msgspec.structs.replace(decided, monday=monday(snapshot, decided, judged))
