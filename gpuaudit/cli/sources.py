"""Where a snapshot comes from: the files that are named, else the clusters of the kubeconfig."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gpuaudit.errors import INTERRUPTED, UserError

if TYPE_CHECKING:
    from gpuaudit.cluster.snapshot import Snapshot
    from gpuaudit.collect.live import Live
    from gpuaudit.config import Config

Note = Callable[[str], None]


def snapshot_of(config: "Config", *, note: Note, rescue: Path | None = None) -> "Snapshot":
    """Collect the snapshot that the settings ask for. UserError when there is nothing to read, or at no such time.

    After Ctrl-C what was collected is kept in `rescue`, or in the cache, and the run ends.
    """
    snapshot = _collected(config, note=note, rescue=rescue)
    made = [node.created for node in snapshot.gpu_nodes]
    first = min((moment for moment in made if moment is not None), default=None)
    if config.now is not None and first is not None and None not in made and config.now < first:
        asked = f"--now {config.now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        raise UserError(
            f"{asked} is before any GPU node was made (the first one {first:%Y-%m-%d})",
            hint="leave --now out: the newest time in the files is taken",
        )
    return snapshot


def _collected(config: "Config", *, note: Note, rescue: Path | None) -> "Snapshot":
    from gpuaudit.cli.progress import Progress

    with nullcontext() if config.quiet or config.no_progress else Progress() as progress:
        if config.input:
            from gpuaudit.collect.inputs.files import collect_files

            return collect_files(
                config.input,
                now=config.now,
                window=config.window,
                probe_namespace=config.probe_namespace,
                nvml=bool(config.nvml),
                progress=progress,
            )
        from gpuaudit.collect.live import collect_live

        live = collect_live(config, progress=progress)
    if live.interrupted:
        _rescue(live, rescue or _cache(), note)
        raise typer.Exit(INTERRUPTED)
    return live.snapshot


def _rescue(live: "Live", path: Path, note: Note) -> None:
    from gpuaudit.store import save

    path.parent.mkdir(parents=True, exist_ok=True)
    save(live.snapshot, path)
    note(f"stopped; what was collected is kept: gpuaudit scan --input {path}")


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "gpuaudit" / "interrupted.gpuaudit"
