"""Asking for help must not load what only an audit needs."""

import json
import subprocess
import sys

import pytest
import typer.main

from gpuaudit.cli import app

HEAVY = ("pandas", "numpy", "pyarrow", "highspy", "kubernetes", "prometheus_client", "prometheus_api_client", "pynvml")
PROGRAM = """
import json, sys
from gpuaudit.cli import main
sys.argv = ["gpuaudit", *sys.argv[1:], "--help"]
try:
    main()
except SystemExit as end:
    code = end.code
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


def commands() -> list[str]:
    """Every command and subcommand, the bare program first."""
    known = [""]
    waiting = [("", typer.main.get_command(app))]
    while waiting:
        name, group = waiting.pop()
        for below in getattr(group, "commands", {}).values():
            known.append(f"{name} {below.name}".strip())
            waiting.append((known[-1], below))
    return known


@pytest.mark.parametrize("command", commands(), ids=lambda command: command or "gpuaudit")
def test_help_imports_nothing_heavy(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command.split()], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    code, loaded = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    assert done.stdout.startswith("Usage: ")
    assert "gpuaudit" in loaded  # or the test looks at nothing
    assert not set(HEAVY) & set(loaded)
