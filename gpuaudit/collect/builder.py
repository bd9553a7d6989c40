"""Take Kubernetes objects one list at a time, in any order, and make the inventory of one cluster of them.

    builder = InventoryBuilder("prod")
    builder.add_text(content)               # what kubectl printed, JSON or YAML; MalformedError if it is neither
    builder.add_page(body, ("", "Pod"))     # what the API server answered
    inventory = builder.finish()

Pods that neither hold nor ask for a GPU are folded to sums, so memory does not grow with them. Of two inputs about one
object the newer (resourceVersion) counts. A broken object is counted and named in the notes, and no other is lost.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from gpuaudit.cluster.platform import Namespace
from gpuaudit.collect.broken import Kind
from gpuaudit.collect.decode import Decoded, Text, decode_page, decode_text
from gpuaudit.collect.gather.bounded import recount
from gpuaudit.collect.gather.finish import inventory_of, make_nodes
from gpuaudit.collect.gather.pods import POD, forget_pods, take_pod, take_pods
from gpuaudit.collect.gather.state import Gathered
from gpuaudit.collect.gather.take import DEVICE_CLASS, take
from gpuaudit.collect.inventory import Inventory
from gpuaudit.collect.kubernetes_types import Object
from gpuaudit.collect.kubernetes_types.core import Event
from gpuaudit.collect.kubernetes_types.nodes import Node
from gpuaudit.collect.kubernetes_types.pods import ContainerStatus, Pod
from gpuaudit.collect.memory import rarely_collecting
from gpuaudit.collect.objects.events import last_seen
from gpuaudit.collect.objects.systems import systems_of_image
from gpuaudit.knowledge import gpus, kinds, kubernetes, mig, prices


class PageTaken(NamedTuple):
    """What a page was: its objects, broken ones among them, and where the next page begins, "" after the last."""

    objects: int
    continue_: str


def load_tables() -> None:
    """Load what is known of GPUs, systems and prices: done when there is time, the first objects need not wait.

    Looking for what is not there makes the indexes of the tables as well.
    """
    gpus.identify("none")
    mig.all_geometries()
    prices.find(None, "none")
    kinds.all_kinds()
    kubernetes.keeps_env("NONE")
    systems_of_image("none")


class InventoryBuilder:
    """The objects of one cluster on their way to an inventory."""

    def __init__(self, cluster: str, *, server: str | None = None, dated: bool = True) -> None:
        """Begin with nothing. Without `dated` the newest time inside the objects is not looked for."""
        self._state = Gathered(cluster=cluster, server=server)
        self._dated = dated

    def add_text(self, content: bytes) -> Decoded:
        """Take JSON or YAML as kubectl prints it: lists, single objects, several documents, mixed kinds.

        Returns what was decoded, for counting. Raises MalformedError for text that is neither.
        """
        decoded = decode_text(content)
        self._take(decoded)
        return decoded

    def add_page(self, body: Text, kind: Kind) -> PageTaken:
        """Take a list answered by the API server, whole or a page of it. Raises MalformedError before taking any."""
        decoded = decode_page(body, kind, unread=kind == POD and not self._dated)
        taken = PageTaken(decoded.count, decoded.metadata.continue_)
        self._state.seen.add(kind)
        if decoded.unread:
            take_pods(self._state, decoded)
        self._take(decoded)
        return taken

    def add_groups(self, names: Iterable[str]) -> None:
        """Take the names of the API groups that the server has."""
        self._state.groups.update(names)

    def set_version(self, version: str | None) -> None:
        """Say which version of Kubernetes the server has."""
        self._state.version = version

    def complete(self, kind: Kind) -> None:
        """Say that all objects of a kind were read, be there none."""
        self._state.seen.add(kind)

    def incomplete(self, kind: Kind) -> None:
        """Say that objects of a kind are missing: nothing may be concluded from what is not there."""
        self._state.seen.discard(kind)

    def within(self, kind: Kind, namespaces: Iterable[str]) -> None:
        """Say that a kind was read in some namespaces only. Of pods that means: a tenant's view, without nodes."""
        self._state.within[kind] = tuple(namespaces)

    def start_over(self, kind: Kind, namespace: str | None = None) -> None:
        """Forget what was taken of a kind, there or everywhere: it comes again, less what is gone meanwhile."""
        self._state.kept.forget(kind, namespace)
        self._state.broken.forget(kind, namespace)
        recount(self._state, kind, namespace)
        if kind == DEVICE_CLASS:
            self._state.extended.clear()
        if kind == POD:
            forget_pods(self._state, namespace)

    def nodes_read(self) -> None:
        """Say that no more nodes and resource slices come: of pods on nodes without GPUs only sums are kept."""
        if not self._state.nodes_complete:
            make_nodes(self._state)
        self._state.nodes_complete = True

    def pods_read(self) -> None:
        """Say that no more pods come: events about pods that were not kept may be dropped as they come."""
        self._state.pods_complete = True

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Names of the namespaces that were read so far."""
        return tuple(item.name for item in self._state.kept.values("namespaces", Namespace))

    @property
    def cluster_uids(self) -> frozenset[str]:
        """UIDs of kube-system that were seen: more than one means objects of more than one cluster."""
        return frozenset(self._state.uids)

    @property
    def broken(self) -> int:
        """How many objects could not be read."""
        return self._state.broken.count

    @property
    def newest(self) -> datetime | None:
        """Newest time within any object so far."""
        return self._state.newest

    @rarely_collecting()
    def finish(self) -> Inventory:
        """Return the inventory of all that was taken."""
        return inventory_of(self._state)

    def _take(self, decoded: Decoded) -> None:
        state = self._state
        state.broken.take(decoded.broken)
        for kind, item in decoded.objects:
            state.seen.add(kind)
            if self._dated:
                self._see_times(item)
            if isinstance(item, Pod):
                take_pod(state, item)
            else:
                take(state, kind, item)
        decoded.objects.clear()

    def _see_times(self, item: Object) -> None:
        times = [item.metadata.creation_timestamp]
        if isinstance(item, Node):
            times += [c.last_heartbeat_time or c.last_transition_time for c in item.status.conditions or ()]
        elif isinstance(item, Pod):
            times += [item.status.start_time, *(c.last_transition_time for c in item.status.conditions or ())]
            times += _container_times(item.status.container_statuses or ())
        elif isinstance(item, Event):
            times.append(last_seen(item))
        newest = max((time for time in times if time), default=None)
        if newest and (self._state.newest is None or newest > self._state.newest):
            self._state.newest = newest


def _container_times(statuses: Iterable[ContainerStatus]) -> list[datetime | None]:
    times: list[datetime | None] = []
    for status in statuses:
        state, last = status.state, status.last_state
        times.append(state.running.started_at if state and state.running else None)
        times += [one.terminated.finished_at for one in (state, last) if one and one.terminated]
    return times
