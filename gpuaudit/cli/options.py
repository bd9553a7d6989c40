"""Options that several commands take, said once."""

from pathlib import Path
from typing import Annotated

import typer

SOURCES, AUDIT, OUTPUT = "Sources", "Audit", "Output"

Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="PATH",
        help="A file or folder, plain or .gz: a snapshot, kubectl get -o json|yaml, metrics text, Prometheus JSON "
        "(METRIC=FILE for one without a name). Repeatable.",
        rich_help_panel=SOURCES,
    ),
]
Contexts = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        metavar="NAME",
        help="A context of the kubeconfig; default: the current one. Repeatable: one report of several clusters.",
        rich_help_panel=SOURCES,
    ),
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig",
        metavar="PATH",
        help="Default: KUBECONFIG, ~/.kube/config; inside a cluster its service account.",
        rich_help_panel=SOURCES,
    ),
]
PrometheusUrl = Annotated[
    str | None,
    typer.Option(
        "--prometheus-url",
        metavar="URL",
        help="A Prometheus, Thanos, Mimir, VictoriaMetrics or managed one; default: what is found in the cluster.",
        rich_help_panel=SOURCES,
    ),
]
PrometheusMatch = Annotated[
    list[str] | None,
    typer.Option(
        "--prometheus-match",
        metavar="MATCHER",
        help="Only series with this label, for a store of many clusters: 'cluster=\"x\"'. Repeatable.",
        rich_help_panel=SOURCES,
    ),
]
PrometheusHeader = Annotated[
    list[str] | None,
    typer.Option(
        "--prometheus-header",
        metavar="'K: V'",
        help="A header to send: a token, a tenant. Repeatable.",
        rich_help_panel=SOURCES,
    ),
]
PrometheusCa = Annotated[
    Path | None,
    typer.Option("--prometheus-ca", metavar="FILE", help="The certificates to trust, PEM.", rich_help_panel=SOURCES),
]
Nvml = Annotated[
    bool | None,
    typer.Option(
        "--nvml/--no-nvml",
        help="Add what this host's driver and network tell; default: if it is a node of the cluster. "
        "Without any cluster: a report of this host.",
        rich_help_panel=SOURCES,
    ),
]
MaxTime = Annotated[
    str | None,
    typer.Option(
        "--max-time",
        metavar="10m",
        help="How long collecting may take; what was read until then is audited, and said.",
        rich_help_panel=SOURCES,
    ),
]
Window = Annotated[
    str | None,
    typer.Option("--window", metavar="14d", help="How far back to look.", rich_help_panel=SOURCES),
]
Now = Annotated[
    str | None,
    typer.Option(
        "--now",
        metavar="TIME",
        help="The time of the audit (ISO 8601); default: newest time in the files.",
        rich_help_panel=SOURCES,
    ),
]
Namespaces = Annotated[
    list[str] | None,
    typer.Option(
        "--namespace",
        metavar="NS",
        help="Findings of these namespaces; the bill stays whole. Repeatable.",
        rich_help_panel=SOURCES,
    ),
]
Rules = Annotated[
    list[Path] | None,
    typer.Option(
        "--rules",
        metavar="DIR",
        help="More rules: DIR/<area>/<name>.py. Runs their code. Repeatable.",
        rich_help_panel=AUDIT,
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="AREA|RULE", help="Run these only. Repeatable.", rich_help_panel=AUDIT),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="RULE", help="Leave these out. Repeatable.", rich_help_panel=AUDIT),
]
Prices = Annotated[
    Path | None,
    typer.Option("--prices", metavar="FILE", help="What you pay (gpuaudit prices --template).", rich_help_panel=AUDIT),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings; default: ./gpuaudit.toml.", rich_help_panel=AUDIT),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit 3 when a source that was asked for failed.", rich_help_panel=AUDIT)
]
MinCoverage = Annotated[
    float | None,
    typer.Option(
        "--min-coverage",
        metavar="0.8",
        help="GPU-hours that must be seen for a gate to mean anything.",
        rich_help_panel=AUDIT,
    ),
]
FailOn = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on",
        metavar="high|medium|low|usd=500",
        help="Exit 1 when an unignored finding is that severe, or so much is booked a month. Repeatable.",
        rich_help_panel=AUDIT,
    ),
]
Output = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FORMAT[=FILE]",
        help="terminal or json, to stdout or a file. Repeatable.",
        rich_help_panel=OUTPUT,
    ),
]
Save = Annotated[
    Path | None,
    typer.Option("--save", metavar="FILE", help="Keep the snapshot (.gpuaudit).", rich_help_panel=OUTPUT),
]
All = Annotated[bool, typer.Option("--all", help="Show everything, not only the first screen.", rich_help_panel=OUTPUT)]
Top = Annotated[
    int | None, typer.Option("--top", metavar="7", help="How many actions to show.", rich_help_panel=OUTPUT)
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No notes on stderr.", rich_help_panel=OUTPUT)]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="No progress on stderr.", rich_help_panel=OUTPUT)]
