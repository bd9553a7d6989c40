"""Objects that could not be used: all are counted, some are named, and a kind that is listed anew is forgotten."""

from collections import Counter
from dataclasses import dataclass, field

Kind = tuple[str, str]  # API group ("" = core), kind

MAX_NAMED = 20
_LONGEST = 200


@dataclass
class Broken:
    """What could not be used, by kind and namespace ("" where the object tells none)."""

    counts: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    named: list[tuple[Kind, str, str]] = field(default_factory=list)  # the last: "Pod/ns/name: Expected `str`, got …"

    @property
    def count(self) -> int:
        """How many there are."""
        return self.counts.total()

    @property
    def lines(self) -> list[str]:
        """The named ones, for a person."""
        return [line for _, _, line in self.named]

    def add(self, kind: Kind, namespace: str, name: str, reason: object) -> None:
        """Count an object and, within bounds, name it."""
        self.counts[kind, namespace] += 1
        if len(self.named) < MAX_NAMED:
            self.named.append((kind, namespace, f"{name}: {str(reason)[:_LONGEST]}"))

    def take(self, other: "Broken") -> None:
        """Add what another page had."""
        self.counts.update(other.counts)
        self.named += other.named[: MAX_NAMED - len(self.named)]

    def forget(self, kind: Kind, namespace: str | None) -> None:
        """Forget a kind's, there or everywhere."""
        gone = [key for key in self.counts if key[0] == kind and namespace in (None, key[1])]
        for key in gone:
            del self.counts[key]
        self.named = [row for row in self.named if (row[0], row[1]) not in gone]
