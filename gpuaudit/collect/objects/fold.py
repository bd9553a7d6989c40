"""Pods that hold no GPU, folded to a few numbers each, so that memory stays flat in the number of pods.

A pod is one row of columns of machine numbers. Seen again, in another input or a newer version, it overwrites its
row; so sums are right at the end whatever came first.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

_NOWHERE = -1


class FoldedPod(NamedTuple):
    """What is kept of a pod that holds no GPU."""

    namespace: str
    name: str
    version: int
    node: str | None  # None: not bound, or ended
    cpu_cores: float
    memory_bytes: float
    owner: str  # key of whose it is, resolved at the end


@dataclass(frozen=True, kw_only=True)
class NodeLoad:
    """Sums over the pods of one owner on one node."""

    node: str
    owner: str
    pods: int
    cpu_cores: float
    memory_bytes: int


class Fold:
    """The folded pods."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._nodes: dict[str, int] = {}
        self._owners: dict[str, int] = {}
        self._node = array("i")
        self._owner = array("i")
        self._millicores = array("q")
        self._bytes = array("q")
        self._version = array("q")

    def add(self, pod: FoldedPod) -> bool:
        """Take a pod; False when a version as new or newer was there."""
        row = self._row(pod.namespace, pod.name)
        if row is None:
            self._append(pod)
            return True
        if self._version[row] >= pod.version:
            return False
        self._write(row, pod)
        return True

    def forget(self, namespace: str, name: str, version: int) -> None:
        """Drop a pod that a newer version shows to hold a GPU."""
        row = self._row(namespace, name)
        if row is not None and self._version[row] < version:
            self._node[row] = _NOWHERE
            self._version[row] = version

    def version(self, namespace: str, name: str) -> int | None:
        """Return the version of a pod, None if it is not here."""
        row = self._row(namespace, name)
        return None if row is None else self._version[row]

    def loads(self) -> Iterator[NodeLoad]:
        """Yield sums by node and owner, node by node."""
        nodes, owners = list(self._nodes), list(self._owners)
        placed = (row for row, node in enumerate(self._node) if node != _NOWHERE)
        order = array("i", sorted(placed, key=lambda row: (self._node[row], self._owner[row])))
        for (node, owner), rows in groupby(order, key=lambda row: (self._node[row], self._owner[row])):
            own = tuple(rows)
            yield NodeLoad(
                node=nodes[node],
                owner=owners[owner],
                pods=len(own),
                cpu_cores=sum(self._millicores[row] for row in own) / 1000,
                memory_bytes=sum(self._bytes[row] for row in own),
            )

    def __len__(self) -> int:
        return len(self._rows)

    def _row(self, namespace: str, name: str) -> int | None:
        return self._rows.get(hash((namespace, name)))

    def _append(self, pod: FoldedPod) -> None:
        self._rows[hash((pod.namespace, pod.name))] = len(self._node)
        for column in (self._node, self._owner, self._millicores, self._bytes, self._version):
            column.append(0)
        self._write(len(self._node) - 1, pod)

    def _write(self, row: int, pod: FoldedPod) -> None:
        self._node[row] = _NOWHERE if pod.node is None else self._nodes.setdefault(pod.node, len(self._nodes))
        self._owner[row] = self._owners.setdefault(pod.owner, len(self._owners))
        self._millicores[row] = min(round(pod.cpu_cores * 1000), 2**60)
        self._bytes[row] = min(int(pod.memory_bytes), 2**60)
        self._version[row] = min(pod.version, 2**62)
