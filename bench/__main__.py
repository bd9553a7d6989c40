"""Run the benches of this folder: every module with a TITLE and a `run()` that returns rows of equal keys."""

import argparse
import importlib
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER.parent / "docs" / "bench.md"


def benches() -> dict[str, Any]:
    """Return the modules that are benches, by name."""
    names = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))
    modules = {name: importlib.import_module(f"bench.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "TITLE") and hasattr(module, "run")}


def machine() -> str:
    """Return what it was measured on, without naming it."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {python}"


def page(measured: dict[str, tuple[Any, list[dict[str, Any]], float]], before: str = "") -> str:
    """Return all tables as one Markdown document; those that were not measured now stay as they were `before`.

    `measured` has module, rows and the load of the machine before (others' work slows what is timed), by name.
    """
    head = f"# Measured figures\n\nWritten by `make bench BENCH=--write`. Machine: {machine()}.\n"
    sections = {text.partition("\n")[0]: text.rstrip() + "\n" for text in before.split("\n## ")[1:]}
    known = {module.TITLE: name for name, module in benches().items()}
    for name, (module, rows, load) in measured.items():
        busy = f" while others kept the machine busy (load {load:.1f})" if load > (os.cpu_count() or 1) / 2 else ""
        text = [module.TITLE, "", f"`python -m bench {name}`{busy}", "", *_note(module), *_table(rows), ""]
        sections[module.TITLE] = "\n".join(text)
    kept = sorted((known[title], text) for title, text in sections.items() if title in known)
    return "\n## ".join([head, *(text for _, text in kept)])


def _note(module: Any) -> list[str]:
    """Return what a bench says about its figures."""
    return [module.NOTE, ""] if getattr(module, "NOTE", "") else []


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    keys = list(rows[0]) if rows else []
    yield f"| {' | '.join(keys)} |"
    yield f"|{'---|' * len(keys)}"
    for row in rows:
        yield f"| {' | '.join(_cell(row[key]) for key in keys)} |"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print one table to the terminal."""
    table = Table(title=title, title_justify="left")
    for key in rows[0] if rows else ():
        table.add_column(key)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console().print(table)


def main() -> int:
    """Measure the named benches, or all; returns the exit code."""
    known = benches()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(known)}; default: all")
    parser.add_argument("--write", action="store_true", help="renew docs/bench.md, the named benches of it")
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.names) - set(known))
    if unknown:
        parser.error(f"there is no bench {', '.join(unknown)}")
    measured = {}
    for name in chosen.names or known:
        load = os.getloadavg()[0]
        measured[name] = (known[name], known[name].run(), load)
        show(*(known[name].TITLE, measured[name][1]))
    if chosen.write:
        PAGE.write_text(page(measured, PAGE.read_text("utf-8") if PAGE.is_file() else ""), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
