"""A price file to fill in, prefilled with what a snapshot's nodes are and what the catalogue says they cost."""

import json
from collections import Counter
from collections.abc import Iterator

from gpuaudit.cluster.nodes import Node
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.plan.pricebook import PriceBook, Rate

HEAD = """\
# What you pay. Give this file with: gpuaudit scan --prices FILE
# Uncomment what applies; what is left out keeps its list price, and what has none stays unpriced (never $0).

currency = "USD"

# A discount on list prices: 31 % off all p5 types of AWS.
# [[discount]]
# provider = "aws"
# instance_type = "p5*"
# ratio = 0.31

# Commitments: whole nodes, or a floating amount an hour (savings plan, committed use), until a date.
# kind: reserved, savings_plan, committed_use, capacity_block, owned, lease
# [[commitment]]
# kind = "reserved"
# instance_type = "p5.48xlarge"
# nodes = 4
# end = 2027-03-31
"""
EXAMPLE = """
# What one instance type costs you an hour, whatever its list price.
# [[instance]]
# provider = "aws"
# instance_type = "p5.48xlarge"
# usd_per_hour = 37.90
# source = "contract 2026"
# date = 2026-10-01

# Hardware of your own: dollars per GPU-hour (depreciation, power, space), by gpu, pool or node name.
# [[owned]]
# gpu = "l40s"
# usd_per_gpu_hour = 0.85
# source = "finance"
# date = 2026-10-01
"""


def template(snapshot: Snapshot | None = None) -> str:
    """Return the text of a price file; with a snapshot, one row per kind of node that it has."""
    if snapshot is None:
        return HEAD + EXAMPLE
    kinds = Counter(_kind(node) for node in snapshot.gpu_nodes)
    samples = {_kind(node): node for node in snapshot.gpu_nodes}
    day = snapshot.taken_at.date().isoformat()
    rows = [row for kind in sorted(kinds, key=str) for row in _row(samples[kind], kinds[kind], day)]
    return HEAD + "\n" + "\n".join(rows) + "\n" if rows else HEAD + EXAMPLE


def _kind(node: Node) -> tuple[str | None, ...]:
    model = node.cards[0].model if node.cards else None
    return (node.provider, node.instance_type, node.region, node.purchase, None if node.instance_type else model)


def _row(node: Node, count: int, day: str) -> Iterator[str]:
    rate = PriceBook().rate(node)
    known = isinstance(rate, Rate)
    yield f"# {count} nodes of {node.gpus} GPUs, {node.purchase.replace('_', ' ')}: " + (
        _comment(f"{rate.source}, {rate.date}" if isinstance(rate, Rate) else rate.why)
    )
    if node.instance_type is None:
        yield "# [[owned]]"
        if node.cards and node.cards[0].model:
            yield f"# gpu = {_text(node.cards[0].model)}"
        yield "# usd_per_gpu_hour = "
    else:
        yield "# [[instance]]"
        for name in ("provider", "instance_type", "region"):
            value = getattr(node, name)
            if value is not None:
                yield f"# {name} = {_text(value)}"
        if node.purchase != "unknown":
            yield f"# purchase = {_text(node.purchase)}"
        yield f"# usd_per_hour = {rate.usd_hour if known and isinstance(rate, Rate) else ''}"
    yield f"# date = {day}"
    yield ""


def _text(value: str) -> str:
    """Quote for TOML: a JSON string is a TOML basic string, and stays on its line."""
    return json.dumps(value)


def _comment(value: str) -> str:
    return " ".join(json.dumps(value)[1:-1].split())
