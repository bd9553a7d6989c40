"""Which of the three ledgers a node's money belongs to: cash, at renewal, or capacity (design 5)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Literal

from gpuaudit.cluster.nodes import Node
from gpuaudit.plan.pricebook import PriceBook

Ledger = Literal["cash", "at_renewal", "capacity"]


@dataclass(frozen=True)
class Entry:
    """The ledger of one node that could go, the date for `at_renewal`, and the reason in words."""

    ledger: Ledger
    date: date | None
    why: str


def entry(node: Node, book: PriceBook, *, scarce: Collection[str] = ()) -> Entry:
    """Return where a released node's money would be booked. An unknown purchase option is never cash."""
    commitment = book.commitment(node)
    if commitment is not None:
        return Entry("at_renewal", commitment.end, f"{commitment.kind} until {commitment.end.isoformat()}")
    if node.purchase == "reserved":
        if node.reservation_end is not None:
            day = node.reservation_end.date()
            return Entry("at_renewal", day, f"reserved until {day.isoformat()}")
        return Entry("at_renewal", None, "reserved; its end is not known: add a [[commitment]] to the price file")
    if node.purchase == "owned" or (node.purchase == "unknown" and node.provider is None):
        return Entry("capacity", None, "owned hardware: no bill falls")
    if node.purchase == "unknown":
        return Entry("capacity", None, "purchase option unknown: cash only if it is on demand")
    if node.purchase == "spot":
        return Entry("capacity", None, "spot: its price moves, so nothing is booked")
    if any(fnmatchcase(node.instance_type or "", pattern) for pattern in scarce):
        return Entry("capacity", None, f"{node.instance_type} is scarce: once released it may not come back")
    return Entry("cash", None, "on demand")
