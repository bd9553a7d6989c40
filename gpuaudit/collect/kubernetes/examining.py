"""Look at clusters without reading them: what can be reached, what may be listed, which facts that gives."""

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gpuaudit.cluster.platform import Service, SourceStatus
from gpuaudit.collect.builder import InventoryBuilder
from gpuaudit.collect.gather.facts import WHOLE_CLUSTER
from gpuaudit.collect.kubernetes.answers import ApiError
from gpuaudit.collect.kubernetes.connection import Connection, kubectl, login_hint
from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.collect.kubernetes.discovery import Served, discover
from gpuaudit.collect.kubernetes.fetch import Fetcher
from gpuaudit.collect.kubernetes.listing import How, Listed, Places, list_kind, may_list
from gpuaudit.collect.kubernetes.probes import runs_probe
from gpuaudit.collect.kubernetes.reading import WORKERS, server_version
from gpuaudit.collect.kubernetes.told import THROTTLED_HINT, throttled, weight


@dataclass(frozen=True)
class Examined:
    """What asking for one object of each kind showed. `fatal` is why the cluster cannot be read at all."""

    context: str
    cluster: str
    server: str
    version: str | None = None
    fatal: str = ""
    listed: tuple[Listed, ...] = ()
    absent_groups: tuple[str, ...] = ()  # of the kinds that are read, not installed there
    guessed: bool = field(default=False)
    services: tuple[Service, ...] = ()  # a Prometheus may be behind one of them
    kubeconfig: Path | None = None  # where it is not the usual one
    probe: bool = False  # a pod of the node probe runs there

    @property
    def status(self) -> SourceStatus:
        """Return failed when nothing can be read, partial when something that is there cannot, else ok."""
        if self.fatal or not any(one.how in (How.READ, How.PARTLY) for one in self.listed):
            return "failed"
        return "ok" if all(one.complete or one.how is How.ABSENT for one in self.listed) else "partial"

    @property
    def detail(self) -> str:
        """Return why it cannot be read."""
        ranked = sorted(self.listed, key=lambda one: (one.how is not How.FORBIDDEN, weight(one.name)))
        refused = next((one.detail for one in ranked if one.detail), "")
        return self.fatal or (refused if self.status == "failed" else "")

    @property
    def hint(self) -> str:
        """Return what to do when nothing can be read."""
        if self.detail.startswith("401"):
            return login_hint(self.context, self.kubeconfig)
        if throttled(self.listed, self.fatal):
            return THROTTLED_HINT
        if any(one.how is How.FORBIDDEN for one in self.listed):
            return "name your namespaces with --namespace, or apply what prints: gpuaudit generate rbac"
        return f"check the address and the way there: {kubectl(self.context, self.kubeconfig)} get nodes"

    @property
    def facts(self) -> frozenset[str]:
        """Facts that reading it would give, of those that a kind alone gives."""
        readable = {one.served.how for one in self.listed if one.how in (How.READ, How.PARTLY)}
        found = {how.fact for how in readable if how.fact}
        if any(how.plural in ("deployments", "customresourcedefinitions") for how in readable):
            found.add("systems")
        if any(how.plural == "deployments" for how in readable):
            found.add("model_clients")
        if any(how.plural == "configmaps" for how in readable):
            found.add("dashboards")
        if self.probe:
            found |= {"node_facts", "node_network"}
        return frozenset(found if self.whole else found - WHOLE_CLUSTER)

    @property
    def whole(self) -> bool:
        """Whether pods can be listed in the whole cluster."""
        return any(one.name == "pods" and one.complete for one in self.listed)


def examine(
    connection: Connection, *, seconds: float, namespaces: Sequence[str] = (), probe_namespace: str = ""
) -> Examined:
    """Ask a cluster for one object of every kind that would be read, and for the node probe in its namespace."""
    base = Examined(connection.context, connection.cluster, connection.server, kubeconfig=connection.kubeconfig)
    if connection.broken:
        return replace(base, fatal=connection.broken.message)
    deadline = Deadline(seconds)
    fetcher = Fetcher(connection, deadline, read_seconds=min(10.0, seconds))
    try:
        discovered = discover(fetcher)
        version = server_version(fetcher)
    except ApiError as error:
        return replace(base, fatal=str(error))
    places = tuple(namespaces) or connection.namespaces
    listed = _ask_all(fetcher, discovered.served, places)
    groups = {one.served.how.group for one in listed}
    services = [one.served for one in listed if one.name == "services" and one.how in (How.READ, How.PARTLY)]
    return replace(
        base,
        version=version,
        listed=tuple(sorted(listed, key=lambda one: one.name)),
        absent_groups=tuple(sorted(_all_groups() - groups)),
        guessed=discovered.guessed,
        services=tuple(found for one in services for found in _read_services(fetcher, one, places)),
        probe=bool(probe_namespace) and runs_probe(fetcher, probe_namespace),
    )


def _read_services(fetcher: Fetcher, served: Served, namespaces: tuple[str, ...]) -> tuple[Service, ...]:
    """Return the services that can be listed."""
    builder = InventoryBuilder(fetcher.connection.cluster, dated=False)
    kind = (served.how.group, served.how.kind)
    list_kind(fetcher, served, lambda _, body: builder.add_page(body, kind), places=Places(namespaces))
    return builder.finish().services


def _ask_all(fetcher: Fetcher, served: Sequence[Served], namespaces: tuple[str, ...]) -> list[Listed]:
    """Ask for each kind, a few at a time."""
    todo: queue.SimpleQueue[Served] = queue.SimpleQueue()
    for one in served:
        todo.put(one)
    found: queue.SimpleQueue[Listed] = queue.SimpleQueue()

    def work() -> None:
        while True:
            try:
                found.put(may_list(fetcher, todo.get_nowait(), namespaces=namespaces))
            except queue.Empty:
                return

    threads = [threading.Thread(target=work, daemon=True) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found.get() for _ in range(found.qsize())]


def _all_groups() -> set[str]:
    from gpuaudit.knowledge.kinds import all_kinds

    return {how.group for how in all_kinds()}
