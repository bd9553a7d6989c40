"""The rules as a table, as pages and as data; docs/rules.md is printed from here."""

import textwrap
from collections.abc import Mapping
from typing import Any

from gpuaudit.knowledge import facts
from gpuaudit.rule import Rule


def rows(rules: Mapping[str, Rule]) -> list[dict[str, Any]]:
    """Return the contract's list: name, area, severity, needs, options, page."""
    return [
        {
            "name": rule.name,
            "area": rule.area,
            "severity": rule.severity.value,
            "needs": sorted(rule.needs),
            "options": {name: _plain(value) for name, value in rule.options.items()},
            "page": rule.page,
        }
        for rule in _in_order(rules)
    ]


def table(rules: Mapping[str, Rule], *, width: int) -> str:
    """Return the rules grouped by area, within that width."""
    longest = max(map(len, rules), default=0)
    lines: list[str] = []
    area = None
    for rule in _in_order(rules):
        if rule.area != area:
            area = rule.area
            lines += ["", area]
        head = f"  {rule.name:<{longest}}  {rule.severity.value:<6}  "
        lines += textwrap.wrap(head + rule.summary, width, subsequent_indent=" " * len(head))
    return "\n".join([*lines[1:], "", "gpuaudit rules NAME prints a rule's page", ""])


def page(rule: Rule, *, width: int) -> str:
    """Return a rule's page for a terminal, its prose within that width."""
    parts = [f"{rule.name}   {rule.area} · {rule.severity.value}", ""]
    for paragraph in rule.page.split("\n\n"):
        parts += [paragraph if "\n " in paragraph else textwrap.fill(" ".join(paragraph.split()), width), ""]
    parts.append("Needs")
    needs = [f"  {name}: {facts.fact(name).what}" for name in sorted(rule.needs)] or ["  nothing"]
    parts += [textwrap.fill(need, width, subsequent_indent="    ") for need in needs]
    parts += ["", "Options"]
    parts += [f"  {name} = {_toml(value)}" for name, value in rule.options.items()] or ["  none"]
    return "\n".join([*parts, "", _example(rule)])


def markdown(rules: Mapping[str, Rule]) -> str:
    """Return every page as one Markdown document."""
    parts = ["# Rules", "", "Printed by `gpuaudit rules --format markdown`; do not edit.", ""]
    area = None
    for rule in _in_order(rules):
        if rule.area != area:
            area = rule.area
            parts += [f"## {area}", ""]
        needs = ", ".join(f"`{name}`" for name in sorted(rule.needs)) or "nothing"
        parts += [f"### {rule.name}", "", f"Severity {rule.severity.value}; needs {needs}.", "", rule.page, ""]
        if rule.options:
            parts += ["| option | default |", "|---|---|"]
            parts += [f"| `{name}` | `{_toml(value)}` |" for name, value in rule.options.items()]
            parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _in_order(rules: Mapping[str, Rule]) -> list[Rule]:
    return sorted(rules.values(), key=lambda rule: (rule.area, rule.name))


def _example(rule: Rule) -> str:
    lines = [f"Leave it out with --ignore {rule.name}"]
    if rule.options:
        name, value = next(iter(rule.options.items()))
        lines = ["Set options in gpuaudit.toml:", f"  [rules.{rule.name}]", f"  {name} = {_toml(value)}", "", *lines]
    return "\n".join([*lines, ""])


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple | set | frozenset) else value


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list | set | frozenset):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value)
