"""Node documents (`gpuaudit.node/v1`) from text: one document, or one on each line as the probe logs them."""

from typing import NamedTuple

import msgspec

from gpuaudit.cluster.node_facts import SCHEMA, HostFacts
from gpuaudit.errors import UserError

LARGEST_BYTES = 64 << 20
MOST_LINES = 20_000
MOST_GPUS = 64
MOST_PORTS = 1024
HINT = "make it with: gpuaudit node -o json > FILE"


class Documents(NamedTuple):
    """Documents in the order of the text, and how many lines were none."""

    facts: tuple[HostFacts, ...]
    refused: int = 0
    reason: str = ""  # of the first one refused


def read_documents(content: bytes, *, name: str) -> Documents:
    """Return the documents in a text. UserError, naming `name`, when there is none that can be read."""
    if len(content) > LARGEST_BYTES:
        raise UserError(f"{name}: larger than node facts can be", hint=HINT)
    try:
        return Documents((_document(content),))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        whole = str(error)
    found = read_lines(content)
    if not found.facts:
        raise UserError(f"{name}: no node facts of {SCHEMA}: {(found.reason or whole)[:200]}", hint=HINT)
    return found


def read_lines(content: bytes) -> Documents:
    """Return the documents among the lines of a log; lines that do not begin like one are no documents."""
    facts: list[HostFacts] = []
    reasons: list[str] = []
    for line in content.splitlines()[-MOST_LINES:]:
        if not line.lstrip().startswith(b"{"):
            continue
        try:
            facts.append(_document(line))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            reasons.append(str(error))
    return Documents(tuple(facts), len(reasons), " ".join(reasons[0].split())[:200] if reasons else "")


def _document(content: bytes) -> HostFacts:
    """Decode one document. ValueError for another schema, or more devices than a host can have."""
    facts = msgspec.json.decode(content, type=HostFacts)
    if facts.schema != SCHEMA:
        raise ValueError(f"its schema is {facts.schema[:60]!r}")
    if len(facts.gpus) > MOST_GPUS or len(facts.fabric.ports) > MOST_PORTS:
        raise ValueError("more devices than a host can have")
    if not (facts.node or facts.host).strip():
        raise ValueError("it names no host")
    return facts
