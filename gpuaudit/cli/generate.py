"""`gpuaudit generate`: Kubernetes documents on stdout, or in a folder."""

import sys
from pathlib import Path
from typing import Annotated

import typer

PROBE = "Probe"


def generate(
    kinds: Annotated[list[str], typer.Argument(metavar="KIND…", help="What to write: probe, rbac.")],
    dir: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="Write a file per kind there instead of to stdout.")
    ] = None,
    image: Annotated[
        str | None,
        typer.Option("--image", metavar="REF@sha256:…", help="The image to run, by its digest.", rich_help_panel=PROBE),
    ] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", metavar="NS", help="Where; default: gpuaudit-probe.", rich_help_panel=PROBE)
    ] = "",
    every: Annotated[
        str, typer.Option("--every", metavar="15m", help="How often it reads.", rich_help_panel=PROBE)
    ] = "15m",
    runtime_class: Annotated[
        str,
        typer.Option(
            "--runtime-class",
            metavar="NAME",
            help="NVIDIA's RuntimeClass; empty where its runtime is the default.",
            rich_help_panel=PROBE,
        ),
    ] = "nvidia",
    configmap: Annotated[
        bool, typer.Option("--configmap", help="Publish a ConfigMap per node as well.", rich_help_panel=PROBE)
    ] = False,
    mig_placements: Annotated[
        bool,
        typer.Option(
            "--mig-placements",
            help="Tell where MIG devices sit: takes the capability SYS_ADMIN.",
            rich_help_panel=PROBE,
        ),
    ] = False,
) -> None:
    """Write Kubernetes documents; applying them changes nothing that runs.

    gpuaudit generate rbac | kubectl apply --server-side -f -
    """
    from gpuaudit.cli.outputs import Sink, make_folder, put
    from gpuaudit.manifests import ProbeOptions
    from gpuaudit.manifests import generate as documents_of
    from gpuaudit.report.plain import printable

    options = ProbeOptions(
        image=image,
        namespace=namespace,
        every=every,
        runtime_class=runtime_class,
        configmaps=configmap,
        mig_monitor=mig_placements,
    )
    documents = documents_of(kinds, options)
    if "probe" in kinds and image is None:
        sys.stderr.write("note: no --image: the probe's image is one that no registry has; build the Dockerfile\n")
    if dir is None:
        put("---\n".join(document.text for document in documents), Sink("yaml"))
        return
    make_folder(dir)
    for document in documents:
        put(document.text, Sink("yaml", dir / document.name))
        sys.stderr.write(f"{printable(str(dir / document.name))}\n")
