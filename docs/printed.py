"""Print the pages that the product tells about itself: `python -m docs.printed`; with `--check` only compare them.

docs/cli.md, docs/engines.md and docs/rules.md are printed whole. In README.md and the other pages of docs/, what stands
between `<!-- $ gpuaudit ARGUMENTS -->` and `<!-- end -->` is replaced by what that command prints.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from gpuaudit.cli import app
from gpuaudit.report import engine_list

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 100  # columns of a printed screen
SCREEN = re.compile(r"(<!-- \$ gpuaudit (?P<arguments>.*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> dict[Path, str]:
    """Return what each page has to say, by its path."""
    whole = {
        ROOT / "docs" / "cli.md": command_line(),
        ROOT / "docs" / "engines.md": engine_list.markdown(),
        ROOT / "docs" / "rules.md": printed("rules --format markdown"),
    }
    written = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return whole | {page: with_screens(page.read_text("utf-8")) for page in written if page not in whole}


def command_line() -> str:
    """Return the help of every command as one Markdown document."""
    parts = ["# Command line", "", "Printed by `gpuaudit --help` and its commands; do not edit.", ""]
    for name, text in helps(typer.main.get_command(app), "gpuaudit"):
        parts += [f"## {name}", "", "```text", text.rstrip(), "```", ""]
    return "\n".join(parts).rstrip() + "\n"


def helps(command: Any, name: str, above: Any = None) -> Iterator[tuple[str, str]]:
    """Yield the name and help of a command and of those below it, as the terminal shows them."""
    with command.make_context(name, [], parent=above, resilient_parsing=True, terminal_width=WIDTH - 2) as context:
        yield context.command_path, command.get_help(context)
        for below in getattr(command, "commands", {}).values():
            yield from helps(below, below.name, context)


def with_screens(text: str) -> str:
    """Return a page with the output of its commands renewed."""
    return SCREEN.sub(_screen, text)


def _screen(found: re.Match[str]) -> str:
    return f"{found[1]}\n```text\n{printed(found['arguments']).rstrip()}\n```\n\n{found[3]}"


def printed(arguments: str) -> str:
    """Return what a gpuaudit command prints on a terminal of `WIDTH` columns, without colour."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("GPUAUDIT_")}
    terminal = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8", "GPUAUDIT_QUIET": "true"}
    done = subprocess.run(  # noqa: S603 # the commands stand in our own pages
        [sys.executable, "-m", "gpuaudit", *arguments.split()],
        env=known | terminal | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


def main() -> int:
    """Write the pages, or say which are stale; returns the exit code."""
    stale = [page for page, text in pages().items() if not page.exists() or page.read_text("utf-8") != text]
    names = ", ".join(str(page.relative_to(ROOT)) for page in stale)
    if "--check" in sys.argv[1:]:
        print(f"stale: {names}\nrun: make docs" if stale else "printed pages are up to date")
        return 1 if stale else 0
    for page, text in pages().items() if stale else ():
        page.write_text(text, "utf-8")
    print(f"printed {names}" if stale else "printed pages are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
