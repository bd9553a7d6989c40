"""What scan and demo share: settings → audit → outputs → exit code."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gpuaudit.cli.outputs import Sink, sinks, writable, write
from gpuaudit.report.plain import printable

if TYPE_CHECKING:
    from gpuaudit.cluster.snapshot import Snapshot
    from gpuaudit.config import Config
    from gpuaudit.gate import Gate
    from gpuaudit.rule import Rule
    from gpuaudit.schema import Report


class Run:
    """One audit with its settings, checked before anything is read: a typing error must not cost minutes."""

    def __init__(self, flags: Mapping[str, object], config_file: Path | None) -> None:
        from gpuaudit.gate import parse_gates
        from gpuaudit.plan.pricebook import PriceBook, load_prices

        self.config = settings(flags, config_file)
        self.sinks: tuple[Sink, ...] = sinks(self.config.output)
        if self.config.save:
            writable(self.config.save)
        self.gates: tuple[Gate, ...] = parse_gates(self.config.fail_on)
        self.rules = checked_rules(self.config)
        self.book = PriceBook(load_prices(self.config.prices) if self.config.prices else None)

    def note(self, text: str) -> None:
        """Say something on stderr, unless asked to be quiet."""
        if not self.config.quiet:
            sys.stderr.write(printable(text) + "\n")

    def report(self, snapshot: "Snapshot") -> "Report":
        """Audit the snapshot."""
        import msgspec

        from gpuaudit.audit import audit
        from gpuaudit.config import rule_options
        from gpuaudit.loader import select

        kept = select(self.rules, ignore=self.config.ignore_rules)
        config = msgspec.structs.replace(
            self.config,
            rules=rule_options(self.config.rules, self.rules),
            ignore_rules=tuple(name for name in self.rules if name not in kept),
        )
        return audit(snapshot, select(self.rules, only=self.config.only), config, self.book)

    def finish(self, snapshot: "Snapshot", *, kept_as: str | None = None) -> None:
        """Keep the snapshot if asked to, audit it, write what was asked for, and exit with the verdict's code.

        `kept_as` is what `explain --from` calls this snapshot, if it can be had again.
        """
        from gpuaudit.gate import judge
        from gpuaudit.store import save

        if self.config.save:
            save(snapshot, self.config.save)
            kept_as = shlex.quote(str(self.config.save))
            self.note(f"snapshot kept in {self.config.save}")
        report = self.report(snapshot)
        write(report, self.sinks, show_all=self.config.all, top=self.config.top)
        if kept_as and report.actions and Sink("terminal") in self.sinks:
            self.note(f"explain a row: gpuaudit explain 1 --from {kept_as}")
        verdict = judge(report, self.gates, min_coverage=self.config.min_coverage, strict=self.config.strict)
        for reason in verdict.blind:
            what = "gate not evaluable" if self.gates else "not whole, and --strict asks for that"
            sys.stderr.write(f"{what}: {printable(reason)}\n")
        for reason in verdict.reached:
            sys.stderr.write(f"gate reached: {printable(reason)}\n")
        raise typer.Exit(verdict.code)


def settings(flags: Mapping[str, object], config_file: Path | None) -> "Config":
    """Return the settings of this run: flag, environment, files, defaults."""
    from gpuaudit.config import load

    return load(flags, environ=os.environ, cwd=Path.cwd(), config_path=config_file)


def checked_rules(config: "Config") -> "Mapping[str, Rule]":
    """Load the rules and check the names and options that the settings give for them."""
    from gpuaudit.config import rule_options
    from gpuaudit.loader import load_rules, select

    rules = load_rules(*config.rule_dirs)
    rule_options(config.rules, rules)
    select(rules, only=config.only, ignore=config.ignore_rules)
    return rules
