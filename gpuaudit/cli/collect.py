"""`gpuaudit collect`: only take the snapshot."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpuaudit.cli import options
from gpuaudit.report.plain import printable

if TYPE_CHECKING:
    from gpuaudit.cluster.snapshot import Snapshot

MOST_TOLD = 300  # characters of what went wrong with a source


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
    given = {name: value for name, value in locals().items() if name not in ("output", "config")}
    flags = given | {name: given[name] or None for name in ("quiet", "no_progress")}
    from gpuaudit.cli.outputs import writable
    from gpuaudit.cli.running import settings
    from gpuaudit.cli.sources import snapshot_of
    from gpuaudit.store import save

    chosen = settings(flags, config)
    writable(output)
    snapshot = snapshot_of(chosen, note=lambda text: print(printable(text), file=sys.stderr), rescue=output)
    save(snapshot, output)
    if not chosen.quiet:
        _tell(snapshot, output)


def _tell(snapshot: "Snapshot", output: Path) -> None:
    """Say what was collected, and what was not."""
    nodes, gpus = len(snapshot.gpu_nodes), sum(node.gpus for node in snapshot.gpu_nodes)
    listed = any(cluster.listed for cluster in snapshot.clusters)
    seen = f"{nodes} GPU nodes, {gpus} GPUs" if nodes or listed else "GPU nodes not known"
    lines = [f"{output}: {seen}, taken at {snapshot.taken_at:%Y-%m-%d %H:%M} UTC"]
    for source in snapshot.sources:
        if source.status in ("partial", "failed"):
            lines.append(f"{source.name} {'failed' if source.status == 'failed' else 'read in part'}: {source.detail}")
    sys.stderr.write("".join(f"{printable(line[:MOST_TOLD])}\n" for line in lines))
