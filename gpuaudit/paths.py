"""Find the built-in rules, templates and snapshots: inside an installed package, or beside it in a checkout."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def builtin(name: str) -> Path:
    """Return the folder called `name` (rules, templates or snapshots) that ships with gpuaudit."""
    installed = PACKAGE / "builtin" / name
    if installed.is_dir():
        return installed
    checkout = PACKAGE.parent
    return checkout / "fixtures" / name if name == "snapshots" else checkout / name
