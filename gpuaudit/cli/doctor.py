"""`gpuaudit doctor`: what can be reached, what is missing, which rules that silences, what to do."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuaudit.cli import options
from gpuaudit.errors import UserError

if TYPE_CHECKING:
    from gpuaudit.collect.kubernetes.examining import Examined
    from gpuaudit.collect.prometheus.examining import ExaminedServer


def doctor(
    context: options.Contexts = None,
    kubeconfig: options.Kubeconfig = None,
    namespace: options.Namespaces = None,
    prometheus_url: options.PrometheusUrl = None,
    prometheus_match: options.PrometheusMatch = None,
    prometheus_header: options.PrometheusHeader = None,
    prometheus_ca: options.PrometheusCa = None,
    window: options.Window = None,
    max_time: options.MaxTime = None,
    now: options.Now = None,
    rules: options.Rules = None,
    config: options.ConfigFile = None,
    output: Annotated[
        list[str] | None,
        typer.Option("-o", "--output", metavar="FORMAT[=FILE]", help="terminal or json. Repeatable."),
    ] = None,
) -> None:
    """Say what an audit could see here, and what to do about the rest.

    Asks for one object of every kind, and a Prometheus for a few hours; lists what an audit would ask it. Exit code 2
    when nothing can be read.
    """
    from gpuaudit.cli.outputs import put, sinks
    from gpuaudit.cli.running import checked_rules, settings
    from gpuaudit.collect.kubernetes.connection import connections
    from gpuaudit.collect.kubernetes.deadline import Deadline
    from gpuaudit.collect.kubernetes.examining import examine
    from gpuaudit.collect.prometheus.examining import examine_servers
    from gpuaudit.report import doctor as page
    from gpuaudit.report.json import encode

    flags = {
        "context": context,
        "kubeconfig": kubeconfig,
        "namespace": namespace,
        "prometheus_url": prometheus_url,
        "prometheus_match": prometheus_match,
        "prometheus_header": prometheus_header,
        "prometheus_ca": prometheus_ca,
        "window": window,
        "max_time": max_time,
        "now": now,
        "rules": rules,
    }
    targets = sinks(output or ())
    chosen = settings(flags, config)
    known = checked_rules(chosen)
    deadline = Deadline(chosen.max_time.total_seconds())
    found = connections(chosen.context, chosen.kubeconfig, seconds=deadline.remaining)
    seconds = deadline.remaining / len(found)
    examined = [
        examine(one, seconds=seconds, namespaces=chosen.namespace, probe_namespace=chosen.probe_namespace)
        for one in found
    ]
    ways = [(way, one.services) for way, one in zip(found, examined, strict=True)]
    servers = examine_servers(chosen, ways, end=chosen.now or datetime.now(UTC), deadline=deadline)
    given = frozenset[str]().union(*(one.facts for one in examined), *(one.facts for one in servers))
    told = page.data([_cluster(one) for one in examined], [_server(one) for one in servers], given, known)
    for sink in targets:
        put(encode(told) if sink.format == "json" else page.text(told), sink)
    if all(one.status == "failed" for one in examined):
        raise UserError("nothing can be read here", hint=examined[0].hint)


def _server(one: "ExaminedServer") -> dict[str, Any]:
    return {
        "server": one.server,
        "name": one.name,
        "cluster": one.cluster,
        "status": one.status,
        "detail": one.detail,
        "devices": dict(one.devices),
        "interval_seconds": one.interval_seconds,
        "since": None if one.since is None else one.since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "whole_window": one.whole,
        "plan": [
            {"name": row.name, "query": row.query, "requests": row.requests, "samples": row.samples} for row in one.plan
        ],
    }


def _cluster(one: "Examined") -> dict[str, Any]:
    return {
        "context": one.context,
        "cluster": one.cluster,
        "server": one.server,
        "version": one.version,
        "status": one.status,
        "detail": one.detail,
        "kinds": [
            {
                "name": listed.name,
                "how": listed.how.value,
                "detail": listed.detail,
                "namespaces": None if listed.namespaces is None else list(listed.namespaces),
            }
            for listed in one.listed
        ],
        "not_installed": list(one.absent_groups),
    }
