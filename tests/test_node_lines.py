"""The probe's log: lines that no runtime cuts, joined again whatever happens to the log; hostile ones refused."""

import gzip
import json
import random
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaudit.cluster.node_facts import FabricFacts, GpuFacts, HostFacts, NvlinkFacts, PortFacts, ProcessFacts
from gpuaudit.collect.inputs.file_kinds import FileKind, kind_of
from gpuaudit.collect.inputs.node_documents import read_documents, read_lines
from gpuaudit.errors import UserError
from gpuaudit.knowledge.probe import probe
from gpuaudit.report.node_lines import node_lines

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RUNTIME_CUTS_AT = 16384


def host(name: str = "a", gpus: int = 8, seed: int = 0) -> HostFacts:
    """A host whose facts do not pack well."""
    noise = random.Random(seed)
    links = [NvlinkFacts(link=n, active=True, errors={"replay": noise.randrange(1 << 60)}) for n in range(18)]
    ports = [
        PortFacts(device=f"mlx5_{n}", counters={f"c{k}": noise.randrange(1 << 62) for k in range(120)})
        for n in range(9)
    ]
    return HostFacts(
        tool_version="1",
        taken_at=NOW,
        host=name,
        driver="580",
        gpus=tuple(
            GpuFacts(
                index=n,
                uuid=f"GPU-{noise.randrange(1 << 60):x}",
                nvlinks=tuple(links),
                processes=tuple(ProcessFacts(pid=noise.randrange(1 << 22)) for _ in range(40)),
            )
            for n in range(gpus)
        ),
        fabric=FabricFacts(ports=tuple(ports)),
    )


def test_a_small_document_is_one_line_of_json() -> None:
    (line,) = node_lines(HostFacts(tool_version="1", taken_at=NOW, host="a"))
    assert json.loads(line)["schema"] == "gpuaudit.node/v1"
    assert kind_of(line.encode()) is FileKind.NODE


def test_a_large_one_is_cut_into_lines_that_no_runtime_cuts() -> None:
    facts = host()
    lines = node_lines(facts)
    assert len(lines) > 1
    assert all(len(line) < RUNTIME_CUTS_AT and "\n" not in line for line in lines)
    assert kind_of("\n".join(lines).encode()) is FileKind.NODE
    assert read_documents("\n".join(lines).encode(), name="x").facts == (facts,)


def test_parts_are_joined_across_noise_and_of_cut_logs_the_whole_documents_are_read() -> None:
    old, new, newest = host(seed=1), host(seed=2), host(seed=3)
    log = [*node_lines(old)[1:], "note: hello", *node_lines(new), "Traceback", *node_lines(newest)[:-1]]
    found = read_lines("\n".join(log).encode())
    assert found.facts == (new,)
    turned = list(reversed(node_lines(new)))
    assert read_lines("\n".join([turned[0], "x", *turned]).encode()).facts == (new,)


def part(data: bytes, **values: object) -> bytes:
    record = {"id": "a", "part": 1, "parts": 1, "data": data.decode()} | values
    return b'{"schema":"gpuaudit.node-part/v1",' + json.dumps(record).encode()[1:]


BOMB = b64encode(gzip.compress(bytes(200 << 20)))


@pytest.mark.parametrize(
    "line",
    [
        part(BOMB),
        part(b"not base64!"),
        part(b64encode(b"not gzip")),
        part(b64encode(gzip.compress(b'{"schema": "gpuaudit.node/v9"}'))),
        part(b"", part=2),
        part(b"", part=0),
        part(b"", parts=10**9),
        part(b"", parts=-1),
    ],
)
def test_hostile_parts_are_refused(line: bytes) -> None:
    found = read_lines(line)
    assert (found.facts, found.refused) == ((), 1)
    with pytest.raises(UserError):
        read_documents(line, name="x")


@given(st.lists(st.sampled_from(node_lines(host(gpus=3))), max_size=12), st.binary(max_size=40))
def test_any_mixture_of_lines_gives_whole_documents_or_none(lines: list[str], noise: bytes) -> None:
    whole = set(node_lines(host(gpus=3)))
    found = read_lines("\n".join(lines).encode() + b"\n" + noise)
    assert bool(found.facts) == (set(lines) >= whole)
    assert all(one == host(gpus=3) for one in found.facts)


def test_a_document_that_nobody_would_read_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    many = HostFacts(tool_version="1", taken_at=NOW, host="a", notes=("x" * (probe().limits.document_bytes + 1),))
    with pytest.raises(ValueError, match="bytes"):
        node_lines(many)
