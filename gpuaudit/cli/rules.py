"""`gpuaudit rules`: the list of rules, or one rule's page."""

from enum import StrEnum
from typing import Annotated

import typer

from gpuaudit.cli import options


class Format(StrEnum):
    """Forms of the list."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    JSON = "json"


def rules(
    name: Annotated[str | None, typer.Argument(help="One rule: its whole page.")] = None,
    format: Annotated[Format, typer.Option("--format", "-o", help="Form of the output.")] = Format.TERMINAL,
    rules: options.Rules = None,
    config: options.ConfigFile = None,
) -> None:
    """List the rules, or print one rule's page.

    A page says what is wrong, why it costs, what to do, which facts the rule needs and which options it has.
    """
    from gpuaudit.cli.outputs import stdout_width, write_stdout
    from gpuaudit.cli.running import checked_rules, settings
    from gpuaudit.errors import UserError
    from gpuaudit.loader import select
    from gpuaudit.report import rule_list
    from gpuaudit.report.json import encode

    known = checked_rules(settings({"rules": rules}, config))
    if name is not None:
        slug = name.replace("_", "-")
        chosen = select(known, only=[name])
        if slug not in known:
            raise UserError(f"{name} is an area, not a rule", hint=f"its rules: {', '.join(chosen)}")
    else:
        chosen = dict(known)
    if format is Format.JSON:
        rows = rule_list.rows(chosen)
        write_stdout(encode(rows[0] if name else rows))
    elif format is Format.MARKDOWN:
        write_stdout(rule_list.markdown(chosen))
    else:
        width = stdout_width()
        write_stdout(rule_list.page(chosen[slug], width=width) if name else rule_list.table(chosen, width=width))
