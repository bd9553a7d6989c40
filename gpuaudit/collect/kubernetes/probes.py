"""Read what the node probe's pods log: the newest document of each, bounded, and of the node that the pod runs on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from gpuaudit.cluster.node_facts import HostFacts
from gpuaudit.cluster.platform import Source, SourceStatus
from gpuaudit.collect.in_flight import in_flight
from gpuaudit.collect.inputs.node_documents import read_lines
from gpuaudit.collect.joining.node_merge import Told
from gpuaudit.collect.kubernetes.answers import ApiError, ForbiddenError
from gpuaudit.collect.kubernetes.connection import Connection
from gpuaudit.collect.kubernetes.deadline import Deadline
from gpuaudit.collect.kubernetes.fetch import Fetcher
from gpuaudit.collect.kubernetes_types.meta import ListMeta, OwnerReference, Part
from gpuaudit.knowledge.probe import probe

NAMED = 4
PAGE = 500


class ProbePod(NamedTuple):
    """A pod of the probe and where it runs."""

    namespace: str
    name: str
    node: str


@dataclass
class Probes:
    """What the probe's pods told, and how that went; no source when there is no probe."""

    told: list[Told] = field(default_factory=list)
    source: Source | None = None


class _Metadata(Part):
    name: str = ""
    namespace: str = ""
    owner_references: list[OwnerReference] | None = None


class _Spec(Part):
    node_name: str = ""


class _Status(Part):
    phase: str = ""


class _Pod(Part):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class _Pods(Part):
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)
    items: list[_Pod] = []


def read_probes(
    connection: Connection, cluster: str, deadline: Deadline, *, namespace: str, known: Sequence[str] = ()
) -> Probes:
    """Read the logs of the probe's pods in its namespace, but for nodes that are `known` from ConfigMaps already.

    Pods elsewhere that carry the probe's label are counted and not believed: anyone may label a pod.
    """
    fetcher = Fetcher(connection, deadline)
    try:
        found = list(_listed(fetcher, "/api/v1/pods"))
    except ForbiddenError:
        return Probes()  # whoever may not list pods there is told so elsewhere
    except ApiError as error:
        return Probes(source=_source("partial", f"its pods, if any, could not be listed: {error}", cluster))
    pods = [pod for pod in found if pod.namespace == namespace]
    strangers = sorted({pod.namespace for pod in found} - {namespace})
    wanted = [pod for pod in pods if pod.node not in known][: probe().limits.pods]
    told: list[Told] = []
    silent: dict[str, str] = {}
    for pod, one in in_flight(lambda pod: (pod, _read(fetcher, pod)), wanted, at_once=probe().limits.in_flight):
        if isinstance(one, str):
            silent[pod.node] = one
        else:
            told.append(Told(one, cluster, pod.node))
    return Probes(told, _how(cluster, len(pods), len(told) + len(pods) - len(wanted), silent, strangers))


def runs_probe(fetcher: Fetcher, namespace: str) -> bool:
    """Whether a pod of the probe can be seen in its namespace."""
    try:
        return next(_listed(fetcher, f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"), None) is not None
    except ApiError:
        return False


def _listed(fetcher: Fetcher, path: str) -> Iterator[ProbePod]:
    """Yield the running pods of a DaemonSet with the probe's label."""
    token = ""
    while True:
        query = {"labelSelector": probe().selector, "limit": str(PAGE)} | ({"continue": token} if token else {})
        try:
            page = msgspec.json.decode(fetcher.get(path, query), type=_Pods)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ApiError(f"not a list of pods: {str(error)[:100]}") from error
        for pod in page.items:
            owners = pod.metadata.owner_references or ()
            if pod.status.phase == "Running" and pod.spec.node_name and any(o.kind == "DaemonSet" for o in owners):
                yield ProbePod(pod.metadata.namespace, pod.metadata.name, pod.spec.node_name)
        token = page.metadata.continue_
        if not token:
            return


def _read(fetcher: Fetcher, pod: ProbePod) -> HostFacts | str:
    """Return the newest document of a pod's log, or why there is none."""
    limits = probe().limits
    path = f"/api/v1/namespaces/{quote(pod.namespace, safe='')}/pods/{quote(pod.name, safe='')}/log"
    query = {
        "container": probe().container,
        "tailLines": str(limits.log_lines),
        "limitBytes": str(limits.log_bytes),
    }
    try:
        content = fetcher.get(path, query, accept="*/*", most=2 * limits.log_bytes)
    except ForbiddenError:
        return "its log may not be read: generate probe prints the Role for it"
    except ApiError as error:
        return str(error)[:120]
    found = read_lines(bytes(content))
    if not found.facts:
        return found.reason or "its log holds no document"
    newest = max(found.facts, key=lambda facts: facts.taken_at)
    if newest.node != pod.node:
        return "it tells of another node than it runs on"
    return newest


def _how(cluster: str, pods: int, told: int, silent: dict[str, str], strangers: Sequence[str]) -> Source | None:
    if not pods and not strangers:
        return None
    said = [f"{told} of {pods} pods told of their node"]
    for reason in sorted(set(silent.values())):
        nodes = sorted(node for node, why in silent.items() if why == reason)
        more = f" and {len(nodes) - NAMED} more" if len(nodes) > NAMED else ""
        said.append(f"{', '.join(nodes[:NAMED])}{more}: {reason}")
    if strangers:
        named = ", ".join(strangers[:NAMED]) + (", …" if len(strangers) > NAMED else "")
        said.append(f"pods that call themselves the probe in {named} are not believed (setting probe_namespace)")
    status: SourceStatus = "ok" if told == pods and pods else "partial" if told or not pods else "failed"
    return _source(status, "; ".join(said), cluster)


def _source(status: SourceStatus, detail: str, cluster: str) -> Source:
    return Source(name="node probe", status=status, detail=detail, cluster=cluster)
