"""Which cluster a file is about. kubectl prints no cluster name, so the content and the folders have to say it.

Inputs are of one cluster when they share the uid of the kube-system namespace, or a node (name and uid). Folders with
node lists that share no node, and different uids, are different clusters. What says neither belongs to the only
cluster there is, else to the one whose folder is nearest. With one cluster, folders mean nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Witness:
    """What an input says about its cluster: folder, uid of kube-system, nodes (name → uid), a name if it has one."""

    folder: Path
    uid: str | None = None
    nodes: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None

    @property
    def speaks(self) -> bool:
        """Whether it says anything that tells clusters apart."""
        return self.uid is not None or bool(self.nodes)


@dataclass(frozen=True)
class Fleet:
    """`cluster_of` gives each witness, by position, a position in `names`; None = it could be of several."""

    names: tuple[str, ...]
    cluster_of: tuple[int | None, ...]


def sort_out(witnesses: Sequence[Witness], *, name: str | None = None) -> Fleet:
    """Return the clusters that the witnesses speak of. `name` is the cluster's when there is one only."""
    groups = _groups(_by_folder(witnesses))
    if len(groups) <= 1:
        told = sorted({witness.name for witness in witnesses if witness.name})
        return Fleet((name or (told[0] if told else "cluster"),), (0,) * len(witnesses))
    members = [sorted(group) for group in sorted(groups, key=min)]
    names = _names([[witnesses[place] for place in group] for group in members])
    home = {place: number for number, group in enumerate(members) for place in group}
    folders = [{witnesses[place].folder for place in group} for group in members]
    return Fleet(
        names,
        tuple(home.get(place, nearest(witness.folder, folders)) for place, witness in enumerate(witnesses)),
    )


def nearest(folder: Path, clusters: Sequence[Iterable[Path]]) -> int | None:
    """Return which cluster has the folder with the longest path in common; None when several have or none has."""
    shared = [max(_common(folder, other) for other in folders) for folders in clusters]
    best = max(shared, default=0)
    return shared.index(best) if shared.count(best) == 1 else None


def _by_folder(witnesses: Sequence[Witness]) -> list[tuple[set[int], Witness]]:
    """Return the speaking witnesses, those without a name of their own taken together by folder and uid."""
    together: dict[object, tuple[set[int], Witness]] = {}
    for place, witness in enumerate(witnesses):
        if not witness.speaks:
            continue
        key = (witness.folder, None) if witness.name is None else (place, witness.name)
        places, joined = together.get(key, (set(), witness))
        if joined.uid and witness.uid and joined.uid != witness.uid:
            together[(place, witness.uid)] = ({place}, witness)
            continue
        merged = Witness(witness.folder, joined.uid or witness.uid, {**joined.nodes, **witness.nodes}, witness.name)
        together[key] = (places | {place}, merged)
    return list(together.values())


def _groups(parts: list[tuple[set[int], Witness]]) -> list[set[int]]:
    """Return sets of witnesses of one cluster."""
    groups: list[tuple[set[int], list[Witness]]] = []
    for places, witness in parts:
        same = [group for group in groups if any(_same(witness, other) for other in group[1])]
        merged = (places.union(*(group[0] for group in same)), [witness, *(w for group in same for w in group[1])])
        groups = [group for group in groups if group not in same] + [merged]
    return [places for places, _ in _settled(groups)]


def _settled(groups: list[tuple[set[int], list[Witness]]]) -> list[tuple[set[int], list[Witness]]]:
    """Join what knows only a uid with what knows only nodes, when there is one of each: nothing speaks against it."""
    nodeless = [group for group in groups if not any(witness.nodes for witness in group[1])]
    nameless = [group for group in groups if not any(witness.uid for witness in group[1])]
    if len(nodeless) != 1 or len(nameless) != 1:
        return groups
    joined = (nodeless[0][0] | nameless[0][0], nodeless[0][1] + nameless[0][1])
    return [group for group in groups if group not in (nodeless[0], nameless[0])] + [joined]


def _same(one: Witness, other: Witness) -> bool:
    if one.uid and other.uid:
        return one.uid == other.uid
    if not one.nodes or not other.nodes:
        return one.name is not None and one.name == other.name
    shared = one.nodes.keys() & other.nodes.keys()
    if any(one.nodes[name] and one.nodes[name] == other.nodes[name] for name in shared):
        return True
    unsure = any(not one.nodes[name] or not other.nodes[name] for name in shared)
    return unsure and (one.name is None or other.name is None or one.name == other.name)


def _common(one: Path, other: Path) -> int:
    count = 0
    for left, right in zip(one.parts, other.parts, strict=False):
        if left != right:
            break
        count += 1
    return count


def _names(groups: list[list[Witness]]) -> tuple[str, ...]:
    """Return the name that a group brings along, else its folder's; a name given twice gets a number."""
    names: list[str] = []
    for group in groups:
        told = sorted({witness.name for witness in group if witness.name})
        base = told[0] if told else min(witness.folder for witness in group).name or "cluster"
        taken, number = base, 2
        while taken in names:
            taken, number = f"{base}-{number}", number + 1
        names.append(taken)
    return tuple(names)
