"""Read NCCL's lines out of a job's log (NCCL_DEBUG=INFO), as a stream and bounded: one record for each host."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from gpuaudit.cluster.nccl import NcclLog
from gpuaudit.knowledge import fabric

BLOCK_BYTES = 1 << 20
HEAD_CHARS = 400  # of what stands before NCCL's mark: times and prefixes of log collectors
MARK = b"NCCL"


@dataclass
class _Host:
    """What one host's lines said so far."""

    name: str
    pod: str | None = None
    networks: Counter[str] = field(default_factory=Counter)
    devices: Counter[str] = field(default_factory=Counter)
    interfaces: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)
    pids: set[str] = field(default_factory=set)
    plugin: str | None = None
    ranks: int | None = None
    nodes: int | None = None
    no_device: bool = False
    direct: Counter[bool] = field(default_factory=Counter)
    dma_buf: bool = False


@dataclass(frozen=True)
class NcclRead:
    """The records by host, and whether there were more hosts than are kept."""

    logs: tuple[NcclLog, ...]
    full: bool = False


def read_nccl_log(stream: IO[bytes], *, name: str, cluster: str) -> NcclRead:
    """Read a log. Lines of others, torn lines and what is no text are passed over; `name` is the file's."""
    facts = fabric.fabric().log
    hosts: dict[str, _Host] = {}
    version: str | None = None
    full = False
    for line in _lines(stream, facts.max_line_chars):
        version = version or _found(facts.version, line, "version")
        mark = fabric.pattern(facts.mark).search(line)
        head = (
            fabric.pattern(facts.head).search(line[max(0, mark.start() - HEAD_CHARS) : mark.start()]) if mark else None
        )
        if mark is None or head is None:
            continue
        if head["host"] not in hosts and len(hosts) >= facts.max_hosts:
            full = True
            continue
        host = hosts.setdefault(head["host"], _Host(head["host"]))
        host.pod = host.pod or _found(facts.kubectl_prefix, line, "pod")
        if len(host.pids) < facts.max_processes:
            host.pids.add(head["pid"])
        _take(host, mark["level"], line[mark.end() :].partition(facts.json_end)[0].strip())
    made = tuple(_record(host, name, cluster, version, len(hosts)) for _, host in sorted(hosts.items()))
    return NcclRead(made, full)


def _lines(stream: IO[bytes], longest: int) -> Iterator[str]:
    """Yield the lines that may be NCCL's, as text without what cannot be shown; a long line is cut."""
    rest = b""
    while block := stream.read(BLOCK_BYTES):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()[: 4 * longest]
        yield from (_text(line, longest) for line in lines if MARK in line)
    if MARK in rest:
        yield _text(rest, longest)


def _text(line: bytes, longest: int) -> str:
    text = line[: 4 * longest].decode("utf-8", "replace")[:longest]
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _take(host: _Host, level: str, text: str) -> None:
    facts = fabric.fabric().log
    if level == "WARN":
        host.warnings[text[: facts.max_text_chars]] += 1
        return
    if network := _found(facts.network, text, "name"):
        host.networks[network] += 1
    elif fabric.pattern(facts.devices_line).search(text):
        host.devices.update(f"{one['device']}/{one['link']}" for one in re.finditer(facts.devices, text))
    elif fabric.pattern(facts.socket_line).search(text):
        host.interfaces.update(one["interface"] for one in re.finditer(facts.interface, text))
    elif path := fabric.pattern(facts.path).search(text):
        direct = path["path"].startswith("NET/") and facts.gdr_mark in path["gdr"]
        host.paths[f"{path['path']} {facts.gdr_mark}" if direct else path["path"]] += 1
    else:
        _take_rest(host, text)


def _take_rest(host: _Host, text: str) -> None:
    facts = fabric.fabric().log
    if state := _found(facts.gdr, text, "state"):
        host.direct[state == "Enabled"] += 1
    host.plugin = host.plugin or _found(facts.plugin, text, "name")
    host.no_device = host.no_device or bool(fabric.pattern(facts.no_device).search(text))
    host.dma_buf = host.dma_buf or bool(fabric.pattern(facts.dmabuf).search(text))
    for attribute, pattern in (("ranks", facts.ranks), ("nodes", facts.nodes)):
        if told := _found(pattern, text, "count"):
            setattr(host, attribute, max(int(told), getattr(host, attribute) or 0))


def _record(host: _Host, name: str, cluster: str, version: str | None, hosts: int) -> NcclLog:
    direct = host.direct
    over = any(path.endswith(fabric.fabric().log.gdr_mark) for path in host.paths)
    return NcclLog(
        cluster=cluster,
        name=name,
        host=host.name,
        pod=host.pod,
        networks=_most(host.networks),
        devices=_most(host.devices),
        interfaces=_most(host.interfaces),
        plugin=host.plugin,
        version=version,
        processes=len(host.pids),
        ranks=host.ranks,
        nodes=host.nodes,
        hosts=hosts,
        no_device=host.no_device,
        gpudirect=True if over or direct[True] else False if direct[False] else None,
        dma_buf=host.dma_buf,
        paths=dict(host.paths.most_common(fabric.fabric().log.max_texts)),
        warnings=_most(host.warnings),
    )


def _most(texts: Counter[str]) -> tuple[str, ...]:
    """Return the most frequent texts, bounded in number."""
    return tuple(sorted(text for text, _ in texts.most_common(fabric.fabric().log.max_texts)))


def _found(pattern: str, text: str, group: str) -> str | None:
    match = fabric.pattern(pattern).search(text)
    return match[group] if match else None
