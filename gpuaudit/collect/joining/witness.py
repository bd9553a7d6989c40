"""What a file of Kubernetes objects says about which cluster it is of: the uid of kube-system, and its nodes."""

from pathlib import Path

import msgspec

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.collect.decode import MalformedError, decode_text
from gpuaudit.collect.joining.fleet import Witness

KUBE_SYSTEM = "kube-system"


class _Meta(msgspec.Struct):
    name: str = ""
    uid: str = ""


class _Item(msgspec.Struct):
    kind: str = ""
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _List(msgspec.Struct):
    kind: str = ""
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    items: list[_Item] = []


def witness_of_text(content: bytes, folder: Path) -> Witness:
    """Return what a file says; nothing when it is broken, which its reader tells."""
    if content.lstrip()[:1] == b"{":
        try:
            page = msgspec.json.decode(content, type=_List)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return Witness(folder)
        inherited = page.kind.removesuffix("List")
        items = page.items if page.kind.endswith("List") else [_Item(page.kind, page.metadata)]
        named = [(item.kind or inherited, item.metadata.name, item.metadata.uid) for item in items]
    else:
        try:
            objects = decode_text(content).objects
        except MalformedError:
            return Witness(folder)
        named = [(kind[1], item.metadata.name, item.metadata.uid) for kind, item in objects]
    uids = [uid for kind, name, uid in named if kind == "Namespace" and name == KUBE_SYSTEM and uid]
    nodes = {name: uid for kind, name, uid in named if kind == "Node"}
    return Witness(folder, uids[0] if uids else None, nodes)


def witnesses_of_snapshot(snapshot: Snapshot, folder: Path) -> list[Witness]:
    """Return what a snapshot says of each of its clusters, in their order."""
    return [
        Witness(
            folder,
            cluster.uid,
            {node.name: node.uid or "" for node in snapshot.nodes if node.cluster == cluster.name},
            cluster.name,
        )
        for cluster in snapshot.clusters
    ]
