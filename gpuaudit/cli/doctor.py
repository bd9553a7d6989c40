"""`gpuaudit doctor`: what can be reached, what is missing, which rules that silences, what to do."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpuaudit.cli import options

if TYPE_CHECKING:
    from gpuaudit.collect.kubernetes.examining import Examined


def doctor(
    context: options.Contexts = None,
    kubeconfig: options.Kubeconfig = None,
    namespace: options.Namespaces = None,
    max_time: options.MaxTime = None,
    rules: options.Rules = None,
    config: options.ConfigFile = None,
    output: Annotated[
        list[str] | None,
        typer.Option("-o", "--output", metavar="FORMAT[=FILE]", help="terminal or json. Repeatable."),
    ] = None,
) -> None:
    """Say what an audit could see here, and what to do about the rest.

    Asks for one object of every kind; reads nothing else. Exit code 2 when nothing can be read.
    """
    from gpuaudit.cli.outputs import put, sinks
    from gpuaudit.cli.running import checked_rules, settings
    from gpuaudit.collect.kubernetes.connection import connections
    from gpuaudit.collect.kubernetes.examining import examine
    from gpuaudit.report import doctor as page
    from gpuaudit.report.json import encode

    flags = {
        "context": context,
        "kubeconfig": kubeconfig,
        "namespace": namespace,
        "max_time": max_time,
        "rules": rules,
    }
    targets = sinks(output or ())
    chosen = settings(flags, config)
    known = checked_rules(chosen)
    found = connections(chosen.context, chosen.kubeconfig)
    seconds = chosen.max_time.total_seconds() / len(found)
    examined = [examine(one, seconds=seconds, namespaces=chosen.namespace) for one in found]
    given = frozenset[str]().union(*(one.facts for one in examined))
    told = page.data([_cluster(one) for one in examined], given, known)
    for sink in targets:
        put(encode(told) if sink.format == "json" else page.text(told), sink)
    if all(one.status == "failed" for one in examined):
        sys.stderr.write("nothing can be read here\n")
        raise typer.Exit(2)


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
