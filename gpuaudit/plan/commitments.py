"""Tells the rules which nodes a commitment of the price file covers: no label of the cluster may say so."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, time

import msgspec

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.plan.pricebook import Commitment, PriceBook


def with_commitments(snapshot: Snapshot, book: PriceBook) -> Snapshot:
    """Return the snapshot with `commitment` and its end on the nodes that are covered; the purchase option stays.

    A commitment on fewer nodes than there are of its kind says of none that it is the one; spot is never covered.
    """
    covered: dict[Commitment, list[Node]] = defaultdict(list)
    for node in snapshot.gpu_nodes:
        row = book.commitment(node) if node.purchase != "spot" else None
        if row is not None:
            covered[row].append(node)
    marked = {
        node.key: msgspec.structs.replace(
            node, commitment=row.kind, commitment_end=datetime.combine(row.end, time(), tzinfo=UTC)
        )
        for row, nodes in covered.items()
        if row.nodes is None or len(nodes) <= row.nodes
        for node in nodes
    }
    if not marked:
        return snapshot
    return replace(snapshot, nodes=tuple(marked.get(node.key, node) for node in snapshot.nodes))
