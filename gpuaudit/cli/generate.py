"""`gpuaudit generate`: Kubernetes documents on stdout, or in a folder."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def generate(
    kinds: Annotated[list[str], typer.Argument(metavar="KIND…", help="What to write: rbac.")],
    dir: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="Write a file per kind there instead of to stdout.")
    ] = None,
) -> None:
    """Write Kubernetes documents; applying them changes nothing that runs.

    gpuaudit generate rbac | kubectl apply --server-side -f -
    """
    from gpuaudit.manifests import generate as documents_of
    from gpuaudit.report.plain import printable

    documents = documents_of(kinds)
    if dir is None:
        sys.stdout.write("---\n".join(document.text for document in documents))
        return
    dir.mkdir(parents=True, exist_ok=True)
    for document in documents:
        (dir / document.name).write_text(document.text, encoding="utf-8")
        sys.stderr.write(f"{printable(str(dir / document.name))}\n")
