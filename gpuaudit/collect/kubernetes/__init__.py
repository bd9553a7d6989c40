"""Live clusters: read through the official client's connections, least rights, bounded in time and memory.

    live = collect_live(config, progress=print)     # every context that the settings name
    live.snapshot                                   # the same as from files, whatever was read until it ended
    live.interrupted                                # Ctrl-C: the snapshot holds what was collected

Only get and list, never Secrets, no writes, no reviews. What is asked for is in knowledge/data/kinds.toml; `generate
rbac` prints it as a role.
"""

from gpuaudit.collect.kubernetes.live import Live, collect_live

__all__ = ["Live", "collect_live"]
