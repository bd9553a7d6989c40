"""Node documents (`gpuaudit.node/v1`) from text: one document, or one on each line as the probe logs them.

A document too long for a line comes in parts, which are joined whatever stands between them; parts of a document that
the log's end or rotation has cut give none.
"""

import zlib
from base64 import b64decode
from typing import NamedTuple

import msgspec

from gpuaudit.cluster.node_facts import PART_SCHEMA, SCHEMA, HostFacts, NodePart
from gpuaudit.errors import UserError
from gpuaudit.knowledge.probe import probe

LARGEST_BYTES = 64 << 20
MOST_LINES = 20_000
MOST_GPUS = 64
MOST_PORTS = 1024
HINT = "make it with: gpuaudit node -o json > FILE"
GZIP = 31  # zlib's window bits for gzip
_PART = f'"schema":"{PART_SCHEMA}"'.encode()


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
    parts: dict[str, dict[int, NodePart]] = {}
    for line in content.splitlines()[-MOST_LINES:]:
        if not line.lstrip().startswith(b"{"):
            continue
        try:
            if _PART in line[:64]:
                facts += _joined(parts, msgspec.json.decode(line, type=NodePart))
            else:
                facts.append(_document(line))
        except (msgspec.MsgspecError, ValueError, RecursionError, zlib.error) as error:
            reasons.append(str(error))
    return Documents(tuple(facts), len(reasons), " ".join(reasons[0].split())[:200] if reasons else "")


def _joined(parts: dict[str, dict[int, NodePart]], part: NodePart) -> list[HostFacts]:
    """Keep a part; return the document when it is the last one that was missing."""
    limits = probe().limits
    most = limits.document_bytes // limits.line_bytes
    if not 1 <= part.part <= part.parts <= most or len(parts) > MOST_LINES:
        raise ValueError("a part that its document cannot have")
    known = parts.setdefault(part.id, {})
    known[part.part] = part
    if any(one.parts != part.parts for one in known.values()) or len(known) < part.parts:
        return []
    del parts[part.id]
    return [_document(_unpacked("".join(known[number].data for number in sorted(known))))]


def _unpacked(text: str) -> bytes:
    """Return what was packed. ValueError for more than a document may be, or none at all."""
    stream = zlib.decompressobj(GZIP)
    content = stream.decompress(b64decode(text, validate=True), probe().limits.document_bytes)
    if not stream.eof:
        raise ValueError("its parts are no whole document, or a larger one than may be")
    return content


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
