"""`gpuaudit demo`: the audit of the built-in cluster."""

from gpuaudit.cli import options


def demo(
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
    """Audit the built-in demo cluster.

    It needs no cluster, GPU or network, and shows what scan prints.
    """
    from gpuaudit.cli.running import Run
    from gpuaudit.paths import builtin
    from gpuaudit.store import load

    flags = {name: value for name, value in locals().items() if name not in ("Run", "builtin", "load", "config")}
    switches = {name: value or None for name, value in flags.items() if isinstance(value, bool)}
    Run(flags | switches, config).finish(load(builtin("snapshots") / "demo.gpuaudit"), kept_as="demo")
