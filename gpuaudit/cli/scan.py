"""`gpuaudit scan`: the audit of a live cluster, or of what the inputs hold."""

from gpuaudit.cli import options


def scan(
    context: options.Contexts = None,
    kubeconfig: options.Kubeconfig = None,
    prometheus_url: options.PrometheusUrl = None,
    prometheus_match: options.PrometheusMatch = None,
    prometheus_header: options.PrometheusHeader = None,
    prometheus_ca: options.PrometheusCa = None,
    nvml: options.Nvml = None,
    input: options.Input = None,
    window: options.Window = None,
    max_time: options.MaxTime = None,
    now: options.Now = None,
    namespace: options.Namespaces = None,
    rules: options.Rules = None,
    only: options.Only = None,
    ignore: options.Ignore = None,
    prices: options.Prices = None,
    config: options.ConfigFile = None,
    strict: options.Strict = False,
    min_coverage: options.MinCoverage = None,
    fail_on: options.FailOn = None,
    output: options.Output = None,
    save: options.Save = None,
    all: options.All = False,
    top: options.Top = None,
    quiet: options.Quiet = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Audit a cluster: bill, who holds the GPUs, what is idle.

    Exit codes: 0 audited, 1 a --fail-on gate was reached, 2 wrong usage or nothing could be audited, 3 a gate could
    not be evaluated.
    """
    from gpuaudit.cli.running import Run
    from gpuaudit.cli.sources import snapshot_of

    flags = {name: value for name, value in locals().items() if name not in ("Run", "snapshot_of", "config")}
    switches = {name: value or None for name, value in flags.items() if isinstance(value, bool) and name != "nvml"}
    run = Run(flags | switches, config)
    snapshot = snapshot_of(run.config, note=run.note, rescue=run.config.save)
    held, asked = snapshot.window_seconds / 86400, run.config.window.total_seconds() / 86400
    if window and round(held, 1) != round(asked, 1):
        run.note(f"the window is {held:.1f} days, not the {asked:.1f} asked for: that is what was found")
    run.finish(snapshot)
