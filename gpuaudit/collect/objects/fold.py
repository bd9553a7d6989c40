"""Pods that hold no GPU, folded to a few numbers each, so that memory stays flat in the number of pods.

A pod is one row of machine numbers, 56 bytes. Rows are only added while pods come, in any order and any number of
versions; at the end the newest of each pod stays.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

_NOWHERE = -1
_MOST = 2.0**60  # millicores, bytes: more is no amount of a machine
_COLUMNS = 7
_KEY, _NAMESPACE, _VERSION, _NODE, _OWNER, _MILLICORES, _BYTES = range(_COLUMNS)


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


class Settled(NamedTuple):
    """What settling found: pods seen again, those of them in another version, and pods whose row is the newer one."""

    doubled: int
    replaced: int
    newer: frozenset[int]  # keys of pods that were kept elsewhere


class Fold:
    """The folded pods."""

    def __init__(self) -> None:
        self._rows = array("q")
        self._nodes: dict[str, int] = {}
        self._owners: dict[str, int] = {}

    def add(self, pod: FoldedPod) -> None:
        """Take a version of a pod."""
        namespace, name, version, node, cores, size, owner = pod
        self._rows.extend(
            (
                pod_key(namespace, name),
                hash(namespace),
                min(version, 2**62),
                _NOWHERE if node is None else self._nodes.setdefault(node, len(self._nodes)),
                self._owners.setdefault(owner, len(self._owners)),
                round(min(cores * 1000, _MOST)),
                int(min(size, _MOST)),
            )
        )

    def forget(self, namespace: str | None) -> None:
        """Forget the pods of a namespace, or all."""
        gone = hash(namespace)
        here = enumerate(self._rows[_NAMESPACE::_COLUMNS])
        self._leave([] if namespace is None else [row for row, key in here if key != gone])

    def settle(self, elsewhere: Mapping[int, int]) -> Settled:
        """Leave one row of each pod, the newest and of equal ones the first.

        `elsewhere` has the versions of pods that were seen to hold a GPU, by key: a row that is not newer goes.
        """
        keys = self._rows[_KEY::_COLUMNS]
        if len(set(keys)) == len(keys) and elsewhere.keys().isdisjoint(keys):
            return Settled(0, 0, frozenset())
        best: dict[int, int] = {}
        doubled, replaced, newer = 0, 0, set()
        for row, key in enumerate(keys):
            version, known = self._at(row, _VERSION), best.get(key)
            mine = self._at(known, _VERSION) if known is not None else elsewhere.get(key)
            if mine is None:
                best[key] = row
                continue
            doubled, replaced = doubled + 1, replaced + (mine != version)
            if version > mine:
                best[key] = row
                if key in elsewhere:
                    newer.add(key)
        self._leave(sorted(best.values()))
        return Settled(doubled, replaced, frozenset(newer))

    def loads(self) -> Iterator[NodeLoad]:
        """Yield sums by node and owner, node by node; of a settled fold."""
        owners = list(self._owners)
        first, following = self._by_node()
        for name, node in self._nodes.items():
            sums: dict[int, list[int]] = {}
            row = first[node]
            while row != _NOWHERE:
                start = row * _COLUMNS
                owner, millicores, size = self._rows[start + _OWNER : start + _COLUMNS]
                found = sums.setdefault(owner, [0, 0, 0])
                found[0] += 1
                found[1] += millicores
                found[2] += size
                row = following[row]
            for owner, (pods, millicores, size) in sums.items():
                yield NodeLoad(name, owners[owner], pods, millicores / 1000, size)

    def _by_node(self) -> tuple["array[int]", "array[int]"]:
        """Return the first row of each node, and of each row the next of its node: a list without objects."""
        first = array("i", [_NOWHERE]) * len(self._nodes)
        following = array("i", [_NOWHERE]) * len(self)
        for row, node in enumerate(self._rows[_NODE::_COLUMNS]):
            if node != _NOWHERE:
                following[row], first[node] = first[node], row
        return first, following

    def __len__(self) -> int:
        return len(self._rows) // _COLUMNS

    def _leave(self, rows: Iterable[int]) -> None:
        """Leave these rows."""
        self._rows = array("q", (value for row in rows for value in self._rows[row * _COLUMNS : (row + 1) * _COLUMNS]))

    def _at(self, row: int, column: int) -> int:
        return self._rows[row * _COLUMNS + column]


def pod_key(namespace: str, name: str) -> int:
    """Return what a pod is known by in a fold."""
    return hash((namespace, name))
