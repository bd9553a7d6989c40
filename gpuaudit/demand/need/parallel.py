"""Over how many devices a pod's program spreads one piece of work, as its flags and variables tell."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import Container, Pod
from gpuaudit.demand.need.told import flag_values, number, serving_containers
from gpuaudit.demand.usage.units import workload_subject, works_alone
from gpuaudit.knowledge import mig, models


@dataclass(frozen=True)
class Spread:
    """So many devices are used as one, and what says so."""

    devices: int
    by: str
    own_processes: bool = False  # a process for each device, which may or may not reach for the others


def spread_of(pods: Iterable[Pod]) -> Spread | None:
    """Return the widest spread that the pods' containers are told, None when they are told none, or one device."""
    found = [spread for one in serving_containers(pods) for spread in _spreads(one) if spread.devices > 1]
    return max(found, key=lambda spread: spread.devices, default=None)


def ranks_of(snapshot: Snapshot, owner: str, pods: Sequence[Pod]) -> str:
    """Return why the pods are ranks of one job, "" where each may well work for itself.

    Kinds of pods that work alone are, and so are Jobs and StatefulSets whose programs are told of no other ranks.
    """
    if len(pods) < 2 or works_alone(snapshot, owner):
        return ""
    for name in mig.programs().gang_env:
        told = {one.env.get(name, "") for pod in pods for one in pod.containers}
        if any(value[:6].isdecimal() and int(value[:6]) > 1 for value in told if value):
            return f"{name} of its containers"
    kind = workload_subject(snapshot, owner).kind
    return "" if kind in mig.programs().single_kinds else f"a {kind} of {len(pods)} pods"


def visible_devices(pods: Iterable[Pod]) -> int | None:
    """Return how many devices a program is told to look at by their numbers, None when it is not told so."""
    for one in serving_containers(pods):
        for name in mig.programs().visible_env:
            entries = [entry.strip() for entry in one.env.get(name, "").split(",") if entry.strip()]
            if entries and all(entry.isdecimal() for entry in entries):
                return len(entries)
    return None


def _spreads(one: Container) -> Iterator[Spread]:
    flags, names = models.models().flags, mig.programs()
    tensor = _number(one, flags.tensor_parallel, names.tensor_env)
    pipeline = _number(one, flags.pipeline_parallel, names.pipeline_env)
    if tensor > 1 or pipeline > 1:
        told = [f"{size} {what}" for size, what in ((tensor, "tensor"), (pipeline, "pipeline")) if size > 1]
        yield Spread(tensor * pipeline, f"{' x '.join(told)} parallel")
    processes = _number(one, names.process_flags, names.process_env)
    if processes > 1:
        yield Spread(processes, f"{processes} processes a node", own_processes=True)


def _number(one: Container, flags: tuple[str, ...], env: tuple[str, ...]) -> int:
    """Return the largest size told, 1 when none is."""
    sizes = (number(value) for value in flag_values([one], flags, env))
    return max((int(size) for size in sizes if size is not None and size < 10_000), default=1)
