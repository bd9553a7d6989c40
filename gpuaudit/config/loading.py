"""Reads the settings: a flag wins over GPUAUDIT_*, --config, ./gpuaudit.toml, [tool.gpuaudit], the default."""

import difflib
import re
import tomllib
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from gpuaudit.config.durations import PATTERN, parse_duration
from gpuaudit.config.options import Calendar, Config, Exempt, Ignore, Ownership, Peak, Role
from gpuaudit.config.selectors import Selector
from gpuaudit.errors import UserError
from gpuaudit.knowledge.probe import probe

ENVIRONMENT_PREFIX = "GPUAUDIT_"
FLAG_FIELDS = {"rules": "rule_dirs", "ignore": "ignore_rules"}  # where a flag and a table share a name
TABLES = frozenset({"rules", "ignore", "exempt", "roles", "ownership", "scarce", "calendar", "timezone"})
_DURATIONS = frozenset({"window", "step", "max_time"})
_PATHS = frozenset({"kubeconfig", "prometheus_ca", "history", "prices", "baseline", "save", "manifests", "rule_dirs"})
_FREE_TEXT = frozenset({"prometheus_match", "prometheus_header", "input"})  # commas belong to the value
_LISTS = frozenset(field.name for field in msgspec.structs.fields(Config) if isinstance(field.default, tuple))
_OPTIONS = tuple(name for name in Config.__struct_fields__ if name not in TABLES)
_RECORDS = {"ignore": Ignore, "exempt": Exempt, "roles": Selector, "ownership": Ownership, "calendar": Calendar}
_LARGEST_BYTES = 4_000_000


def load(
    flags: Mapping[str, object],
    *,
    environ: Mapping[str, str],
    cwd: Path,
    config_path: Path | None = None,
) -> Config:
    """Return the settings. A flag that is None or empty was not given: pass None, not False, for a switch left alone.

    UserError says which file, variable or flag is wrong, and what was probably meant.
    """
    named = config_path or _named_by_environment(environ)
    layers = [
        _project_layer(cwd / "pyproject.toml"),
        _file_layer(cwd / "gpuaudit.toml", required=False),
        _file_layer(cwd / named, required=True) if named else {},
        _environment_layer(environ),
        _flag_layer(flags),
    ]
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merged(merged, layer)
    return _checked(_converted(merged, "settings"))


def _project_layer(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    table = _toml(path).get("tool", {}).get("gpuaudit", {})
    return _normal(table, f"{path} [tool.gpuaudit]", folder=path.parent)


def _file_layer(path: Path, *, required: bool) -> dict[str, Any]:
    if not required and not path.is_file():
        return {}
    return _normal(_toml(path), str(path), folder=path.parent)


def _toml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise UserError(f"{path} is larger than a configuration can be", hint="is it the right file?")
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot read {path}: {reason}", hint="give --config the path of a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}", hint="mend the line that it names") from error


def _named_by_environment(environ: Mapping[str, str]) -> Path | None:
    name = environ.get(ENVIRONMENT_PREFIX + "CONFIG")
    return Path(name) if name else None


def _environment_layer(environ: Mapping[str, str]) -> dict[str, Any]:
    layer: dict[str, Any] = {}
    flags = {FIELD_FLAGS.get(field, field): field for field in _OPTIONS}
    for key in sorted(environ):
        name = key.removeprefix(ENVIRONMENT_PREFIX).lower()
        if not key.startswith(ENVIRONMENT_PREFIX) or name == "config" or not environ[key]:
            continue
        if key in probe().environment:
            continue
        if name not in flags:
            raise UserError(f"unknown environment variable {key}", hint=_close(name, flags, ENVIRONMENT_PREFIX))
        layer[flags[name]] = _from_text(flags[name], environ[key])
    return _normal(layer, "the environment (GPUAUDIT_*)")


FIELD_FLAGS = {field: flag for flag, field in FLAG_FIELDS.items()}


def _from_text(field: str, text: str) -> object:
    if field not in _LISTS:
        return text
    parts = text.splitlines() if field in _FREE_TEXT or "\n" in text else text.split(",")
    return [part.strip() for part in parts if part.strip()]


def _flag_layer(flags: Mapping[str, object]) -> dict[str, Any]:
    given = {FLAG_FIELDS.get(name, name): value for name, value in flags.items() if value not in (None, (), [])}
    return _normal(given, "the command line")


def _normal(table: Mapping[str, Any], where: str, *, folder: Path | None = None) -> dict[str, Any]:
    """Turn texts into values, resolve paths of a file against its folder, and check the layer by itself."""
    layer: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name in layer:
            raise UserError(f"{where}: {name} stands twice, once with - and once with _", hint="keep one of them")
        layer[name] = _value(name, value, where, folder)
    _converted(layer, where, strict=folder is not None)
    return layer


def _value(name: str, value: Any, where: str, folder: Path | None) -> Any:
    try:
        if name in _DURATIONS and isinstance(value, str):
            return parse_duration(value)
        if name == "now":
            return _time(value.isoformat() if isinstance(value, datetime) else str(value))
    except UserError as error:
        raise UserError(f"{where}: {name}: {error.message}", hint=error.hint) from None
    if name in _PATHS and folder is not None:
        return [_beside(folder, one) for one in value] if isinstance(value, list) else _beside(folder, value)
    if name == "ignore" and isinstance(value, list):
        return [_one_rule(entry) for entry in value]
    return value


def _beside(folder: Path, value: object) -> object:
    return str(folder / Path(value).expanduser()) if isinstance(value, str) else value


def _one_rule(entry: Any) -> Any:
    """Let `rule = "idle-gpu"` stand for a list of one."""
    if isinstance(entry, dict) and isinstance(entry.get("rule"), str):
        return {**entry, "rule": [entry["rule"]]}
    return entry


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromtimestamp(float(text), UTC) if _number(text) else datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError) as error:
        raise UserError(f"{text[:40]!r} is not a time", hint="write it as 2026-11-23T16:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text) is not None


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one layer over another: tables key by key, everything else as a whole."""
    result = dict(low)
    for key, value in high.items():
        under = result.get(key)
        result[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return result


def _converted(layer: Mapping[str, Any], where: str, *, strict: bool = False) -> Config:
    try:
        return msgspec.convert(layer, Config, strict=strict, dec_hook=_hook)
    except msgspec.ValidationError as error:
        raise _mendable(str(error), where) from None


def _hook(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str | Path):
        return Path(value).expanduser()
    raise ValueError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _mendable(reason: str, where: str) -> UserError:
    unknown = re.search(r"unknown field `([^`]*)`", reason)
    path = re.search(r"at .*`\$\.?([^`]*)`$", reason)
    place = path.group(1) if path else ""
    role = re.search(r"enum value '([^']*)' - at `key` in `\$\.roles`", reason)
    if role:
        return UserError(f"{where}: unknown role {role.group(1)!r}", hint=_close(role.group(1), typing.get_args(Role)))
    if unknown:
        table = re.match(r"[a-z_]*", place)
        record = _RECORDS.get(table.group(0) if table else "", Config)
        known = (Peak if place.startswith("calendar.peaks") else record).__struct_fields__
        within = f" in {place}" if place else ""
        return UserError(f"{where}: unknown key {unknown.group(1)!r}{within}", hint=_close(unknown.group(1), known))
    text = reason.partition(" - at ")[0].replace("`Path`", "`str`")
    return UserError(
        f"{where}: {place or 'a value'}: {text[:1].lower()}{text[1:]}",
        hint="gpuaudit schema config lists every key with its type",
    )


def _close(name: str, known: Iterable[str], prefix: str = "") -> str:
    names = sorted(known)
    spell: Callable[[str], str] = (lambda text: prefix + text.upper()) if prefix else str
    close = difflib.get_close_matches(name.replace("-", "_"), names, n=2, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(spell(one) for one in close)}?"
    return f"known: {', '.join(spell(one) for one in names)}"


def _checked(config: Config) -> Config:
    """Check what types cannot: the timezone exists, selectors name something, peaks do not end before they start."""
    try:
        ZoneInfo(config.timezone)
    except (KeyError, ValueError, OSError) as error:
        message = f"timezone {config.timezone[:60]!r} is not known"
        raise UserError(message, hint="use an IANA name such as Europe/Berlin") from error
    for entry in config.ignore:
        if entry.rule == ("*",) and not entry.names_something:
            raise UserError(
                "an [[ignore]] names neither a rule nor an object", hint="give it a rule, namespace or name"
            )
    selectors = [("exempt", one) for one in config.exempt] + [
        ("roles", one) for group in config.roles.values() for one in group
    ]
    for table, selector in selectors:
        if not selector.names_something:
            raise UserError(f"an entry of {table} selects nothing", hint="give it a namespace, name, pool or labels")
    for peak in config.calendar.peaks:
        if peak.end < peak.start:
            raise UserError(f"peak {peak.name!r} ends before it starts", hint="swap start and end")
    return config


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the configuration file."""
    schema = msgspec.json.schema(Config, schema_hook=_schema_of)
    properties = schema["$defs"]["Config"]["properties"]
    for name in _DURATIONS:
        field = next(field for field in msgspec.structs.fields(Config) if field.name == name)
        properties[name] = {"type": "string", "pattern": PATTERN, "default": _spelled(field.default)}
    plain: dict[str, Any] = _plain(schema)
    return plain


def _schema_of(kind: type) -> dict[str, Any]:
    if kind is Path:
        return {"type": "string"}
    raise NotImplementedError(kind)


def _spelled(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _plain(value: Any) -> Any:
    """Turn defaults that are not JSON (tuples, records, dates) into JSON."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, msgspec.Struct):
        return _plain(msgspec.to_builtins(value))
    return value.isoformat() if isinstance(value, date) else value
