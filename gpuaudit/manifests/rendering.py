"""Render the templates of the folder templates/manifests."""

from functools import cache
from typing import TYPE_CHECKING

from gpuaudit.paths import builtin

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: object) -> str:
    """Return a template filled in; a missing value is an error."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(  # noqa: S701 - YAML, not HTML
        loader=FileSystemLoader(builtin("templates") / "manifests"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
