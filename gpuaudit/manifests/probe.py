"""The node probe: a DaemonSet that tells what each GPU node knows, with the least rights that this takes."""

import re
from dataclasses import dataclass

from gpuaudit import __version__
from gpuaudit.errors import UserError
from gpuaudit.knowledge.probe import probe as known
from gpuaudit.manifests.rendering import render

NO_IMAGE = f"registry.invalid/gpuaudit@sha256:{'0' * 64}"  # .invalid resolves nowhere, and nobody can register it
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,400}@sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class ProbeOptions:
    """What may differ between clusters. `image` is pinned by its digest; None = none is known."""

    image: str | None = None
    namespace: str = ""
    every: str = "15m"
    runtime_class: str = "nvidia"  # empty where NVIDIA's is the runtime of all pods
    configmaps: bool = False
    mig_monitor: bool = False


def probe(options: ProbeOptions) -> str:
    """Return the documents. UserError for an image without digest, or a name that is none."""
    from gpuaudit.config import parse_duration

    image, namespace = options.image or NO_IMAGE, options.namespace or known().namespace
    if not _IMAGE.fullmatch(image):
        raise UserError(f"{image[:80]!r} is no image with a digest", hint="give it as registry/gpuaudit@sha256:…")
    for name in (namespace, options.runtime_class or "none"):
        if not _NAME.fullmatch(name):
            raise UserError(f"{name[:80]!r} is no name in Kubernetes", hint="small letters, digits and hyphens")
    shortest = known().limits.shortest_seconds
    if parse_duration(options.every).total_seconds() < shortest:
        raise UserError("--every is too short", hint=f"the shortest is {shortest}s")
    args = ["node", "--every", options.every, "--root", "/host", "--proc", "/proc"]
    return render(
        "probe.yaml.j2",
        version=__version__,
        label=known().label,
        name=known().name,
        container=known().container,
        gpu_nodes=[{"key": one.key, "values": one.values} for one in known().gpu_nodes],
        image=image,
        namespace=namespace,
        every=options.every,
        runtime_class=options.runtime_class,
        configmaps=options.configmaps,
        mig_monitor=options.mig_monitor,
        args=[*args, *(["--configmap"] if options.configmaps else [])],
    )
