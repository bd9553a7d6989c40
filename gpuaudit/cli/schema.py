"""`gpuaudit schema`: JSON Schemas of what the product reads and writes."""

from enum import StrEnum
from typing import Annotated

import typer


class Kind(StrEnum):
    """What has a schema."""

    REPORT = "report"
    SNAPSHOT = "snapshot"
    CONFIG = "config"
    NODE = "node"


def schema(kind: Annotated[Kind, typer.Argument(help="Which document.")]) -> None:
    """Print a JSON Schema.

    Of the report, the snapshot's document, the configuration file or a node's facts.
    """
    import msgspec

    from gpuaudit.cli.outputs import write_stdout
    from gpuaudit.report.json import encode

    if kind is Kind.REPORT:
        from gpuaudit.schema import Report

        found = msgspec.json.schema(Report)
    elif kind is Kind.SNAPSHOT:
        from gpuaudit.store import json_schema as snapshot_schema

        found = snapshot_schema()
    elif kind is Kind.NODE:
        from gpuaudit.cluster.node_facts import HostFacts

        found = msgspec.json.schema(HostFacts)
    else:
        from gpuaudit.config import json_schema as config_schema

        found = config_schema()
    write_stdout(encode({"$schema": "https://json-schema.org/draft/2020-12/schema", **found}))
