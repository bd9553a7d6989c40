"""Find a Prometheus, or at least the exporters, among a cluster's own services and pods."""

from collections.abc import Iterable, Iterator

import msgspec

from gpuaudit.cluster.platform import Service
from gpuaudit.collect.kubernetes.answers import ApiError
from gpuaudit.collect.kubernetes.connection import Connection
from gpuaudit.collect.kubernetes.fetch import Fetcher
from gpuaudit.collect.prometheus.transport import Proxied, proxied
from gpuaudit.knowledge import queries, systems
from gpuaudit.knowledge.queries import ServiceLabels

MAX_PLACES = 6  # tried at most
EXPORTER = "dcgm_exporter"


def places(connection: Connection, services: Iterable[Service]) -> list[Proxied]:
    """Return the ways to services that look like a Prometheus, the best first: what sees most stands first."""
    known = list(services)
    found: dict[tuple[str, str], Proxied] = {}
    for row in queries.services():
        for service in known:
            port = _port(row, service)
            if port and _matches(row, service):
                way = proxied(
                    connection,
                    namespace=service.namespace,
                    kind="services",
                    name=service.name,
                    port=port,
                    prefix=row.prefix,
                )
                found.setdefault((service.namespace, service.name), way)
    return list(found.values())[:MAX_PLACES]


def _matches(row: ServiceLabels, service: Service) -> bool:
    return all(service.labels.get(name) == value for name, value in row.labels.items())


def _port(row: ServiceLabels, service: Service) -> str | None:
    """Return the port to ask as the proxy wants it: its name, else its number."""
    numbers = {str(number): name for name, number in service.ports.items()}
    for wanted in row.ports:
        if wanted in service.ports:
            return wanted
        if wanted in numbers:
            return wanted
    return None


class _Metadata(msgspec.Struct):
    name: str = ""
    namespace: str = ""


class _Status(msgspec.Struct):
    phase: str = ""


class _Pod(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    status: _Status = msgspec.field(default_factory=_Status)


class _Pods(msgspec.Struct):
    items: list[_Pod] = []


def exporters(connection: Connection, fetcher: Fetcher) -> Iterator[Proxied]:
    """Yield the ways to the running exporter pods. Raises ApiError when they may not be listed."""
    system = systems.by_key(EXPORTER)
    if system is None or not system.ports:
        return
    seen: set[tuple[str, str]] = set()
    for label in system.pod_labels:
        body = fetcher.get("/api/v1/pods", {"labelSelector": label, "limit": "5000"})
        try:
            pods = msgspec.json.decode(body, type=_Pods).items
        except msgspec.DecodeError as error:
            raise ApiError(f"not a list of pods: {str(error)[:100]}") from error
        for pod in pods:
            key = (pod.metadata.namespace, pod.metadata.name)
            if pod.status.phase == "Running" and key not in seen:
                seen.add(key)
                port = str(system.ports[0])
                yield proxied(connection, namespace=key[0], kind="pods", name=key[1], port=port)
