"""Settings: what can be set, where it is read from, and which objects it speaks about."""

from gpuaudit.config.durations import parse_duration
from gpuaudit.config.loading import json_schema, load
from gpuaudit.config.options import Calendar, Config, Exempt, Ignore, Ownership, Peak, Role
from gpuaudit.config.roles import with_roles
from gpuaudit.config.rule_options import rule_options, with_timezone
from gpuaudit.config.selectors import Selector

__all__ = [
    "Calendar",
    "Config",
    "Exempt",
    "Ignore",
    "Ownership",
    "Peak",
    "Role",
    "Selector",
    "json_schema",
    "load",
    "parse_duration",
    "rule_options",
    "with_roles",
    "with_timezone",
]
