"""Pods that hold no GPU, folded to a few numbers each, so that memory stays flat in the number of pods.

A pod is one row of columns of machine numbers. Seen again, in another input or a newer version, it overwrites its
row; so sums are right at the end whatever came first.
"""

from array import array
from collections.abc import Iterator
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


class NodeLoad(NamedTuple):
    """Sums over the pods of one owner on one node."""

    node: str
    owner: str
    pods: int
    cpu_cores: float
    memory_bytes: int


class Fold:
    """The folded pods."""

    def __init__(self) -> None:
        self._rows = _Index()
        self._nodes: dict[str, int] = {}
        self._owners: dict[str, int] = {}
        self._node = array("i")
        self._owner = array("i")
        self._millicores = array("q")
        self._bytes = array("q")
        self._version = array("q")
        self._columns = (self._node, self._owner, self._millicores, self._bytes, self._version)

    def add(self, pod: FoldedPod) -> int | None:
        """Take a pod and return the version that was there, None when there was none; one as new or newer stays."""
        key = hash((pod.namespace, pod.name))
        row = self._rows.get(key)
        if row is None:
            self._append(key, pod)
            return None
        known = self._version[row]
        if known < pod.version:
            self._write(row, pod)
        return known

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
        keys = array("q", (self._node[row] * len(owners) + self._owner[row] for row in range(len(self._node))))
        placed = (row for row, node in enumerate(self._node) if node != _NOWHERE)
        for key, rows in groupby(sorted(placed, key=keys.__getitem__), key=keys.__getitem__):
            pods, millicores, size = 0, 0, 0
            for row in rows:
                pods, millicores, size = pods + 1, millicores + self._millicores[row], size + self._bytes[row]
            node, owner = divmod(key, len(owners))
            yield NodeLoad(nodes[node], owners[owner], pods, millicores / 1000, size)

    def __len__(self) -> int:
        return len(self._node)

    def _row(self, namespace: str, name: str) -> int | None:
        return self._rows.get(hash((namespace, name)))

    def _append(self, key: int, pod: FoldedPod) -> None:
        self._rows.put(key, len(self._node))
        for column, value in zip(self._columns, self._values(pod), strict=True):
            column.append(value)

    def _write(self, row: int, pod: FoldedPod) -> None:
        for column, value in zip(self._columns, self._values(pod), strict=True):
            column[row] = value

    def _values(self, pod: FoldedPod) -> tuple[int, int, int, int, int]:
        """Return what stands in the columns for a pod."""
        return (
            _NOWHERE if pod.node is None else self._nodes.setdefault(pod.node, len(self._nodes)),
            self._owners.setdefault(pod.owner, len(self._owners)),
            min(round(pod.cpu_cores * 1000), 2**60),
            min(int(pod.memory_bytes), 2**60),
            min(pod.version, 2**62),
        )


class _Index:
    """A dict of integers to rows, for a fifth of a dict's memory: open addressing in columns, at most half full."""

    def __init__(self) -> None:
        self._keys = array("q")
        self._places = array("i")  # row + 1; 0 = free
        self._count = 0
        self._grow(1 << 10)

    def get(self, key: int) -> int | None:
        """Return the row of a key."""
        row = self._places[self._slot(key)]
        return row - 1 if row else None

    def put(self, key: int, row: int) -> None:
        """Add a key that is not there."""
        if 2 * self._count >= len(self._keys):
            self._grow(2 * len(self._keys))
        slot = self._slot(key)
        self._keys[slot], self._places[slot] = key, row + 1
        self._count += 1

    def _slot(self, key: int) -> int:
        """Return where a key is, or would be."""
        mask = len(self._keys) - 1
        slot = key & mask
        while self._places[slot] and self._keys[slot] != key:
            slot = (slot + 1) & mask
        return slot

    def _grow(self, size: int) -> None:
        keys, places = self._keys, self._places
        self._keys, self._places = array("q", bytes(8 * size)), array("i", bytes(4 * size))
        for key, place in zip(keys, places, strict=True):
            if place:
                slot = self._slot(key)
                self._keys[slot], self._places[slot] = key, place
