"""Where a snapshot comes from: files today; live clusters are read by the same call."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from gpuaudit.errors import UserError

if TYPE_CHECKING:
    from gpuaudit.cluster.snapshot import Snapshot
    from gpuaudit.config import Config


def snapshot_of(config: "Config", *, note: Callable[[str], None]) -> "Snapshot":
    """Collect the snapshot that the settings ask for. UserError when there is nothing to read."""
    if not config.input:
        raise UserError(
            "nothing to read",
            hint="give --input PATH (a snapshot, kubectl get -o json, metrics), or try: gpuaudit demo",
        )
    from gpuaudit.collect.files import collect_files

    progress = None if config.quiet or config.no_progress else note
    return collect_files(config.input, now=config.now, window=config.window, progress=progress)
