"""Checks `[rules.<name>]` against the signatures of the rules that are loaded."""

import difflib
import typing
from collections.abc import Mapping

import msgspec

from gpuaudit.errors import UserError
from gpuaudit.rule import Rule


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


def _option(rule: Rule, key: str, value: object) -> object:
    name = key.replace("-", "_")
    if name not in rule.options:
        raise UserError(f"[rules.{rule.name}]: no option {key!r}", hint=_close(name, rule.options))
    kind = typing.get_type_hints(rule.check).get(name, type(rule.options[name]))
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        default = rule.options[name]
        raise UserError(f"[rules.{rule.name}] {key}: {error}", hint=f"its default is {default!r}") from None


def _close(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=2, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(sorted(known)) or 'none'}"
