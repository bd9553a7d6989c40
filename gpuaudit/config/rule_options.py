"""Checks `[rules.<name>]` against the signatures of the rules that are loaded."""

import difflib
import typing
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import msgspec

from gpuaudit.errors import UserError
from gpuaudit.rule import Rule

TIMEZONE = "timezone"  # an option of this name takes the configured zone unless the rule's own table says otherwise


def rule_options(tables: Mapping[str, Mapping[str, object]], rules: Mapping[str, Rule]) -> dict[str, dict[str, object]]:
    """Return the options by rule, in the types of the signature. UserError for an unknown rule, option or a wrong type.

    `rules` are all that are loaded, not only those selected for this run.
    """
    checked: dict[str, dict[str, object]] = {}
    for name, table in sorted(tables.items()):
        if name not in rules:
            raise UserError(f"[rules.{name}]: there is no such rule", hint=_close(name, rules))
        checked[name] = {key.replace("-", "_"): _option(rules[name], key, value) for key, value in table.items()}
    return checked


def with_timezone(
    options: Mapping[str, Mapping[str, object]], rules: Mapping[str, Rule], timezone: str
) -> dict[str, Mapping[str, object]]:
    """Return the options with the configured time zone for every rule that asks for one and was not given its own."""
    asking = {name: {TIMEZONE: timezone} for name, rule in rules.items() if TIMEZONE in rule.options}
    return {name: asking.get(name, {}) | dict(options.get(name, {})) for name in {**asking, **options}}


def _option(rule: Rule, key: str, value: object) -> object:
    name = key.replace("-", "_")
    if name not in rule.options:
        raise UserError(f"[rules.{rule.name}]: no option {key!r}", hint=_close(name, rule.options))
    kind = typing.get_type_hints(rule.check).get(name, type(rule.options[name]))
    if name == TIMEZONE:
        _check_zone(rule, str(value))
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        default = rule.options[name]
        raise UserError(f"[rules.{rule.name}] {key}: {error}", hint=f"its default is {default!r}") from None


def _check_zone(rule: Rule, zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        message = f"[rules.{rule.name}] {TIMEZONE}: {zone[:60]!r} is not known"
        raise UserError(message, hint="use an IANA name such as Europe/Berlin") from error


def _close(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=2, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(sorted(known)) or 'none'}"
