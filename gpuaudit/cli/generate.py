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
    from gpuaudit.cli.outputs import Sink, make_folder, put
    from gpuaudit.manifests import generate as documents_of
    from gpuaudit.report.plain import printable

    documents = documents_of(kinds)
    if dir is None:
        put("---\n".join(document.text for document in documents), Sink("yaml"))
        return
    make_folder(dir)
    for document in documents:
        put(document.text, Sink("yaml", dir / document.name))
        sys.stderr.write(f"{printable(str(dir / document.name))}\n")
