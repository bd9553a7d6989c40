"""`gpuaudit prices`: the catalogue, or a price file to fill in."""

from enum import StrEnum
from typing import Annotated

import typer

from gpuaudit.cli import options


class Format(StrEnum):
    """Forms of the list."""

    TERMINAL = "terminal"
    JSON = "json"


def prices(
    gpu: Annotated[
        str | None, typer.Option("--gpu", metavar="GPU", help="Only this model: h100-80gb-sxm, H100 …")
    ] = None,
    provider: Annotated[str | None, typer.Option("--provider", metavar="NAME", help="Only this cloud.")] = None,
    template: Annotated[bool, typer.Option("--template", help="Write a price file to fill in (TOML).")] = False,
    input: options.Input = None,
    output: Annotated[Format, typer.Option("-o", "--output", help="Form of the output.")] = Format.TERMINAL,
) -> None:
    """Print list prices, or with --template a price file to fill in.

    Every price stands with its source and date. A template is prefilled with the instance types of --input.
    """
    from gpuaudit.cli.outputs import stdout_width, write_stdout
    from gpuaudit.errors import UserError
    from gpuaudit.report import price_list
    from gpuaudit.report.json import encode

    if template:
        if gpu or provider:
            raise UserError("--template takes no --gpu or --provider", hint="prefill it with --input SNAPSHOT")
        write_stdout(_template(input))
        return
    if input:
        raise UserError("--input goes with --template", hint="gpuaudit prices --template --input SNAPSHOT")
    rows = price_list.rows(gpu=gpu, provider=provider)
    write_stdout(encode(rows) if output is Format.JSON else price_list.table(rows, width=stdout_width()))


def _template(inputs: list[str] | None) -> str:
    from gpuaudit.cli.running import settings
    from gpuaudit.cli.sources import snapshot_of
    from gpuaudit.plan.price_template import template

    if not inputs:
        return template()
    return template(snapshot_of(settings({"input": inputs}, None), note=lambda _: None))
