"""Which serving engine a workload runs now, in which version, and what of its set-up decides about that version."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Container, Pod, Workload
from gpuaudit.demand.memory import once
from gpuaudit.knowledge import engine_versions


@dataclass(frozen=True)
class RunningServer:
    """One container image that serves in a workload's running pods."""

    workload: Workload
    image: str
    container: Container  # of the first such pod
    pods: tuple[Pod, ...]

    @property
    def engine(self) -> str | None:
        """The engine whose version the image's tag is."""
        return engine_versions.engine_of_image(self.image)

    @property
    def version(self) -> tuple[int, ...] | None:
        """The engine's version, None for a tag that tells none."""
        return engine_versions.version_of_image(self.image) if self.engine else None

    @property
    def version_text(self) -> str:
        """The engine's version as the tag writes it."""
        return engine_versions.version_text(self.image) or "" if self.engine else ""

    @property
    def spans_nodes(self) -> bool:
        """Whether one server runs over several nodes: by its kind, or as its flags ask for more GPUs than a pod has."""
        if engine_versions.spans_nodes(self.workload.kind):
            return True
        held = self.pods[0].gpus
        return held is not None and _gpus_of_one_server(self.container.args) > max(held, 1.0)


@once
def running_servers(snapshot: Snapshot) -> tuple[RunningServer, ...]:
    """Return what runs in pods of GPU workloads, by workload and image; pods that cannot start run nothing."""
    found: dict[tuple[str, str], list[tuple[Pod, Container]]] = {}
    for workload in snapshot.workloads:
        for pod, container in _running(snapshot.pods_by_workload.get(workload.id, ())):
            found.setdefault((workload.id, container.image), []).append((pod, container))
    return tuple(
        RunningServer(snapshot.workload_by_id[owner], image, rows[0][1], tuple(pod for pod, _ in rows))
        for (owner, image), rows in sorted(found.items())
    )


def _running(pods: Iterable[Pod]) -> Iterator[tuple[Pod, Container]]:
    for pod in pods:
        if pod.phase != "Running" or pod.deleted is not None:
            continue
        for container in pod.containers:
            if not container.init and container.image and container.waiting_reason is None:
                yield pod, container


def _gpus_of_one_server(words: tuple[str, ...]) -> int:
    sizes = []
    for position, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag in engine_versions.size_flags():
            text = value if equals else words[position + 1] if position + 1 < len(words) else ""
            sizes.append(int(text) if text.isdecimal() and len(text) < 5 else 1)
    return prod(sizes)
