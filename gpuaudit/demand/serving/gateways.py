"""What stands between applications and models, and who calls models past it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gpuaudit.cluster.platform import InstalledSystem
from gpuaudit.cluster.snapshot import Snapshot
from gpuaudit.cluster.workloads import ModelClient, Workload
from gpuaudit.demand.memory import once
from gpuaudit.knowledge import systems
from gpuaudit.knowledge.stack import stack

SERVED_BY = {"kserve": ("InferenceService", "LLMInferenceService")}  # an interface only to what it serves itself
DIRECT = ("model", "provider")


@dataclass(frozen=True)
class Gateway:
    """Something that may stand between applications and models. `ready` None = not seen whether it runs."""

    cluster: str
    name: str
    ready: bool | None
    evidence: str


@dataclass(frozen=True)
class DirectCalls:
    """A workload that calls models without a gateway between; variable → class of the host."""

    client: ModelClient
    variables: Mapping[str, str]


@once
def gateways(snapshot: Snapshot) -> tuple[Gateway, ...]:
    """Return the gateways of every cluster, those that run first."""
    found = [*_systems(snapshot), *_services(snapshot)]
    return tuple(sorted(found, key=lambda one: (one.cluster, one.ready is not True, one.name)))


def direct_calls(snapshot: Snapshot) -> Iterator[DirectCalls]:
    """Yield the workloads whose environment names a model's own Service or a public model API."""
    for client in snapshot.model_clients:
        variables = {name: kind for name, kind in sorted(client.endpoints.items()) if kind in DIRECT}
        if variables:
            yield DirectCalls(client, variables)


def language_servers(snapshot: Snapshot) -> tuple[Workload, ...]:
    """Return the workloads that serve models for many applications: those with a known serving engine."""
    return tuple(one for one in snapshot.workloads if one.engine is not None and one.id in _running(snapshot))


@once
def _running(snapshot: Snapshot) -> frozenset[str]:
    return frozenset(pod.workload for pod in snapshot.pods if pod.phase == "Running")


def _systems(snapshot: Snapshot) -> Iterator[Gateway]:
    for record in snapshot.systems:
        system = systems.by_key(record.system)
        if system is None or record.system not in stack().gateway.systems:
            continue
        kinds = SERVED_BY.get(record.system)
        serves = kinds is None or any(
            one.kind in kinds and one.engine not in (None, record.system) and one.cluster == record.cluster
            for one in snapshot.workloads
        )
        if serves:
            evidence = record.evidence[0] if record.evidence else "seen"
            yield Gateway(record.cluster, system.name, _runs(record), evidence)


def _runs(record: InstalledSystem) -> bool | None:
    if record.pods_ready is not None:
        return record.pods_ready > 0
    if record.pods_wanted is not None and "image" not in record.seen:
        return None
    if "image" in record.seen:
        return record.ready is not False
    return record.ready if not record.seen else False


def _services(snapshot: Snapshot) -> Iterator[Gateway]:
    for service in snapshot.services:
        if stack().gateway.names(service.name, service.labels | service.selector):
            ready = None if service.endpoints is None else service.endpoints > 0
            told = "endpoints not read" if service.endpoints is None else f"{service.endpoints} ready endpoints"
            where = f"Service {service.namespace}/{service.name}"
            yield Gateway(service.cluster, where, ready, f"{where}: {told}")
