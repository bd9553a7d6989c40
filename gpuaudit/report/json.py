"""The report as JSON, `gpuaudit.report/v1`: the contract's key order, times in UTC with Z, one form for one report."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from gpuaudit import schema
from gpuaudit.errors import UserError


def render(report: schema.Report) -> str:
    """Return the report as indented JSON with a newline at its end."""
    # through the schema once: a rule's whole number is then written as it is read back
    return encode(msgspec.json.decode(msgspec.json.encode(report), type=schema.Report))


def encode(value: Any) -> str:
    """Return any printed data of the product as JSON: indented, times RFC 3339 UTC, no NaN."""
    plain = msgspec.to_builtins(value, builtin_types=(datetime,))
    return msgspec.json.format(msgspec.json.encode(_utc(plain)), indent=2).decode() + "\n"


def decode(content: bytes, name: str) -> schema.Report:
    """Read a report back. UserError for anything else, or a report of another schema."""
    try:
        report = msgspec.json.decode(content, type=schema.Report)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise UserError(
            f"{name} is not a gpuaudit report: {error}", hint="make one with: gpuaudit scan -o json=report.json"
        ) from error
    if report.schema != schema.SCHEMA:
        raise UserError(
            f"{name} is a {report.schema} report; this version reads {schema.SCHEMA}",
            hint="make it again with this version: gpuaudit scan -o json=report.json",
        )
    return report


def _utc(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, dict):
        return {key: _utc(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_utc(item) for item in value]
    return value
