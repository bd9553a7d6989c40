"""One host's facts as lines of a log: each short enough for every container runtime, together a whole document."""

import gzip
import hashlib
from base64 import b64encode

import msgspec

from gpuaudit.cluster.node_facts import PART_SCHEMA, SCHEMA, HostFacts, NodePart
from gpuaudit.cluster.record import Record
from gpuaudit.knowledge.probe import probe

OVERHEAD = 256  # of a part's line beside its data


def node_lines(facts: HostFacts) -> tuple[str, ...]:
    """Return the document in one line, what has no value left out; a longer one packed and cut into parts.

    ValueError for a document that nobody would read, since it is larger than one may be.
    """
    limits = probe().limits
    content = _encoded(facts, SCHEMA)
    if len(content) > limits.document_bytes:
        raise ValueError(f"the facts of this host take {len(content):,} bytes")
    if len(content) <= limits.line_bytes:
        return (content.decode(),)
    packed = b64encode(gzip.compress(content, mtime=0)).decode()
    room = limits.line_bytes - OVERHEAD
    pieces = [packed[start : start + room] for start in range(0, len(packed), room)]
    ident = hashlib.sha256(content).hexdigest()[:16]
    return tuple(
        _encoded(NodePart(id=ident, part=number, parts=len(pieces), data=piece), PART_SCHEMA).decode()
        for number, piece in enumerate(pieces, 1)
    )


def _encoded(record: Record, schema: str) -> bytes:
    """Return the record with its schema first, by which files are told apart, and nothing that has its default."""
    return b'{"schema":' + msgspec.json.encode(schema) + b"," + msgspec.json.encode(record)[1:]
