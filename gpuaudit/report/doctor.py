"""What `doctor` found, as data and as text: what can be reached and read, and what stays unknown without the rest."""

from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Any

from gpuaudit.knowledge import facts
from gpuaudit.report.plain import printable
from gpuaudit.rule import Rule

_WIDTH = 100
_FORBIDDEN = "not allowed"
_UNREAD = (_FORBIDDEN, "failed", "out of time")


def data(
    clusters: Sequence[Mapping[str, Any]],
    servers: Sequence[Mapping[str, Any]],
    given: Iterable[str],
    rules: Mapping[str, Rule],
) -> dict[str, Any]:
    """Return clusters, Prometheus servers with what they would be asked, facts and how to get them, rules without."""
    have = facts.completed(given)
    needed = sorted({need for rule in rules.values() for need in rule.needs} | set(have))
    return {
        "clusters": list(clusters),
        "prometheus": list(servers),
        "facts": [
            {"name": name, "given": name in have, "what": facts.fact(name).what, "how": facts.fact(name).how}
            for name in needed
        ],
        "rules": [
            {"name": rule.name, "missing": sorted(rule.needs - have)}
            for rule in sorted(rules.values(), key=lambda one: one.name)
        ],
    }


def text(found: Mapping[str, Any]) -> str:
    """Return it for a terminal."""
    lines: list[str] = []
    for cluster in found["clusters"]:
        lines += [*_cluster(cluster), ""]
    for server in found["prometheus"]:
        lines += [*_server(server, fleet=len(found["clusters"]) > 1), ""]
    if not found["prometheus"]:
        if all(cluster["status"] == "failed" for cluster in found["clusters"]):
            return _joined(lines[:-1])  # every rule lacks everything
        lines += [
            "PROMETHEUS  none, and no dcgm-exporter, was found in the cluster: name one with --prometheus-url",
            "",
        ]
    missing = [fact for fact in found["facts"] if not fact["given"]]
    silenced = [rule for rule in found["rules"] if rule["missing"]]
    lines += [f"RULES  {len(found['rules']) - len(silenced)} of {len(found['rules'])} can be evaluated"]
    for rule in silenced:
        lines += _folded(f"{rule['name']}: wants {', '.join(rule['missing'])}")
    if missing:
        lines += ["", "TO KNOW MORE"]
        wanted = {need for rule in silenced for need in rule["missing"]}
        told = (f"{fact['name']}: {fact['how']}" for fact in missing if fact["name"] in wanted)
        lines += [line for text in told for line in _folded(text)]
    return _joined(lines)


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _cluster(cluster: Mapping[str, Any]) -> list[str]:
    version = f" · Kubernetes {printable(cluster['version'])}" if cluster["version"] else ""
    head = f"CLUSTER  {printable(cluster['cluster'])} · context {printable(cluster['context'])}"
    lines = [f"{head} · {printable(cluster['server'])}{version}"]
    if cluster["status"] == "failed":
        return [*lines, f"  cannot be read: {printable(cluster['detail'])}"]
    kinds = cluster["kinds"]
    whole = [kind["name"] for kind in kinds if kind["how"] == "read"]
    lines.append(f"  {len(whole)} of {len(kinds)} kinds that it has can be listed in the whole cluster")
    if "nodes" not in whole:
        lines.append("  nodes cannot be listed: there will be no bill")
    partly = [kind for kind in kinds if kind["namespaces"]]
    if partly:
        spaces = sorted({space for kind in partly for space in kind["namespaces"]})
        lines += _wrapped(f"only in {', '.join(map(printable, spaces))}", [kind["name"] for kind in partly])
    for how in _UNREAD:
        names = [kind["name"] for kind in kinds if kind["how"] == how]
        told = next((kind["detail"] for kind in kinds if kind["how"] == how and kind["detail"]), "")
        reason = f" ({printable(told)})" if told and how != _FORBIDDEN else ""
        lines += _folded(f"{how}: {', '.join(map(printable, names))}{reason}") if names else []
    if partly or any(kind["how"] == _FORBIDDEN for kind in kinds):
        lines.append(
            "  gpuaudit generate rbac prints the role that lists everything; --namespace NS asks in one of yours"
        )
    return lines


def _server(server: Mapping[str, Any], *, fleet: bool) -> list[str]:
    """Return who answers, what it has, and what an audit would ask."""
    place = f" at {printable(server['server'])}" if server["server"] else ""
    whose = f" · of {printable(server['cluster'])}" if fleet and server["cluster"] else ""
    lines = [f"PROMETHEUS  {printable(server['name'])}{place}{whose}"]
    if server["detail"]:
        lines += _folded(printable(server["detail"]))
    if not server["devices"]:
        return lines
    devices = server["devices"]
    said = [f"{max(devices.values()):,} series of each of {len(devices)} device metrics"]
    if server["interval_seconds"]:
        said.append(f"a sample every {server['interval_seconds']:.3g} s")
    if server["since"]:
        since = "over the whole window" if server["whole_window"] else f"since about {server['since'][:16]}Z"
        said.append(f"history {since}")
    lines += _folded(", ".join(said))
    asked = [row for row in server["plan"] if row["samples"] != 0]
    requests, samples = sum(row["requests"] for row in asked), [row["samples"] for row in asked]
    total = f"{sum(samples):,} samples" if all(one is not None for one in samples) else "samples unknown"
    lines.append(f"  an audit asks {len(asked)} templates in about {requests} requests, and has it read about {total}:")
    for row in asked:
        read = "unknown" if row["samples"] is None else f"{row['samples']:,}"
        lines.append(f"    {row['name']:<26} {row['requests']:>4} requests {read:>18} samples")
    return lines


def _wrapped(label: str, names: Sequence[str]) -> list[str]:
    return _folded(f"{label}: {', '.join(map(printable, names))}")


def _folded(text: str) -> list[str]:
    """Return a text as indented lines, broken between words."""
    return wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
