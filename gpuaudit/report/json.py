"""The report as JSON, `gpuaudit.report/v1`: the contract's key order, times in UTC with Z, one form for one report."""

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from gpuaudit import schema
from gpuaudit.errors import UserError

# DEL and the C1 controls; marks of direction and of no width; separators of lines. JSON has them in strings alone.
_UNSAFE = re.compile("[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def render(report: schema.Report) -> str:
    """Return the report as indented JSON with a newline at its end."""
    # through the schema once: a rule's whole number is then written as it is read back
    return encode(msgspec.json.decode(msgspec.json.encode(report), type=schema.Report))


def encode(value: Any) -> str:
    """Return any printed data of the product as JSON: indented, times RFC 3339 UTC, no NaN.

    It may be printed to a terminal: what moves its cursor, hides or reverses text is written as escapes.
    """
    plain = msgspec.to_builtins(value, builtin_types=(datetime,))
    text = msgspec.json.format(msgspec.json.encode(_utc(plain)), indent=2).decode()
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


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
