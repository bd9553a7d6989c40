"""Which node a host name of the metrics means: node name, address, host name label; short or full; with a port."""

import ipaddress
from collections.abc import Iterable, Mapping

from gpuaudit.cluster.nodes import Node
from gpuaudit.knowledge import kubernetes

NodeKey = tuple[str, str]  # cluster, name


class HostIndex:
    """Nodes by every name that an exporter or a scraper may have for them. A name of two nodes names neither."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._exact: dict[str, set[NodeKey]] = {}
        self._short: dict[str, set[NodeKey]] = {}
        for node in nodes:
            for name in _names(node):
                self._exact.setdefault(name, set()).add(node.key)
                if short := _short(name):
                    self._short.setdefault(short, set()).add(node.key)

    def find(self, host: str, *, clusters: frozenset[str] | None = None) -> NodeKey | None:
        """Return the node that `host` means, among `clusters` (None = all); None when no node or several are meant."""
        plain = _without_port(host)
        short = _short(plain)
        # Of two full names none is cut short: gpu1.here is not gpu1.there.
        tables = [(self._exact, plain), (self._exact, short) if short != plain else (self._short, plain)]
        for table, name in tables:
            wanted = {key for key in table.get(name, ()) if clusters is None or key[0] in clusters}
            if wanted:
                return next(iter(wanted)) if len(wanted) == 1 else None
        return None


def _names(node: Node) -> set[str]:
    labels: Mapping[str, str] = node.labels
    named = (labels.get(key, "") for key in kubernetes.labels().hostname)
    return {name.casefold() for name in (node.name, *node.addresses, *named) if name}


def _short(name: str) -> str:
    """Return the first part of a host name; nothing for an IP address, which has no short form."""
    return "" if _is_address(name) else name.partition(".")[0]


def _without_port(host: str) -> str:
    plain = host.strip().casefold()
    if plain.startswith("["):
        return plain[1:].partition("]")[0]
    name, colon, port = plain.rpartition(":")
    return name if colon and ":" not in name and port.isdecimal() else plain


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
