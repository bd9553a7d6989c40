"""What pods say of themselves: reasons of trouble, and which kinds of workload run pods that work alone."""

from functools import cache

from gpuaudit.knowledge.reading import Entry, read_toml


class Pods(Entry, frozen=True):
    """The whole file; kinds are Kubernetes kinds without their group."""

    waiting_failures: tuple[str, ...]
    taken_away: tuple[str, ...]  # reasons of pods that lost their place through no fault of theirs
    evicted: tuple[str, ...]
    ended_well: tuple[str, ...]
    alone: tuple[str, ...]
    batch: tuple[str, ...]
    checkpoint_flags: tuple[str, ...]
    keep_annotations: dict[str, tuple[str, ...]]
    servers: tuple[str, ...]
    may_serve: tuple[str, ...]
    rollouts: tuple[str, ...]
    periodic: tuple[str, ...]
    mirror_annotation: str
    manager_labels: tuple[str, ...]
    gpu_workload_label: str
    gpu_workload_containers: tuple[str, ...]
    sources: tuple[str, ...]


@cache
def pods() -> Pods:
    """Return the table."""
    return read_toml("pods", Pods)
