"""`gpuaudit collect`: only take the snapshot."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gpuaudit.cli import options


def collect(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Where the snapshot goes (.gpuaudit).")
    ],
    context: options.Contexts = None,
    kubeconfig: options.Kubeconfig = None,
    namespace: options.Namespaces = None,
    prometheus_url: options.PrometheusUrl = None,
    prometheus_match: options.PrometheusMatch = None,
    prometheus_header: options.PrometheusHeader = None,
    prometheus_ca: options.PrometheusCa = None,
    nvml: options.Nvml = None,
    input: options.Input = None,
    window: options.Window = None,
    max_time: options.MaxTime = None,
    now: options.Now = None,
    config: options.ConfigFile = None,
    quiet: options.Quiet = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Take a snapshot and keep it in a file.

    gpuaudit scan --input FILE audits it later, anywhere, with the same result.
    """
    from gpuaudit.cli.outputs import writable
    from gpuaudit.cli.running import settings
    from gpuaudit.cli.sources import snapshot_of
    from gpuaudit.report.plain import printable
    from gpuaudit.store import save

    flags = {
        "context": context,
        "kubeconfig": kubeconfig,
        "namespace": namespace,
        "prometheus_url": prometheus_url,
        "prometheus_match": prometheus_match,
        "prometheus_header": prometheus_header,
        "prometheus_ca": prometheus_ca,
        "nvml": nvml,
        "input": input,
        "window": window,
        "max_time": max_time,
        "now": now,
        "quiet": quiet or None,
        "no_progress": no_progress or None,
    }
    chosen = settings(flags, config)
    writable(output)
    snapshot = snapshot_of(chosen, note=lambda text: print(printable(text), file=sys.stderr), rescue=output)
    save(snapshot, output)
    if not chosen.quiet:
        seen = f"{len(snapshot.gpu_nodes)} GPU nodes, {sum(node.gpus for node in snapshot.gpu_nodes)} GPUs"
        sys.stderr.write(f"{printable(str(output))}: {seen}, taken at {snapshot.taken_at:%Y-%m-%d %H:%M} UTC\n")
